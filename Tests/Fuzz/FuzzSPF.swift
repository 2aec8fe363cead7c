import Base
import MailAuth
import Protocols

/// Lines: the sender, the HELO name, then records. Every question is answered with one of them, so that records include
/// each other and themselves. Every evaluation ends within its limits, asks nothing twice and says the same again.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    let lines = bytes.split(separator: ASCII.lf, omittingEmptySubsequences: false).map(Array.init)
    guard lines.count > 2 else { return 0 }
    let records = Array(lines[2...])
    for record in records where SPFParser.isRecord(record) {
        _ = try? SPFParser.parse(record)
    }
    for ip in [IPAddress(v4: 192, 0, 2, 1), IPAddress("2001:db8::1")].compactMap({ $0 }) {
        evaluate(SPFCheck(ip: ip, helo: lines[1], mailFrom: lines[0]), records)
    }
    evaluate(SPFCheck(ip: IPAddress(v4: 192, 0, 2, 1), helo: lines[1]), records)
    return 0
}

private func evaluate(_ check: SPFCheck, _ records: [[UInt8]]) {
    var facts = Facts()
    var rounds = 0
    while true {
        do throws(Missing) {
            let verdict = try check.evaluate(facts)
            precondition(verdict.lookups <= 10 && verdict.voidLookups <= 2, "more lookups than RFC 7208 allows")
            guard let again = try? check.evaluate(facts) else { preconditionFailure("asks after its verdict") }
            precondition(again == verdict, "two verdicts")
            _ = verdict.summary
            return
        } catch {
            rounds += 1
            precondition(!error.keys.isEmpty && rounds <= GatherLimits().rounds, "too many rounds")
            for question in error.keys.compactMap(\.question) {
                precondition(facts.known(question) == nil, "asked again")
                facts.learn(question, answer(question, records))
            }
            precondition(facts.count <= GatherLimits().questions, "too many questions")
        }
    }
}

private func answer(_ question: DNSQuestion, _ records: [[UInt8]]) -> DNSAnswer {
    let hash = question.name.dotted.reduce(Int(question.type.rawValue)) { ($0 &* 31 &+ Int($1 | 0x20)) & 0xFFFF }
    let record = records[hash % records.count]
    // A line that begins with a digit is no record but a status, or so many records.
    if let first = record.first, (0x30...0x35).contains(first) {
        return DNSAnswer(status: DNSStatus.allCases[Int(first - 0x30) % DNSStatus.allCases.count])
    }
    let number = record.first.map { Int($0 & 15) } ?? 0
    let names = (0..<number).compactMap { DNSName("h\($0).example.com") }
    switch question.type {
    case .txt: return .records(record.split(separator: 0x7C).map { .txt(Array($0)) })
    case .a: return .records((0..<number).map { .a(IPAddress(v4: 192, 0, 2, UInt8($0))) })
    case .aaaa: return .records(IPAddress("2001:db8::\(number)").map { [.aaaa($0)] } ?? [])
    case .mx: return .records(names.map { .mx(preference: 10, host: $0) })
    case .ptr: return .records(names.map { .ptr($0) })
    case .cname, .tlsa: return DNSAnswer(status: .noData)
    }
}
