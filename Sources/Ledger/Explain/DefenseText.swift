import Base
import Policy
import Protocols

/// What defences did, line by line, and what an operator can set or release.
enum DefenseText {
    static func lines(_ events: [DefenseEvent]) -> [String] { events.flatMap(lines) }

    private static func lines(_ event: DefenseEvent) -> [String] {
        var line = "\(ShownText.duration(event.afterMicroseconds)) \(event.control.rawValue) \(event.effect.rawValue)"
        if !event.subject.isEmpty { line += " \(ShownText.path(event.subject))" }
        if !event.detail.isEmpty { line += ": \(event.detail.shownText)" }
        var out = [line]
        if let reply = event.reply { out.append("  reply: \(ShownText.reply(reply))") }
        return out
    }

    /// The event that decided what became of a session: the last one by which the client lost something, a defence's
    /// before any other.
    static func decisive(_ events: [DefenseEvent]) -> DefenseEvent? {
        events.last { loss($0.effect) && !$0.control.isPlain } ?? events.last { loss($0.effect) }
    }

    private static func loss(_ effect: DefenseEvent.Effect) -> Bool {
        switch effect {
        case .deferred, .refused, .closed, .quarantined, .discarded: true
        case .noted, .passed, .slowed, .modified: false
        }
    }

    /// Whether `event` may have led to `action`: of a message that was taken, a recipient that was refused says nothing.
    static func fits(_ event: DefenseEvent, _ action: Disposition.Action) -> Bool {
        // That was before the end of data.
        if event.control.isPlain { return false }
        return switch action {
        case .accept: event.effect == .discarded
        case .quarantine: event.effect == .quarantined
        case .postpone: event.effect == .deferred || event.effect == .closed
        case .reject: event.effect == .refused || event.effect == .closed
        }
    }

    /// `deferred by greylist: a new sender, …`
    static func summary(_ event: DefenseEvent) -> String {
        let detail = event.detail.isEmpty ? "" : ": \(event.detail.shownText)"
        return "\(event.effect.rawValue) by \(event.control.rawValue)\(detail)"
    }

    // MARK: Remedies

    /// Of each control and recipient, first of what took something from the client, then of what slowed or changed it.
    /// `receiving`: the domains the mail was for, as far as they are known.
    static func remedies(
        _ events: [DefenseEvent], _ session: SessionFacts, _ id: String, receiving: [[UInt8]]
    ) -> [String] {
        var out: [String] = []
        var seen: Set<String> = []
        let losses = events.filter { loss($0.effect) }
        for event in losses + events.filter({ $0.effect == .slowed || $0.effect == .modified }) {
            for remedy in remedies(event, session, id, receiving) where seen.insert(remedy).inserted {
                out.append(remedy)
            }
        }
        return out
    }

    private static func remedies(
        _ event: DefenseEvent, _ session: SessionFacts, _ id: String, _ receiving: [[UInt8]]
    ) -> [String] {
        if event.control.isPlain { return PlainRemedies.of(event, session) }
        let client = session.peer?.description ?? "ADDRESS"
        let domain = self.domain(event)
        switch event.control {
        case .limit:
            return [
                "`martlet limits release \(client)` sets what is counted for it to zero, `martlet limits allow \(client)` "
                    + "exempts it for good; smtp.max_connections_per_ip, smtp.max_connections_per_network and "
                    + "smtp.rate_limit.* set the limits, smtp.trusted_networks who is not held to them"
            ]
        case .greylist:
            return [
                "nothing to do: a mail server tries again by itself and is let in then",
                "`martlet greylist release --id \(id)` lets it in now, `martlet greylist allow \(client)` exempts the client "
                    + "for good, a sender's domain, where SPF proves it, by `martlet greylist allow DOMAIN`",
                "`martlet domain set \(domain) greylist_delay=5` waits for less, greylist=false does not wait at all",
            ]
        case .tarpit:
            return [
                "`martlet tarpit release \(client)` forgets its failures, `martlet tarpit allow \(client)` never slows it; "
                    + "`martlet domain set \(domain) tarpit=false` slows nobody"
            ]
        case .score:
            return [
                "`martlet check lists --ip \(client)` shows what the lists say of it now; its operators have to be taken off "
                    + "a list that names it, and to give it a name in DNS that leads back to it",
                "`martlet domain set \(domain) score_reject=0` refuses nobody for it; lists, score_reverse, score_helo and "
                    + "score_early_talker set what counts, a list with a negative weight welcomes",
            ]
        case .milter where event.effect == .quarantined:
            return [
                "the filter decided: its own log says why; what was to leave is held in the queue: `martlet queue show "
                    + "\(id)` shows it, `martlet queue release --id \(id)` sends it, `martlet queue delete --id \(id)` does not"
            ]
        case .milter:
            let domain = self.domain(event, of: receiving)
            return [
                "the filter decided: its own log says why; `martlet domain set \(domain) milters=none` takes its mail around "
                    + "the filters, smtp.milters says what happens when one is down (on_failure)"
            ]
        case .pressure:
            return [
                "the server was short of what is named above: `martlet top` shows what is scarce now; the client tries again "
                    + "by itself, and clients known to be good are served first"
            ]
        case .rate:
            let account = ShownText.argument(session.user, or: "ACCOUNT")
            return [
                "if its user did not send that much, somebody else has the password: `martlet account passwd \(account)` "
                    + "sets another, `martlet queue hold --from \(account)` keeps back what still waits",
                "`martlet limits release \(account)` sets what is counted of the account to zero; "
                    + "smtp.rate_limit.account_messages_per_hour and account_recipients_per_hour set the limits, "
                    + "smtp.rate_limit.account_exempt who is not held to them",
            ]
        case .poison:
            return [
                "`martlet poison list` and `martlet poison show ID` show what was set aside, `martlet poison release ID` "
                    + "delivers it unchecked; please report what ended the process"
            ]
        case .proxy:
            return [
                "if \(client) is a proxy of yours, smtp.proxy_networks has to name it, and it has to send a PROXY header "
                    + "first; clients belong on a listener without proxy_protocol. `martlet reload` takes the change"
            ]
        case .directory, .protocol, .login, .store: return []
        }
    }

    private static func domain(_ event: DefenseEvent) -> String {
        ShownText.argument(domainOfSubject(event), or: "DOMAIN")
    }

    /// A filter may have refused the sender, whose domain has no say in it: that of a recipient has.
    private static func domain(_ event: DefenseEvent, of receiving: [[UInt8]]) -> String {
        let own = domainOfSubject(event)
        let named = receiving.contains { ASCII.equalIgnoringCase($0, own) } ? own : receiving.first ?? []
        return ShownText.argument(named, or: "DOMAIN")
    }

    private static func domainOfSubject(_ event: DefenseEvent) -> [UInt8] {
        event.subject.lastIndex(of: ASCII.at).map { Array(event.subject[($0 + 1)...]) } ?? []
    }
}
