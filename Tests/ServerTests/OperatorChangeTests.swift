import Base
import Policy
import Protocols
import Server
import Store
import Testing

/// What the log says of commands that change something.
@Suite struct OperatorChangeTests {
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func told(_ request: ControlRequest) -> String? {
        OperatorChange(request).map { "\($0.command): \(String(decoding: $0.subject, as: UTF8.self))" }
    }

    @Test func changesAreTold() throws {
        var filter = DefenseFilter()
        filter.sender = bytes("a@b.example")
        filter.state = "new"
        #expect(
            told(.defense(ControlDefense(.greylist, .release, filter)))
                == "greylist release: sender=a@b.example state=new")
        #expect(told(.defense(ControlDefense(.tarpit, .release))) == "tarpit release: all")
        #expect(
            told(.defense(ControlDefense(.limits, .allow, subjects: [bytes("192.0.2.0/24")], isRemoval: true)))
                == "limits allow: remove= subject=192.0.2.0/24")
        #expect(
            told(.domainSet(bytes("example.org"), [ControlAssignment(name: "tarpit", value: "true")]))
                == "domain set: example.org tarpit=true")
        #expect(
            told(.aliasAdd(bytes("a@example.org"), [bytes("b@example.org"), bytes("c@x.example")]))
                == "alias add: a@example.org b@example.org c@x.example")
        #expect(told(.queue(ControlQueue(.delete))) == "queue delete: all")
        let id = try #require(MessageID(text: bytes("0000000000001")))
        #expect(told(.poison(ControlPoison(.release, id))) == "poison release: 0000000000001")
    }

    @Test func secretsAreNot() {
        let credentials = Credentials(passwordHash: bytes("$y$secret"))
        let account = ControlAccount(
            address: bytes("a@example.org"), isAdmin: true, quotaOctets: nil, credentials: credentials)
        #expect(told(.accountAdd(account)) == "account add: a@example.org")
        #expect(told(.accountPassword(bytes("a@example.org"), credentials)) == "account passwd: a@example.org")
        let key = ControlDKIMKey(
            domain: bytes("example.org"), selector: bytes("s1"), privateKey: Secret(bytes("-----BEGIN")))
        #expect(told(.dkimAdd(key)) == "dkim add: example.org s1")
    }

    @Test func whoOnlyLooksLeavesNoLine() {
        let looks: [ControlRequest] = [
            .domainList, .domainShow(bytes("example.org")), .accountList, .aliasList, .status, .top, .reload,
            .queue(ControlQueue(.list)), .queue(ControlQueue(.delete, isDryRun: true)), .poison(ControlPoison(.list)),
            .defense(ControlDefense(.greylist, .list)), .defense(ControlDefense(.limits, .allow)),
        ]
        for look in looks { #expect(told(look) == nil) }
    }

    @Test func longOnesAreCut() {
        let targets = (0..<1_000).map { bytes("user\($0)@example.org") }
        #expect(OperatorChange(.aliasAdd(bytes("a@example.org"), targets))?.subject.count == 500)
    }
}
