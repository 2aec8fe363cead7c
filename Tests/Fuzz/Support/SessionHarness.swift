import Base
import Protocols

/// Collects bodies, so that two runs can be compared.
struct CollectingSink: BodySink {
    var bodies: [[UInt8]] = []

    mutating func begin() { bodies.append([]) }
    mutating func append(_ bytes: Span<UInt8>) {
        precondition(!bodies.isEmpty, "octets of a body that did not begin")
        bodies[bodies.count - 1].append(bytes)
    }
    mutating func discard() {
        precondition(!bodies.isEmpty, "a body was dropped that did not begin")
        bodies.removeLast()
    }
}

/// What a whole dialogue came to.
struct Dialogue: Equatable {
    var output: [UInt8] = []
    var bodies: [[UInt8]] = []
    var submitted = 0
    var isClosed = false
}

/// Feeds `bytes` in pieces of `size`; questions are answered at the end of each turn, in order or in reverse.
func runSession(
    _ bytes: [UInt8], size: Int, reversed: Bool, configuration: SMTPSessionConfiguration, tls: Bool
) -> Dialogue {
    var session = SMTPSession(
        configuration: configuration, peer: SMTPPeer(address: Array("192.0.2.1".utf8)), now: Instant(nanoseconds: 0))
    if tls { session.secured(TLSFacts(version: Array("TLSv1.3".utf8), cipher: Array("X".utf8))) }
    session.asksAboutUnknown = size & 1 == 1
    session.start()
    var sink = CollectingSink()
    var dialogue = Dialogue()
    var used = 0
    var given = 0
    while !dialogue.isClosed {
        let n = session.receive(bytes.span.extracting(used..<given), body: &sink)
        precondition(n <= given - used, "more was used than given")
        used += n
        var asked: [(Ticket, Answer)] = []
        var acted = false
        while let effect = session.nextEffect() {
            acted = true
            switch effect {
            case .ask(let question, let ticket):
                if case .submit = question { dialogue.submitted += 1 }
                asked.append((ticket, answer(question)))
            case .startTLS: session.secured(TLSFacts(version: Array("TLSv1.3".utf8), cipher: Array("X".utf8)))
            case .close: dialogue.isClosed = true
            case .note, .transactionStarted, .transactionAborted: break
            }
        }
        for (ticket, answer) in reversed ? asked.reversed() : asked { session.resume(ticket, with: answer) }
        let output = session.takeOutput()
        dialogue.output += output
        if n == 0, !acted, output.isEmpty {
            if given == bytes.count { break }
            given = min(given + size, bytes.count)
        }
    }
    dialogue.bodies = sink.bodies
    return dialogue
}

/// Depends on the question alone, so that every run gets the same answers.
private func answer(_ question: Question) -> Answer {
    switch question {
    case .recipient(let address, _):
        return address.localpart.first == 0x78 ? .refused(refusal) : .accepted
    case .submit: return .stored(MessageID(rawValue: 1))
    case .authenticate(.password(_, let user, _)): return .authenticated(identity: user)
    case .authenticate(.scram(_, let isFirst)):
        return isFirst ? .challenge(Array("r=a,s=Yg==,i=4096".utf8)) : .authenticated(identity: [0x61])
    case .sender, .verify, .unknown: return .accepted
    }
}

private let refusal = Reply(550, EnhancedStatus(5, 1, 1), "no such user")

func checkSplits(_ input: UnsafePointer<UInt8>?, _ count: Int, _ configuration: SMTPSessionConfiguration, tls: Bool) {
    guard let input, count > 1 else { return }
    let bytes = Array(UnsafeBufferPointer(start: input + 1, count: count - 1))
    let whole = runSession(bytes, size: bytes.count, reversed: false, configuration: configuration, tls: tls)
    let split = runSession(
        bytes, size: Int(input[0] & 63) + 1, reversed: input[0] & 64 != 0, configuration: configuration, tls: tls)
    precondition(whole.output == split.output, "a split changed the replies")
    precondition(whole.bodies == split.bodies, "a split changed a body")
    precondition(whole == split, "a split changed the end")
}
