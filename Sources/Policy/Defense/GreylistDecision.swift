import Base
package import Protocols

/// What greylisting says about one recipient. Made by `Greylisting` or the greylist book, acted on by the session.
package enum GreylistDecision: Sendable, Hashable {
    /// Never seen, or seen too long ago: 450.
    case deferNew(secondsLeft: Int)
    /// Came back before its time: 450, or 421 where the domain says so.
    case deferEarly(secondsLeft: Int, closes: Bool)
    /// Came back in time, `delaySeconds` after it was first put off.
    case passedNow(delaySeconds: Int)
    case known
    case skipped(GreylistSkip)

    package var isDeferred: Bool {
        switch self {
        case .deferNew, .deferEarly: true
        case .passedNow, .known, .skipped: false
        }
    }

    /// What the client is told; nil: the recipient is taken. The driver puts the message's id behind the text.
    package var reply: Reply? {
        switch self {
        case .deferNew(let left):
            // RFC 6647 §5: a temporary refusal that says why.
            return Reply(450, EnhancedStatus(4, 7, 1), "Greylisted: new sender, please try again \(Self.when(left))")
        case .deferEarly(let left, let closes):
            let text = "Greylisted: too early, please try again \(Self.when(left))"
            return Reply(closes ? 421 : 450, EnhancedStatus(4, 7, 1), text)
        case .passedNow, .known, .skipped:
            return nil
        }
    }

    /// For the ledger; nil when greylisting had no part in it.
    package func event(key: GreylistKey?, recipient: [UInt8], afterMicroseconds: UInt64 = 0) -> DefenseEvent? {
        guard let (effect, detail) = told(key) else { return nil }
        return DefenseEvent(
            .greylist, effect, subject: recipient, detail: detail, reply: reply, afterMicroseconds: afterMicroseconds)
    }

    private func told(_ key: GreylistKey?) -> (DefenseEvent.Effect, String)? {
        let who = key.map { " (\($0.shown))" } ?? ""
        switch self {
        case .deferNew(let left):
            return (.deferred, "first attempt\(who); taken \(Self.when(left)) or later")
        case .deferEarly(let left, let closes):
            return (closes ? .closed : .deferred, "came back too early\(who); taken \(Self.when(left)) or later")
        case .passedNow(let delay):
            return (.passed, "came back after \(Self.duration(delay))\(who); known from now on")
        case .known:
            return (.passed, "known sender\(who)")
        case .skipped(.off), .skipped(.noClient):
            return nil
        case .skipped(let why):
            return (.passed, "not greylisted: \(why.meaning)")
        }
    }

    /// Follows the detail of an event where SPF is not asked.
    package static let networkOnly = Array(
        "; clients are known by their network alone, because auth.enabled is false".utf8)

    private static func when(_ seconds: Int) -> String { "in \(duration(max(1, seconds)))" }

    /// `45 seconds`, `5 minutes 22 seconds`, `15 minutes`, `2 hours 5 minutes`; from a quarter of an hour on, minutes are
    /// rounded up.
    package static func duration(_ seconds: Int) -> String {
        if seconds < 60 { return counted(seconds, "second") }
        if seconds < 900, seconds % 60 != 0 {
            return counted(seconds / 60, "minute") + " " + counted(seconds % 60, "second")
        }
        let minutes = seconds / 60 + (seconds % 60 == 0 ? 0 : 1)
        if minutes < 60 { return counted(minutes, "minute") }
        if minutes < 2_880 {
            let rest = minutes % 60
            return counted(minutes / 60, "hour") + (rest == 0 ? "" : " " + counted(rest, "minute"))
        }
        return counted(minutes / 1_440, "day")
    }

    private static func counted(_ n: Int, _ unit: String) -> String { "\(n) \(unit)\(n == 1 ? "" : "s")" }
}

/// Why a recipient was not greylisted.
package enum GreylistSkip: String, Sendable, Hashable, CaseIterable {
    /// The domain does not greylist.
    case off
    /// Logged in, or from a network that may relay.
    case trusted
    /// No address to know the client by: a local socket.
    case noClient = "no_client"
    /// Operators exempt the client's address.
    case allowedClient = "allowed_client"
    /// Operators exempt the sender's domain, and SPF proves it.
    case allowedDomain = "allowed_domain"
    /// The domain's own list names the proven sender domain.
    case skipDomain = "skip_domain"
    /// Welcome lists and the like speak for the client.
    case score

    package var meaning: String {
        switch self {
        case .off: "the domain does not greylist"
        case .trusted: "the client is trusted"
        case .noClient: "a local client"
        case .allowedClient: "an operator exempted the client's address"
        case .allowedDomain: "an operator exempted the sender's domain, and it is proven"
        case .skipDomain: "the sender's domain is proven and in greylist_skip_domains"
        case .score: "the client's score is good enough (greylist_skip_score)"
        }
    }
}

extension GreylistKey {
    /// For people: `192.0.2.0/24, a@b.example`.
    package var shown: String {
        let name = sender.isEmpty ? "<>" : String(validating: sender, as: UTF8.self) ?? "a sender that is not UTF-8"
        return (String(validating: identity, as: UTF8.self) ?? "?") + ", " + name
    }
}
