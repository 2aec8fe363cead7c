/// The session's own refusals that its driver has not seen yet: which command got which reply. Filled as replies are
/// decided, only when the session has an id for them; the first `keptMax` between two looks are kept.
struct SessionRefusals {
    static let keptMax = 8

    private var kept: [(verb: Verb?, reply: Reply)] = []

    var isEmpty: Bool { kept.isEmpty }

    mutating func note(_ verb: Verb?, _ reply: Reply) {
        if kept.count < Self.keptMax { kept.append((verb, reply)) }
    }

    mutating func drain(_ body: (_ verb: Verb?, _ reply: Reply) -> Void) {
        let all = kept
        kept = []
        for refusal in all { body(refusal.verb, refusal.reply) }
    }
}

extension SMTPSession {
    package var hasRefusals: Bool { !refusals.isEmpty }

    /// Calls `body` with refusals since the last call, the first few of them; nil stands for what was no known command, and
    /// for what no command asked for.
    package mutating func drainRefusals(_ body: (_ verb: Verb?, _ reply: Reply) -> Void) { refusals.drain(body) }
}
