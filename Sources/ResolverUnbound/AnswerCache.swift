import Base
import Protocols

/// Answers that still hold, in front of libunbound: saves the way through its thread and back, and outlives a new
/// context. Confined to the resolver thread. Bounded in entries and in octets; when it is full the oldest go.
struct AnswerCache {
    private struct Entry {
        let answer: DNSAnswer
        let expires: Instant
        let cost: Int
    }

    /// What an entry takes beside its octets, roughly.
    private static let overhead = 256

    private let entriesMax: Int
    private let costMax: Int
    private let secondsMax: UInt32
    private var entries: [DNSQuestion: Entry] = [:]
    /// In the order they came; each entry's question stands here once.
    private var order: [DNSQuestion] = []
    private var first = 0
    private(set) var cost = 0

    init(entries: Int, octets: Int, seconds: UInt32) {
        entriesMax = entries
        costMax = octets
        secondsMax = seconds
    }

    var count: Int { entries.count }

    /// The answer with what is left of its time, or nil.
    func answer(to question: DNSQuestion, _ now: Instant) -> DNSAnswer? {
        guard let entry = entries[question], now < entry.expires else { return nil }
        var answer = entry.answer
        answer.ttl = min(answer.ttl, UInt32(clamping: Int64(entry.expires.seconds(since: now))))
        return answer
    }

    /// Failures are not kept: the next asker may have more luck.
    mutating func learn(_ question: DNSQuestion, _ answer: DNSAnswer, _ now: Instant) {
        guard !answer.isTemporary, answer.ttl > 0, answer.security != .bogus else { return }
        let cost = Self.overhead + question.name.wire.count + answer.records.reduce(0) { $0 + Self.cost($1) }
        guard cost <= costMax / 4 else { return }
        if let old = entries[question] {
            self.cost -= old.cost
        } else {
            order.append(question)
        }
        let expires = now.advanced(bySeconds: Double(min(answer.ttl, secondsMax)))
        entries[question] = Entry(answer: answer, expires: expires, cost: cost)
        self.cost += cost
        while entries.count > entriesMax || self.cost > costMax { removeOldest() }
    }

    private mutating func removeOldest() {
        guard first < order.count else { return }
        if let old = entries.removeValue(forKey: order[first]) { cost -= old.cost }
        first += 1
        // Amortised: each entry is moved at most once for each time the list halves.
        if first > order.count / 2, first > 64 {
            order.removeFirst(first)
            first = 0
        }
    }

    private static func cost(_ record: RecordData) -> Int {
        switch record {
        case .a, .aaaa: 64
        case .mx(_, let name), .ptr(let name), .cname(let name): 64 + name.wire.count
        case .txt(let bytes): 64 + bytes.count
        case .tlsa(let tlsa): 64 + tlsa.data.count
        }
    }
}
