import Base
import Crypto
import Foundation
import Protocols
import Server
import Store
import Testing

/// The service on a store of its own, without a daemon.
@Suite struct ControlCommandTests {
    final class Fixture {
        let directory = NSTemporaryDirectory() + "control-\(UUID().uuidString.prefix(8))"
        var output = ""
        var complaint = ""
        var configuration = Configuration()

        init() {
            configuration.store.path = directory
            configuration.server.hostname = "mx.example.org"
        }

        deinit { try? FileManager.default.removeItem(atPath: directory) }

        func run(_ request: ControlRequest, _ format: ControlFormat = .text) -> Int32 {
            output = ""
            complaint = ""
            let sink = ControlClient.Sink(
                output: { self.output += String(decoding: $0, as: UTF8.self) },
                complaint: { self.complaint += String(decoding: $0, as: UTF8.self) })
            return ControlCommand.run(request, format, configuration, into: sink)
        }

        func addDomainAndAlice() {
            #expect(run(.domainAdd(Array("Example.ORG".utf8))) == 0)
            let account = ControlAccount(
                address: Array("Alice@example.org".utf8), isAdmin: true, quotaOctets: 1 << 20,
                credentials: Credentials(passwordHash: Array("$y$x".utf8)))
            #expect(run(.accountAdd(account)) == 0)
        }
    }

    static func text(_ s: String) -> [UInt8] { Array(s.utf8) }

