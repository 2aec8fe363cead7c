import Base
import MailAuth
import Protocols
import Testing

@Suite struct DNSListCheckTests {
    private let address = IPAddress(v4: 192, 0, 2, 1)

    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func a(_ name: String, _ answers: [[UInt8]]) -> (DNSQuestion, DNSAnswer) {
        let records = answers.map { RecordData.a(IPAddress(v4: $0[0], $0[1], $0[2], $0[3])) }
        return (DNSQuestion(DNSName(name) ?? .root, .a), .records(records))
    }

    private func missing(_ check: DNSListCheck, _ facts: Facts) -> [String] {
        do throws(Missing) {
            _ = try check.evaluate(facts)
            return []
        } catch {
            return error.keys.map(\.description)
        }
    }

    // RFC 5782 §2.1
    @Test func asksAllZonesAtOnce() {
        let check = DNSListCheck(address, zones: ["a.example", "b.example", "a.example"].map(bytes))
        #expect(missing(check, Facts()) == ["1.2.0.192.a.example A", "1.2.0.192.b.example A"])
    }

    // RFC 5782 §2.4
    @Test func nibblesOfIPv6() throws {
        let address = try #require(IPAddress("2001:db8::1"))
        let check = DNSListCheck(address, zones: [bytes("v6.example")])
        #expect(
            missing(check, Facts()) == [
                "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.v6.example A"
            ])
    }

    @Test(
        arguments: [
            ([[127, 0, 0, 2]], "listed"), ([[127, 0, 0, 2], [127, 0, 0, 4]], "listed"), ([[127, 9, 9, 9]], "listed"),
            ([], "not_listed"), ([[192, 0, 2, 80]], "broken"), ([[127, 0, 0, 2], [10, 0, 0, 1]], "broken"),
            ([[127, 255, 255, 254]], "declined"), ([[127, 255, 255, 252], [127, 0, 0, 2]], "declined"),
        ] as [([[UInt8]], String)])
    func answers(_ given: [[UInt8]], _ want: String) throws {
        let check = DNSListCheck(address, zones: [bytes("a.example")])
        let findings = try check.evaluate(Facts([a("1.2.0.192.a.example", given)]))
        #expect(findings.map(\.outcome.rawValue) == [want])
        #expect(findings[0].answers.map(\.bytes) == given)
    }

    @Test(arguments: [
        (DNSStatus.nxDomain, "not_listed"), (.noData, "not_listed"), (.timeout, "unanswered"),
        (.servFail, "unanswered"), (.refused, "unanswered"),
    ])
    func noRecords(_ status: DNSStatus, _ want: String) throws {
        let question = DNSQuestion(try #require(DNSName("1.2.0.192.a.example")), .a)
        let check = DNSListCheck(address, zones: [bytes("a.example")], explained: [bytes("a.example")])
        let findings = try check.evaluate(Facts([(question, DNSAnswer(status: status))]))
        #expect(findings.map(\.outcome.rawValue) == [want])
    }

    @Test func wordsAreAskedOfListsThatListAndAreWanted() throws {
        let zones = ["hit.example", "miss.example", "welcome.example"].map(bytes)
        let check = DNSListCheck(address, zones: zones, explained: Array(zones[..<2]))
        var facts = Facts([
            a("1.2.0.192.hit.example", [[127, 0, 0, 2]]), a("1.2.0.192.miss.example", []),
            a("1.2.0.192.welcome.example", [[127, 0, 0, 3]]),
        ])
        #expect(missing(check, facts) == ["1.2.0.192.hit.example TXT"])
        let name = try #require(DNSName("1.2.0.192.hit.example"))
        facts.learn(
            DNSQuestion(name, .txt), .records([.txt(bytes("see http://hit.example/\r\n") + [0xFF]), .txt(bytes("2"))]))
        let findings = try check.evaluate(facts)
        #expect(findings.map(\.zone) == zones)
        #expect(findings.map(\.outcome) == [.listed, .notListed, .listed])
        #expect(findings[0].text == bytes("see http://hit.example/???"))
        #expect(findings[2].text.isEmpty)
    }

    @Test func wordsThatDoNotComeAreDoneWithout() throws {
        let name = try #require(DNSName("1.2.0.192.a.example"))
        let check = DNSListCheck(address, zones: [bytes("a.example")], explained: [bytes("a.example")])
        let findings = try check.evaluate(
            Facts([a("1.2.0.192.a.example", [[127, 0, 0, 2]]), (DNSQuestion(name, .txt), .timeout)]))
        #expect(findings[0].outcome == .listed)
        #expect(findings[0].text.isEmpty)
    }

    @Test func longWordsAndManyAnswersAreCut() throws {
        let name = try #require(DNSName("1.2.0.192.a.example"))
        let check = DNSListCheck(address, zones: [bytes("a.example")], explained: [bytes("a.example")])
        let findings = try check.evaluate(
            Facts([
                a("1.2.0.192.a.example", (0..<100).map { [127, 0, 0, $0] }),
                (DNSQuestion(name, .txt), .records([.txt([UInt8](repeating: 0x61, count: 5_000))])),
            ]))
        #expect(findings[0].answers.count == DNSListFinding.answersMax)
        #expect(findings[0].text.count == DNSListFinding.textMax)
    }

    /// A zone that cannot be asked does not keep the others from it.
    @Test func aZoneTooLongIsSkipped() throws {
        let address = try #require(IPAddress("2001:db8::1"))
        let long = bytes((0..<4).map { _ in String(repeating: "a", count: 60) }.joined(separator: "."))
        let check = DNSListCheck(address, zones: [long, [], bytes("b.example")])
        #expect(missing(check, Facts()).count == 1)
        let name = try #require(
            address.reverseName.labels.dropLast(2).reduce(into: [[UInt8]]()) { $0.append($1) } + [
                bytes("b"), bytes("example"),
            ] as [[UInt8]]?)
        let question = DNSQuestion(try #require(DNSName(labels: name)), .a)
        let findings = try check.evaluate(Facts([(question, DNSAnswer(status: .nxDomain))]))
        #expect(findings.map(\.outcome) == [.broken, .broken, .notListed])
    }

    /// With a spent budget all that lacks is unanswered, and nobody is judged by it.
    @Test func endsWithoutAnswers() {
        var gatherer = FactGatherer(limits: GatherLimits(rounds: 0, questions: 0, seconds: 1))
        let check = DNSListCheck(address, zones: ["a.example", "b.example"].map(bytes))
        guard case .verdict(let findings) = gatherer.advance(check, now: Instant(nanoseconds: 0)) else {
            Issue.record("no verdict")
            return
        }
        #expect(findings.map(\.outcome) == [.unanswered, .unanswered])
    }
}
