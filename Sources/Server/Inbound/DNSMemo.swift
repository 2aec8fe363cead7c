import Base
import Protocols

/// Answers a loop has lately used, in front of the resolver thread: a stream of mail from one sender asks the same few
/// questions again and again, and two hops between threads each time would cost more than all checks together.
///
/// Confined to its loop. Bounded by `entriesMax`; when full it starts anew. Nothing is kept beyond its TTL or `secondsMax`.
struct DNSMemo {
    static let entriesMax = 4_096
    static let secondsMax = 60.0
    /// Larger answers are left to the resolver's own cache, which counts octets.
    private static let recordsMax = 16
    private static let textMax = 1_024

    private var entries: [DNSQuestion: (answer: DNSAnswer, until: Instant)] = [:]

    mutating func keep(_ question: DNSQuestion, _ answer: DNSAnswer, now: Instant) {
        guard answer.records.count <= Self.recordsMax, answer.texts.allSatisfy({ $0.count <= Self.textMax }),
            !answer.isTemporary, answer.security != .bogus, answer.ttl > 0
        else { return }
        if entries.count >= Self.entriesMax { entries.removeAll(keepingCapacity: true) }
        entries[question] = (answer, now.advanced(bySeconds: min(Double(answer.ttl), Self.secondsMax)))
    }

    func answer(_ question: DNSQuestion, now: Instant) -> DNSAnswer? {
        guard let entry = entries[question], now < entry.until else { return nil }
        return entry.answer
    }
}