    @Test func directoryFromEmptyToFull() {
        let f = Fixture()
        #expect(f.run(.accountList) == ExitStatus.configuration)
        #expect(f.complaint.contains("martlet init"))
        f.addDomainAndAlice()
        #expect(f.run(.domainList, .json) == 0)
        #expect(f.output == "[{\"domain\":\"example.org\",\"enabled\":true,\"accounts\":1}]\n")
        #expect(f.run(.accountList, .json) == 0)
        #expect(
            f.output
                == "[{\"address\":\"alice@example.org\",\"admin\":true,\"state\":\"active\",\"messages\":0,\"octets\":0,\"quota\":1048576}]\n"
        )
        #expect(f.run(.aliasAdd(Self.text("@example.org"), [Self.text("alice@example.org")])) == 0)
        #expect(f.run(.aliasList, .json) == 0)
        #expect(f.output == "[{\"address\":\"@example.org\",\"targets\":[\"alice@example.org\"]}]\n")
        #expect(f.run(.accountDisable(Self.text("ALICE@example.org"))) == 0)
        #expect(f.run(.accountList) == 0)
        #expect(f.output.contains("disabled"))
        #expect(f.run(.aliasRemove(Self.text("@example.org"), target: nil)) == 0)
        #expect(f.run(.domainRemove(Self.text("example.org"))) == ExitStatus.failure)
        #expect(f.complaint.contains("still has accounts"))
        #expect(f.run(.accountRemove(Self.text("alice@example.org"))) == 0)
        #expect(f.run(.domainRemove(Self.text("example.org"))) == 0)
    }

    @Test func refusals() {
        let f = Fixture()
        f.addDomainAndAlice()
        #expect(f.run(.domainAdd(Self.text("example.org"))) == ExitStatus.failure)
        #expect(f.run(.domainAdd(Self.text("exa mple"))) == ExitStatus.data)
        let stranger = ControlAccount(
            address: Self.text("x@other.example"), isAdmin: false, quotaOctets: nil, credentials: Credentials())
        #expect(f.run(.accountAdd(stranger)) == ExitStatus.failure)
        #expect(f.complaint.contains("martlet domain add other.example"))
        #expect(f.run(.accountEnable(Self.text("nobody@example.org"))) == ExitStatus.failure)
        #expect(f.complaint.contains("account list"))
        #expect(f.run(.aliasAdd(Self.text("a@example.org"), [Self.text("not an address")])) == ExitStatus.data)
        #expect(f.run(.status) == ExitStatus.unavailable)
        #expect(f.run(.reload) == ExitStatus.unavailable)
        #expect(f.run(.mailboxRead(Self.text("alice@example.org"), MessageID(rawValue: 1), form: .raw, offset: 0)) == 1)
        #expect(f.run(.mailboxList(Self.text("alice@example.org"), folder: Self.text("Nope"), limit: 5)) == 1)
        #expect(f.complaint.contains("Inbox"))
    }

    /// A setting that is refused leaves the ones before it unset.
    @Test func domainSetIsAllOrNothing() {
        let f = Fixture()
        f.addDomainAndAlice()
        let name = Self.text("example.org")
        let status = f.run(
            .domainSet(
                name,
                [
                    ControlAssignment(name: "enabled", value: "false"),
                    ControlAssignment(name: "quota_refusal", value: "sometimes"),
                ]))
        #expect(status == ExitStatus.data)
        #expect(f.run(.domainShow(name)) == 0)
        #expect(f.output.contains("enabled: true"))
        #expect(f.run(.domainSet(name, [ControlAssignment(name: "enbled", value: "true")])) == ExitStatus.data)
        #expect(f.complaint.contains("did you mean \"enabled\""))
        #expect(f.run(.domainSet(name, [ControlAssignment(name: "enabled", value: "false")])) == 0)
        #expect(f.output.contains("enabled: false"))
    }

    @Test func domainSetShowsWhatItSet() {
        let f = Fixture()
        f.addDomainAndAlice()
        f.configuration.milters = [Configuration.Milter(name: "Rspamd", address: "127.0.0.1:1")]
        func set(_ pairs: (String, String)...) -> Int32 {
            f.run(.domainSet(Self.text("example.org"), pairs.map { ControlAssignment(name: $0.0, value: $0.1) }))
        }
        // A bare number is in the field's own unit, which the answer names.
        #expect(set(("greylist_delay", "300"), ("tarpit", "true")) == 0)
        #expect(f.output == "domain: example.org\ngreylist_delay: 5h\ntarpit: true\n")
        #expect(f.complaint.contains("martlet domain show example.org"))
        #expect(set(("tarpit", "false"), ("tarpit", "true")) == ExitStatus.data)
        #expect(f.complaint.contains("tarpit is given twice"))
        #expect(set(("lists", "zen.example=4,zen lab=4")) == ExitStatus.data)
        #expect(f.complaint.contains("\"zen lab=4\": the zone"))
        #expect(set(("milters", "rspamd")) == 0)
        #expect(!f.complaint.contains("no filter"))
        #expect(set(("milters", "rspamd,rspamed")) == 0)
        #expect(f.complaint.contains("no filter \"rspamed\""))
        #expect(f.run(.domainShow(Self.text("example.org"))) == 0)
        #expect(f.output.contains("tarpit: true") && f.output.contains("lists: none"))
    }

    @Test func internationalDomains() {
        let f = Fixture()
        #expect(f.run(.domainAdd(Self.text("Bücher.example"))) == 0)
        #expect(f.run(.domainDNS(Self.text("xn--bcher-kva.example"))) == 0)
        #expect(f.output.contains("xn--bcher-kva.example. 3600 IN MX 10 mx.example.org.\n"))
        #expect(f.output.contains("IN TXT \"v=spf1 mx -all\""))
    }

    @Test func verifyOfAnEmptyStore() {
        let f = Fixture()
        f.addDomainAndAlice()
        #expect(f.run(.storeVerify(ControlVerifyState()), .json) == 0)
        #expect(f.output == "{\"messages\":0,\"octets\":0,\"problems\":0}\n")
    }

    @Test(arguments: [
        "alice", "@", "a@", "a b@example.org", ".a@example.org", "a..b@example.org", "a@-x.org", "a\u{0}@x.org",
    ])
    func badAddresses(_ address: String) {
        let f = Fixture()
        f.addDomainAndAlice()
        #expect(f.run(.accountDisable(Self.text(address))) == ExitStatus.data)
        #expect(f.complaint.contains("is not an address"))
    }

    @Test func newCredentialsLogIn() throws {
        let credentials = try #require(NewCredentials.make(Secret(Self.text("sesame"))))
        #expect(PasswordHash.verify(Secret(Self.text("sesame")), try #require(credentials.passwordHash)))
        let scram = try #require(credentials.scram)
        let again = SCRAMCredentials.derive(Secret(Self.text("sesame")), salt: scram.salt, iterations: scram.iterations)
        #expect(again?.storedKey == scram.storedKey)
        #expect(again?.serverKey == scram.serverKey)
        #expect(NewCredentials.make(Secret([])) == nil)
    }
}
