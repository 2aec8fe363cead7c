/// The session's own refusals that its driver has not seen yet: which command got which reply. Filled as replies are
/// decided, only when the session has an id for them; the first `keptMax` between two looks are kept.
struct SessionRefusals {
    static let keptMax = 8

    private var kept: [(verb: Verb?, reply: Reply)] = []
    /// Commands that were wrong, all of them.
    private var faults = 0

    var isEmpty: Bool { kept.isEmpty && faults == 0 }

    mutating func note(_ verb: Verb?, _ reply: Reply) {
        // The one that ends the session is the last, and tells most.
        if kept.count >= Self.keptMax, reply.code == 421 { kept.removeLast() }
        if kept.count < Self.keptMax { kept.append((verb, reply)) }
    }

    mutating func noteFault() { faults &+= faults < .max ? 1 : 0 }

    mutating func drain(_ body: (_ verb: Verb?, _ reply: Reply) -> Void) -> Int {
        let (all, count) = (kept, faults)
        kept = []
        faults = 0
        for refusal in all { body(refusal.verb, refusal.reply) }
        return count
    }
}

extension SMTPSession {
    package var hasRefusals: Bool { !refusals.isEmpty }

    /// Calls `body` with refusals since the last call, the first few of them; nil stands for what was no known command, and
    /// for what no command asked for. The answer is how many bad commands there were, all of them: what is no command, has
    /// wrong syntax, or comes where it must not. Not among them is what only follows from a refusal, because who pipelines
    /// has sent RCPT and DATA before it could know (RFC 2920 §3.1); nor a command that only lacks TLS or a login, nor a
    /// login that was broken off.
    @discardableResult
    package mutating func drainRefusals(_ body: (_ verb: Verb?, _ reply: Reply) -> Void) -> Int { refusals.drain(body) }

    /// The client waits for a TLS handshake: what was to be said before it has been said.
    package var isBeforeHandshake: Bool { phase == .handshake }

    func isFault(_ refusal: Reply, to verb: Verb?) -> Bool {
        switch refusal.code {
        case 503:
            if refusal == StandardReplies.chunkFailed { return false }
            return !(mailRefused && (verb == .rcpt || verb == .data || verb == .bdat))
        case 501: return refusal != StandardReplies.authCancelled
        case 500, 502, 504, 555: return true
        default: return false
        }
    }
}
