/// Which command was answered how: what a driver counts. Filled by the session as it decides replies, drained by the
/// driver; bounded like the replies themselves.
struct CommandOutcomes {
    /// Verb in the high bits, first digit of the reply code in the low three; 31 is no known verb.
    private var codes: [UInt8] = []

    private static let unknown: UInt8 = 31

    mutating func note(_ verb: Verb?, _ reply: Reply) {
        codes.append((verb?.rawValue ?? Self.unknown) << 3 | UInt8(truncatingIfNeeded: reply.code / 100 & 7))
    }

    mutating func drain(_ body: (_ verb: Verb?, _ codeClass: Int) -> Void) {
        for code in codes { body(Verb(rawValue: code >> 3), Int(code & 7)) }
        codes.removeAll(keepingCapacity: true)
    }
}

extension SMTPSession {
    /// Calls `body` with each command answered since the last call; nil stands for what was no known command.
    package mutating func drainOutcomes(_ body: (_ verb: Verb?, _ codeClass: Int) -> Void) { outcomes.drain(body) }
}
