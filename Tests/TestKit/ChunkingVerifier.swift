import Base
package import Protocols

/// Replays one transcript whole, byte by byte and in seeded random pieces, with answers in several orders. The replies,
/// bodies and the close must be the same each time: that is what true pipelining means.
package struct ChunkingVerifier {
    package enum Chunking: Sendable, Hashable {
        case whole, bytes
        case random(seed: UInt64)
    }

    /// What a replay showed; equal for all replays.
    package struct Outcome: Equatable {
        package var output: [UInt8] = []
        package var bodies: [[UInt8]] = []
        package var recipients: [[EnvelopeRecipient]] = []
        package var facts: [MessageFacts] = []
        package var close: SessionClose?
    }

    private let transcript: Transcript
    package private(set) var failures: [String] = []

    package init(_ transcript: Transcript) { self.transcript = transcript }

    package static let orders: [AnswerOrder] = [
        .atOnce, .oldestFirst, .newestFirst, .shuffled(seed: 1), .shuffled(seed: 2), .shuffled(seed: 3),
    ]
    package static let chunkings: [Chunking] = [
        .whole, .bytes, .random(seed: 1), .random(seed: 2), .random(seed: 3), .random(seed: 4),
    ]

    /// All replays; the sentences of what went wrong, empty when nothing did.
    package mutating func verify() -> [String] {
        var first: Outcome?
        for order in Self.orders {
            for chunking in Self.chunkings {
                let outcome = replay(chunking, order)
                if let first {
                    if outcome != first {
                        failures.append("\(chunking), answers \(order): differs from the whole replay")
                    }
                } else {
                    first = outcome
                }
                if failures.count > 5 { return failures }
            }
        }
        return failures
    }

    package mutating func replay(_ chunking: Chunking, _ order: AnswerOrder) -> Outcome {
        let transcript = transcript
        let driver = SMTPTestDriver(configuration: transcript.configuration, order: order) { transcript.answer($0) }
        driver.own = { transcript.ownReply($0) }
        var outcome = Outcome()
        var last: [String] = []
        var pending = driver.takeOutput()
        outcome.output += pending
        for (number, step) in transcript.steps {
            func fail(_ what: String) -> String { "line \(number), \(chunking), answers \(order): \(what)" }
            switch step {
            case .send(let bytes):
                Self.feed(driver, bytes, chunking, number)
                driver.settle()
                let out = driver.takeOutput()
                outcome.output += out
                pending += out
            case .handshake: driver.secure()
            case .timeout:
                driver.timeOut()
                let out = driver.takeOutput()
                outcome.output += out
                pending += out
            case .expect(let expected):
                let replies = Self.replies(pending)
                pending = []
                last = replies.last ?? []
                let lines = replies.map { $0.last ?? "" }
                if lines.count != expected.count || !zip(lines, expected).allSatisfy({ $0.hasPrefix($1) }) {
                    failures.append(fail("wanted \(expected), got \(lines)"))
                }
            case .contains(let text):
                if !last.contains(where: { $0.dropFirst(4) == text }) {
                    failures.append(fail("no line \(text) in \(last)"))
                }
            case .lacks(let text):
                if last.contains(where: { $0.dropFirst(4).hasPrefix(text) }) { failures.append(fail("a line \(text)")) }
            case .body(let bytes):
                if driver.bodies.last != bytes {
                    failures.append(fail("body \(driver.bodies.last.map { $0.escapedText } ?? "none")"))
                }
            case .closed(let reason):
                if driver.close.map({ "\($0)" }) != reason {
                    failures.append(fail("close is \(String(describing: driver.close))"))
                }
            }
        }
        if !pending.isEmpty { failures.append("replies left over: \(pending.escapedText)") }
        if !driver.consumedWithinBounds { failures.append("consumed more than given") }
        outcome.bodies = driver.bodies
        outcome.recipients = driver.envelopes.map { $0.recipients }
        outcome.facts = driver.envelopes.map { $0.facts }
        outcome.close = driver.close
        return outcome
    }

    private static func feed(_ driver: SMTPTestDriver, _ bytes: [UInt8], _ chunking: Chunking, _ number: Int) {
        switch chunking {
        case .whole: driver.feed(bytes)
        case .bytes: for c in bytes { driver.feed([c]) }
        case .random(let seed):
            var random = SeededRandom(seed: seed &* 1_000_003 &+ UInt64(number))
            var i = 0
            while i < bytes.count {
                let n = min(bytes.count - i, Int(random.next() % 40) + 1)
                driver.feed(Array(bytes[i..<i + n]))
                i += n
            }
        }
    }

    /// The output cut into replies of lines.
    package static func replies(_ output: [UInt8]) -> [[String]] {
        var out: [[String]] = []
        var reply: [String] = []
        for line in output.split(separator: 10, omittingEmptySubsequences: true) {
            let text = String(decoding: line.last == 13 ? line.dropLast() : line, as: UTF8.self)
            reply.append(text)
            if text.utf8.count < 4 || Array(text.utf8)[3] != 0x2D {
                out.append(reply)
                reply = []
            }
        }
        return reply.isEmpty ? out : out + [reply]
    }
}
