import Base
import Crypto

/// Compares what was found in mailboxes (or by a sink) with a ledger.
struct DeliveryCheck {
    private struct Place: Hashable {
        let id: LedgerID
        let recipient: [UInt8]
    }

    private let ledger: LedgerFile
    private var found: [Place: Int] = [:]
    private(set) var damaged: [String] = []
    private(set) var misdelivered: [String] = []
    /// Messages of other runs or of nobody's ledger.
    private(set) var foreign = 0
    private(set) var copies = 0

    init(_ ledger: LedgerFile) { self.ledger = ledger }

    /// A message as stored. Everything before our first header field is trace (Return-Path, Received, results).
    mutating func add(_ message: [UInt8], in mailbox: [UInt8], named name: String) {
        guard Self.ownHeader(message) != nil else {
            foreign += 1
            return
        }
        guard let own = Self.identify(message) else {
            damaged.append("\(name): unreadable ledger id")
            return
        }
        add(own.id, Array(Hex.encode(own.digest).utf8), own.size, mailbox, name)
    }

    /// Id, SHA-256 and size of a message from our first field on; nil when it has none that can be read.
    static func identify(_ message: [UInt8]) -> (id: LedgerID, digest: [UInt8], size: Int)? {
        guard let start = ownHeader(message), let id = identifier(message, at: start) else { return nil }
        var digest = RunningDigest(.sha256)
        digest.update(message.span.extracting(start..<message.count))
        return (id, digest.finish(), message.count - start)
    }

    /// The id alone; the message may be cut off behind it.
    static func identifier(_ message: [UInt8]) -> LedgerID? {
        ownHeader(message).flatMap { identifier(message, at: $0) }
    }

    private static func identifier(_ message: [UInt8], at start: Int) -> LedgerID? {
        let first = start + MessageFactory.ledgerField.count
        guard first + LedgerID.length <= message.count else { return nil }
        return LedgerID(text: message[first..<first + LedgerID.length])
    }

    mutating func add(_ id: LedgerID, _ digest: [UInt8], _ size: Int, _ recipient: [UInt8], _ name: String) {
        guard let sent = ledger.messages[id] else {
            foreign += 1
            return
        }
        copies += 1
        let text = String(decoding: id.text, as: UTF8.self)
        guard sent.digest == digest else {
            damaged.append("\(name): \(text) has \(size) bytes of \(sent.size), or others")
            return
        }
        guard sent.recipients.contains(where: { ASCII.equalIgnoringCase($0, recipient) }) else {
            misdelivered.append("\(name): \(text) was not sent to it")
            return
        }
        found[Place(id: id, recipient: ASCII.lowercased(recipient)), default: 0] += 1
    }

    /// Where the line beginning with our field starts; nil when the header has none.
    private static func ownHeader(_ message: [UInt8]) -> Int? {
        let field = MessageFactory.ledgerField
        var start = 0
        while start + field.count <= message.count {
            if message[start..<start + field.count].elementsEqual(field) { return start }
            guard let lf = ByteScan.firstIndex(of: ASCII.lf, in: message.span, from: start) else { return nil }
            // The empty line ends the header.
            if lf == start || (lf == start + 1 && message[start] == ASCII.cr) { return nil }
            start = lf + 1
        }
        return nil
    }

    struct Summary {
        var sent = 0
        var acknowledged = 0
        var owed = 0
        var missing: [String] = []
        var duplicates: [String] = []
        /// Delivered whole though never acknowledged: allowed.
        var unacknowledged = 0
    }

    func summary() -> Summary {
        var summary = Summary()
        summary.sent = ledger.messages.count
        for (id, message) in ledger.messages {
            if message.isAcknowledged { summary.acknowledged += 1 }
            let text = String(decoding: id.text, as: UTF8.self)
            for recipient in message.owed {
                summary.owed += 1
                let n = found[Place(id: id, recipient: ASCII.lowercased(recipient))] ?? 0
                if n == 0 { summary.missing.append("\(text) for \(recipient.escapedText)") }
            }
            if !message.isAcknowledged {
                summary.unacknowledged += message.recipients.count {
                    found[Place(id: id, recipient: ASCII.lowercased($0))] != nil
                }
            }
        }
        for (place, n) in found where n > 1 {
            summary.duplicates.append(
                "\(String(decoding: place.id.text, as: UTF8.self)) for \(place.recipient.escapedText): \(n) times")
        }
        summary.missing.sort()
        summary.duplicates.sort()
        return summary
    }

    /// All addresses the ledger names.
    var mailboxes: [[UInt8]] {
        var all: Set<[UInt8]> = []
        for message in ledger.messages.values { all.formUnion(message.recipients.map { ASCII.lowercased($0) }) }
        return all.sorted { $0.lexicographicallyPrecedes($1) }
    }
}
