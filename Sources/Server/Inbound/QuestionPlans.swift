import Base
import MailAuth
import Protocols

/// Which questions the checks of a client and sender asked last time: with them answered beforehand a check runs once
/// instead of once for each link of its chain. A hint: what it lacks is asked, what it names in vain costs a look-up.
///
/// Confined to its loop. Bounded by `entriesMax`; when full it starts anew.
struct QuestionPlans {
    static let entriesMax = 2_048
    static let questionsMax = 24

    private struct Key: Hashable {
        let peer: [UInt8]
        let helo: [UInt8]
        let sender: [UInt8]
    }

    private var entries: [Key: [DNSQuestion]] = [:]

    func client(_ peer: [UInt8], _ helo: [UInt8], _ sender: [UInt8]) -> [DNSQuestion] {
        entries[Key(peer: peer, helo: helo, sender: Self.domain(sender))] ?? []
    }

    mutating func keep(_ peer: [UInt8], _ helo: [UInt8], _ sender: [UInt8], _ questions: [DNSQuestion]) {
        guard questions.count <= Self.questionsMax else { return }
        if entries.count >= Self.entriesMax { entries.removeAll(keepingCapacity: true) }
        entries[Key(peer: peer, helo: helo, sender: Self.domain(sender))] = questions
    }

    private static func domain(_ sender: [UInt8]) -> [UInt8] {
        sender.lastIndex(of: ASCII.at).map { Array(sender[($0 + 1)...]) } ?? sender
    }
}

/// A client whose address, name and sender have been checked: good for its next messages of that sender.
struct CheckedClient {
    static let secondsMax = 10.0

    let helo: [UInt8]
    let sender: [UInt8]
    let client: MessageCheck.Client
    let facts: Facts
    let at: Instant
}
