import Base
import MailAuth
import Protocols
import Testing

/// Records and answers at random, from a seed: every evaluation ends within its limits, and the order in which facts
/// became known does not change the verdict.
@Suite struct SPFRandomTests {
    private struct Dice {
        var state: UInt64
        mutating func roll(_ sides: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(truncatingIfNeeded: state >> 33) % sides
        }
        mutating func pick<T>(_ list: [T]) -> T { list[roll(list.count)] }
    }

    private static let targets = [
        "h1.example.com", "h2.example.com", "%{d}", "%{p}.example.com", "%{l}.%{d2}", "%{ir}.%{v}.example.com", "%{h}",
        "%{S}", "%{o3r-}", "x..y.com", "%{p1}", "%{d}.%{d}.%{d}.%{d}.%{d}.%{d}.%{d}.com",
    ]
    private static let names = [
        "include", "a", "mx", "ptr", "exists", "redirect", "exp", "a", "mx", "include", "all", "ip4", "ip6",
    ]

    private static func record(_ dice: inout Dice) -> [UInt8] {
        var terms = ["v=spf1"]
        for _ in 0..<dice.roll(14) {
            let name = dice.pick(names)
            let target = dice.pick(targets)
            switch name {
            case "redirect", "exp":
                if !terms.contains(where: { $0.hasPrefix(name) }) { terms.append("\(name)=\(target)") }
            case "all": if dice.roll(6) == 0 { terms.append(dice.pick(["-", "~", "?", "+"]) + "all") }
            case "ip4": terms.append("ip4:10.0.0.\(dice.roll(4))/\(dice.roll(33))")
            case "ip6": terms.append("ip6:2001:db8::\(dice.roll(4))/\(dice.roll(129))")
            case "a", "mx":
                terms.append(dice.pick(["-", "", "?"]) + "\(name):\(target)" + dice.pick(["", "/24", "//64"]))
            default: terms.append(dice.pick(["-", "", "~"]) + "\(name):\(target)")
            }
        }
        return Array(terms.joined(separator: " ").utf8)
    }

    private static func answer(_ question: DNSQuestion, _ seed: UInt64) -> DNSAnswer {
        var dice = Dice(
            state: question.name.wire.reduce(seed &+ UInt64(question.type.rawValue)) {
                ($0 ^ UInt64(ASCII.lowercased($1))) &* 1_099_511_628_211
            })
        _ = dice.roll(2)
        switch dice.roll(20) {
        case 0: return DNSAnswer(status: dice.pick(DNSStatus.allCases.filter(\.isTemporary)))
        case 1, 2: return DNSAnswer(status: dice.pick([.nxDomain, .noData]))
        default: break
        }
        var records: [RecordData] = []
        for _ in 0...dice.roll(dice.roll(8) == 0 ? 14 : 3) {
            let name = DNSName("\(dice.pick(["a", "b", "c", "h1", "h2"]))\(dice.roll(4)).example.com") ?? .root
            switch question.type {
            case .a: records.append(.a(IPAddress(v4: 10, 0, 0, UInt8(dice.roll(4)))))
            case .aaaa: if let ip = IPAddress("2001:db8::\(dice.roll(4))") { records.append(.aaaa(ip)) }
            case .mx: records.append(.mx(preference: UInt16(dice.roll(3)), host: name))
            case .ptr: records.append(.ptr(name))
            case .txt: if records.isEmpty { records.append(.txt(record(&dice))) }
            default: break
            }
        }
        return .records(records)
    }

    @Test func everyEvaluationEnds() throws {
        var seen: Set<AuthResult> = []
        var deepest = 0
        for seed in 0..<3_000 {
            var dice = Dice(state: UInt64(seed))
            let ip = try #require(IPAddress(dice.pick(["10.0.0.1", "2001:db8::1", "192.0.2.1"])))
            let check = SPFCheck(
                ip: ip, helo: Array("h.example.com".utf8), mailFrom: Array("us-er@d\(seed).example.com".utf8))
            var facts = Facts()
            var verdict: SPFVerdict?
            var rounds = 0
            while verdict == nil {
                do throws(Missing) {
                    verdict = try check.evaluate(facts)
                } catch {
                    rounds += 1
                    #expect(!error.keys.isEmpty)
                    for question in error.keys.compactMap(\.question) {
                        #expect(facts.known(question) == nil, "asked again")
                        facts.learn(question, Self.answer(question, UInt64(seed)))
                    }
                    try #require(rounds <= GatherLimits().rounds && facts.count <= GatherLimits().questions)
                }
            }
            let found = try #require(verdict)
            #expect(found.lookups <= 10 && found.voidLookups <= 2)
            seen.insert(found.result)
            deepest = max(deepest, rounds)
            var shuffled = Facts()
            for question in facts.questions.reversed() {
                if let answer = facts.known(question) { shuffled.learn(question, answer) }
            }
            #expect(try check.evaluate(shuffled) == found)
        }
        #expect(seen.isSuperset(of: [.pass, .fail, .softfail, .neutral, .temperror, .permerror]))
        #expect(deepest > 4)
    }
}
