import MailAuth
import Protocols
import Testing

@Suite struct IPRevCheckTests {
    private let address = IPAddress(v4: 192, 0, 2, 1)

    private func name(_ text: String) -> DNSName { DNSName(text) ?? .root }

    private func ptr(_ names: [String], _ security: DNSSecurity = .insecure) -> (DNSQuestion, DNSAnswer) {
        let records = names.map { RecordData.ptr(name($0)) }
        return (DNSQuestion(name("1.2.0.192.in-addr.arpa"), .ptr), .records(records, security: security))
    }

    private func a(_ host: String, _ last: [UInt8], _ security: DNSSecurity = .insecure) -> (DNSQuestion, DNSAnswer) {
        let records = last.map { RecordData.a(IPAddress(v4: 192, 0, 2, $0)) }
        return (DNSQuestion(name(host), .a), .records(records, security: security))
    }

    private func verdict(_ facts: [(DNSQuestion, DNSAnswer)]) throws -> AuthResults.IPRev {
        try IPRevCheck(address).evaluate(Facts(facts))
    }

    @Test func aNameThatLeadsBackPasses() throws {
        let verdict = try verdict([
            ptr(["other.example", "Mail.example"]), a("other.example", [9]), a("mail.example", [7, 1]),
        ])
        #expect(verdict.result == .pass)
        #expect(verdict.name == Array("Mail.example".utf8))
        #expect(verdict.address == Array("192.0.2.1".utf8))
        #expect(!verdict.isSecure)
    }

    @Test(arguments: [DNSSecurity.secure, .insecure]) func bothWaysMustBeSecure(_ forward: DNSSecurity) throws {
        let verdict = try verdict([ptr(["mail.example"], .secure), a("mail.example", [1], forward)])
        #expect(verdict.isSecure == (forward == .secure))
    }

    @Test func aNameThatLeadsElsewhereFails() throws {
        #expect(try verdict([ptr(["mail.example"]), a("mail.example", [9])]).result == .fail)
        #expect(try verdict([ptr(["mail.example"]), a("mail.example", [])]).result == .fail)
    }

    @Test(arguments: [DNSStatus.noData, .nxDomain]) func noNameIsPermanent(_ status: DNSStatus) throws {
        let question = DNSQuestion(address.reverseName, .ptr)
        #expect(try verdict([(question, DNSAnswer(status: status))]).result == .permerror)
    }

    @Test(arguments: [DNSStatus.servFail, .timeout, .refused]) func noAnswerIsTemporary(_ status: DNSStatus) throws {
        let reverse = DNSQuestion(address.reverseName, .ptr)
        #expect(try verdict([(reverse, DNSAnswer(status: status))]).result == .temperror)
        let forward = (DNSQuestion(name("mail.example"), .a), DNSAnswer(status: status))
        #expect(try verdict([ptr(["mail.example"]), forward]).result == .temperror)
        // A good name beside one that does not answer decides.
        #expect(try verdict([ptr(["mail.example", "b.example"]), forward, a("b.example", [1])]).result == .pass)
    }

    @Test func onlyTenNamesAreLookedAt() throws {
        let names = (1...11).map { "n\($0).example" }
        var facts = [ptr(names)]
        for host in names.prefix(10) { facts.append(a(host, [9])) }
        // Not thrown: the eleventh is not wanted.
        #expect(try verdict(facts).result == .fail)
    }

    @Test func namesAreAskedForTogetherAndByFamily() {
        let v6 = IPAddress("2001:db8::1") ?? address
        let reverse = (DNSQuestion(v6.reverseName, .ptr), DNSAnswer.records([.ptr(name("a.b")), .ptr(name("c.d"))]))
        #expect(throws: Missing([DNSQuestion(name("a.b"), .aaaa), DNSQuestion(name("c.d"), .aaaa)])) {
            try IPRevCheck(v6).evaluate(Facts([reverse]))
        }
    }
}
