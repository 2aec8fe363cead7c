import Base
import Crypto
import Foundation
import Policy
import Protocols
import Server
import Store
import StoreSQLite
import Testing

/// DKIM keys from the command to the snapshot, without a daemon.
@Suite struct ControlKeyTests {
    private typealias Fixture = ControlCommandTests.Fixture

    private static func b(_ text: String) -> [UInt8] { Array(text.utf8) }
    private static let domain = b("example.org")

    private func add(_ f: Fixture, _ kind: KeyKind, selector: String = "") throws -> Int32 {
        let pem = try PrivateKey(generate: kind).pem()
        return f.run(.dkimAdd(ControlDKIMKey(domain: Self.domain, selector: Self.b(selector), privateKey: pem)), .json)
    }

    private func list(_ f: Fixture) throws -> [[String: Any]] {
        #expect(f.run(.dkimList(Self.domain), .json) == 0)
        return try #require(try JSONSerialization.jsonObject(with: Data(f.output.utf8)) as? [[String: Any]])
    }

    @Test func fromGeneratedToRetired() throws {
        let f = Fixture()
        f.addDomainAndAlice()
        #expect(try add(f, .rsa) == 0)
        #expect(!f.output.contains("PRIVATE"))
        #expect(try add(f, .rsa) == 0)
        #expect(try add(f, .ed25519) == 0)
        let year = Calendar(identifier: .gregorian).component(.year, from: Date())
        let names = try list(f).compactMap { $0["selector"] as? String }
        #expect(names == ["\(year)a-rsa", "\(year)b-rsa", "\(year)a-ed25519"])
        #expect(f.run(.dkimActivate(Self.domain, selector: Self.b(names[0]))) == 0)
        #expect(f.run(.dkimActivate(Self.domain, selector: Self.b(names[2]))) == 0)
        #expect(f.run(.dkimActivate(Self.domain, selector: Self.b(names[1]))) == 0)
        #expect(f.output.contains("retired \(names[0]); keep its record until"))
        let keys = try list(f)
        #expect(keys.compactMap { $0["state"] as? String } == ["retired", "active", "active"])
        #expect(keys.compactMap { $0["publish"] as? Bool } == [true, true, true])
        #expect(f.run(.dkimRemove(Self.domain, selector: Self.b(names[0]))) == ExitStatus.failure)
        #expect(f.complaint.contains("is needed until"))
        #expect(f.run(.dkimRemove(Self.domain, selector: Self.b(names[1]))) == ExitStatus.failure)
        #expect(f.complaint.contains("retire it first"))
        #expect(f.run(.domainDNS(Self.domain)) == 0)
        for name in names { #expect(f.output.contains("\(name)._domainkey.example.org. 3600 IN TXT \"v=DKIM1; k=")) }
        #expect(!f.output.contains("PRIVATE"))
        let snapshot = try DirectStore(path: f.directory).write { (s) throws(StoreError) in try s.loadSnapshot() }
        let signing = snapshot.dkimKeys(ofDomain: Self.domain)
        #expect(signing.map { String(decoding: $0.selector, as: UTF8.self) } == [names[1], names[2]])
        let parsed = try signing.map { try PrivateKey(pem: $0.privateKey).recordText() }
        #expect(
            parsed.map { String(decoding: $0, as: UTF8.self) }
                == keys.dropFirst().compactMap { $0["record"] as? String })
        #expect(!"\(signing)".contains("PRIVATE"))
    }

    /// A key that never signed anything leaves at once.
    @Test func aKeyThatWasNeverUsed() throws {
        let f = Fixture()
        f.addDomainAndAlice()
        #expect(try add(f, .ed25519, selector: "Sel.one") == 0)
        #expect(f.run(.dkimRetire(Self.domain, selector: Self.b("sel.one"))) == 0)
        #expect(f.output.contains("its record may be removed"))
        #expect(f.run(.domainDNS(Self.domain)) == 0)
        #expect(!f.output.contains("sel.one._domainkey"))
        #expect(f.run(.dkimRemove(Self.domain, selector: Self.b("SEL.one"))) == 0)
        #expect(try list(f).isEmpty)
        #expect(f.run(.dkimList(nil)) == 0)
        #expect(f.complaint.contains("dkim generate"))
    }

    @Test func refusals() throws {
        let f = Fixture()
        f.addDomainAndAlice()
        #expect(try add(f, .ed25519, selector: "s") == 0)
        #expect(try add(f, .ed25519, selector: "S") == ExitStatus.failure)
        #expect(f.complaint.contains("already"))
        #expect(try add(f, .ed25519, selector: "no_good") == ExitStatus.data)
        let rubbish = ControlDKIMKey(domain: Self.domain, selector: [], privateKey: Secret(Self.b("rubbish")))
        #expect(f.run(.dkimAdd(rubbish)) == ExitStatus.data)
        #expect(!f.complaint.contains("rubbish"))
        let elsewhere = ControlDKIMKey(
            domain: Self.b("other.example"), selector: [], privateKey: try PrivateKey(generate: .ed25519).pem())
        #expect(f.run(.dkimAdd(elsewhere)) == ExitStatus.failure)
        #expect(f.run(.dkimActivate(Self.domain, selector: Self.b("nosuch"))) == ExitStatus.failure)
        #expect(f.complaint.contains("dkim list"))
        #expect(f.run(.dkimList(Self.b("other.example"))) == ExitStatus.failure)
    }

    @Test func theCertificateIsAdvised() throws {
        let f = Fixture()
        f.addDomainAndAlice()
        #expect(f.run(.domainDNS(Self.domain)) == 0)
        #expect(!f.output.contains("TLSA"))
        try SelfSignedFiles.ensure(f.configuration)
        #expect(f.run(.domainDNS(Self.domain)) == 0)
        let line = try #require(f.output.split(separator: "\n").first { $0.contains("TLSA") })
        #expect(line.hasPrefix("_25._tcp.mx.example.org. 3600 IN TLSA 3 1 1 "))
        #expect(line.split(separator: " ").last?.count == 64)
    }

    @Test func requestsRoundTripWithTheirKeys() throws {
        let key = ControlDKIMKey(domain: [1], selector: [], privateKey: Secret([0, 10, 255]))
        let requests: [ControlRequest] = [
            .dkimAdd(key), .dkimList(nil), .dkimList([2]), .dkimActivate([3], selector: [4]),
            .dkimRetire([5], selector: [6]), .dkimRemove([7], selector: [8]),
        ]
        for request in requests {
            #expect(ControlRequest.decode(request.frame(.json).payload)?.request == request)
            #expect(!"\(request)".contains("255"))
        }
    }
}
