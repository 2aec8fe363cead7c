import Base
import Policy
import Protocols

/// What an operator can set or release about what defences and plain rules did. What fits several events is said once, with
/// the first of those that it holds for.
struct DefenseRemedies {
    private static let namedMax = 3
    /// Of `greylist_delay`.
    private static let greylistMinutesMin = 5

    let session: SessionFacts
    /// Of the message or session.
    let id: String
    /// An address, or a network whose connections share the record.
    private let client: String
    /// The rules of receiving domains, as far as they are recorded.
    var rules: [[UInt8]: DomainPolicy] = [:]
    /// The domains the mail was for, as far as they are known and ours to set.
    let receiving: [[UInt8]]
    /// Some of the message is held in the queue.
    var isHeld = true

    init(_ record: ConnectionRecord) {
        session = record.session
        id = record.id.shownText
        let address = record.session.peer?.description ?? "ADDRESS"
        client = record.connections == 1 ? address : ShownText.network(record.network) ?? address
        receiving = record.rules.map(\.domain)
        for each in record.rules { rules[each.domain] = each.policy }
    }

    init(_ record: DecisionRecord) {
        session = record.session
        id = record.id.shownText
        client = record.session.peer?.description ?? "ADDRESS"
        for verdict in record.verdicts { rules[verdict.domain] = verdict.policy }
        // What a user sends goes to domains that are not ours to set.
        receiving = record.session.user.isEmpty ? record.recipients.map(\.domain) : []
        isHeld = record.recipients.contains { record.outcome(of: $0) == .held }
    }

    /// Of each control, first of what took something from the client, then of what slowed or changed it.
    func of(_ events: [DefenseEvent]) -> [String] {
        let losses = events.indices.filter { events[$0].effect.isLoss && !Self.follows($0, in: events) }
        let rest = events.indices.filter { events[$0].effect == .slowed || events[$0].effect == .modified }
        var groups: [Group] = []
        for event in (losses + rest).map({ events[$0] }) {
            let said = of(event)
            guard !said.isEmpty else { continue }
            let kind = Kind(event)
            guard let i = groups.firstIndex(where: { $0.kind == kind }) else {
                groups.append(Group(kind: kind, said: said, isFirst: event.subject))
                continue
            }
            groups[i].add(said, event.subject)
        }
        var seen: Set<String> = []
        return groups.flatMap(\.folded).filter { seen.insert($0).inserted }
    }

    /// What makes remedies alike but for the names in them.
    private struct Kind: Equatable {
        let control: DefenseEvent.Control
        let effect: DefenseEvent.Effect
        let code: UInt16?
        let status: EnhancedStatus?
        let limit: [UInt8]

        init(_ event: DefenseEvent) {
            control = event.control
            effect = event.effect
            code = event.reply?.code
            status = event.reply?.enhanced
            if case .limit(let figures) = event.figures { limit = figures.key } else { limit = [] }
        }
    }

    /// Remedies of one kind: in the words for the first event, the others named.
    private struct Group {
        let kind: Kind
        private var said: [String]
        private var named: [[UInt8]]
        /// The first text that differs from event to event.
        private var place: Int?

        init(kind: Kind, said: [String], isFirst subject: [UInt8]) {
            self.kind = kind
            self.said = said
            named = [subject]
        }

        mutating func add(_ other: [String], _ subject: [UInt8]) {
            guard let differs = zip(said, other).enumerated().first(where: { $1.0 != $1.1 })?.offset,
                !subject.isEmpty, !named.contains(subject)
            else { return }
            place = place ?? differs
            named.append(subject)
        }

        var folded: [String] {
            guard let place else { return said }
            var out = said
            let likewise = named.dropFirst().prefix(DefenseRemedies.namedMax - 1).map { ShownText.path($0) }
            let more = named.count - 1 - likewise.count
            out[place] += "; likewise " + likewise.joined(separator: ", ") + (more > 0 ? " and \(more) more" : "")
            return out
        }
    }

    /// A command out of order because we refused the one before it: nothing that its client could do otherwise.
    static func follows(_ index: Int, in events: [DefenseEvent]) -> Bool {
        let event = events[index]
        guard event.control == .protocol, let reply = event.reply, reply.code == 503 || reply.code == 554,
            reply.enhanced == EnhancedStatus(5, 5, 1)
        else { return false }
        return events[..<index].contains { $0.effect.isLoss && $0.control != .protocol }
    }

    private func of(_ event: DefenseEvent) -> [String] {
        switch event.control {
        case .directory, .protocol, .login, .store: PlainRemedies.of(event, session)
        case .limit: [limit(event)]
        case .greylist: greylist(event)
        case .tarpit: [tarpit(event)]
        case .score: score(event)
        case .milter: [filter(event)]
        case .pressure: [Self.pressure]
        case .rate: rate()
        case .poison:
            [
                "`martlet poison list` and `martlet poison show ID` show what was set aside, `martlet poison release ID` "
                    + "delivers it unchecked; please report what ended the process"
            ]
        case .proxy: [proxy(event)]
        }
    }

    // MARK: Names

    /// The receiving domain that an event is about.
    private func name(_ event: DefenseEvent) -> [UInt8] {
        let subject = event.subject
        let own = subject.lastIndex(of: ASCII.at).map { Array(subject[($0 + 1)...]) } ?? subject
        // A filter may have refused the sender, whose domain has no say in it: that of a recipient has.
        guard event.control == .milter else { return own }
        func heeds(_ domain: [UInt8]) -> Bool { rules[ASCII.lowercased(domain)]?.defense.milters != .off }
        if receiving.contains(where: { ASCII.equalIgnoringCase($0, own) }), heeds(own) { return own }
        return receiving.first(where: heeds) ?? []
    }

    private func policy(_ event: DefenseEvent) -> DomainPolicy? { rules[ASCII.lowercased(name(event))] }

    private func domain(_ event: DefenseEvent) -> String { ShownText.argument(name(event), or: "DOMAIN") }

    // MARK: Limits

    private func limit(_ event: DefenseEvent) -> String {
        guard case .limit(let figures) = event.figures else {
            return
                "`martlet limits release \(client)` sets what is counted for it to zero, `martlet limits allow \(client)` "
                + "exempts it for good; smtp.max_connections_per_ip, smtp.max_connections_per_network and "
                + "smtp.rate_limit.* set the limits, smtp.trusted_networks who is not held to them"
        }
        let key = figures.key.shownText
        switch key {
        case "smtp.max_connections":
            return
                "nobody is exempt from smtp.max_connections, only its last tenth is for known and trusted clients: set it "
                + "higher, it counts from the next start; `martlet limits list` shows who is connected"
        case "smtp.max_connections_per_ip", "smtp.max_connections_per_network":
            return
                "connections count while they are open: `martlet limits allow \(client)` exempts it for good; \(key) sets "
                + "the limit, smtp.trusted_networks who is not held to it, `martlet reload` takes either"
        case "smtp.lmtp_networks":
            return
                "if \(client) is a front end of yours, smtp.lmtp_networks has to name it; `martlet reload` takes the change"
        default:
            return
                "`martlet limits release \(client)` sets what is counted for it to zero, `martlet limits allow \(client)` "
                + "exempts it for good; \(key) sets the limit"
                + (figures.isOfNetwork ? ", smtp.rate_limit.network_factor how many times that a network has" : "")
                + ", smtp.trusted_networks who is not held to it"
        }
    }

    private func rate() -> [String] {
        let account = ShownText.argument(session.user, or: "ACCOUNT")
        return [
            "if its user did not send that much, somebody else has the password: `martlet account passwd \(account)` "
                + "sets another, `martlet queue hold --from \(account)` keeps back what still waits",
            "`martlet limits release \(account)` sets what is counted of the account to zero; "
                + "smtp.rate_limit.account_messages_per_hour and account_recipients_per_hour set the limits, "
                + "smtp.rate_limit.account_exempt who is not held to them",
        ]
    }

    private static let pressure =
        "the server was short of what is named above: `martlet top` shows what is scarce now; the client tries again by "
        + "itself, and clients known to be good are served first"

    // MARK: Controls of a domain

    private func greylist(_ event: DefenseEvent) -> [String] {
        var proven: [UInt8] = []
        if case .greylist(let figures) = event.figures { proven = figures.proven }
        let sender = ShownText.argument(proven, or: "")
        let least = Self.greylistMinutesMin
        let isLeast = policy(event).map { $0.defense.greylist.delaySeconds <= least * 60 } ?? false
        return [
            "nothing to do: a mail server tries again by itself and is let in then",
            "`martlet greylist release --id \(id)` lets it in now, `martlet greylist allow \(client)` exempts the client "
                + "for good"
                + (sender.isEmpty ? "" : ", `martlet greylist allow \(sender)` the domain that SPF proves"),
            "`martlet domain set \(domain(event)) "
                + (isLeast ? "greylist=false` does" : "greylist_delay=\(least)` waits for less, greylist=false does")
                + " not wait at all",
        ]
    }

    private func tarpit(_ event: DefenseEvent) -> String {
        "`martlet tarpit release \(client)` forgets its failures, `martlet tarpit allow \(client)` never slows it; "
            + "`martlet domain set \(domain(event)) tarpit=false` slows nobody"
    }

    private func score(_ event: DefenseEvent) -> [String] {
        let domain = domain(event)
        let rules = policy(event)?.defense.score
        var out: [String] = []
        if rules.map({ !$0.lists.isEmpty }) ?? true {
            out.append(
                "`martlet check lists --ip \(client) --domain \(domain)` shows what the lists say of it now; its operators "
                    + "have to be taken off a list that names it")
        }
        if rules.map({ $0.reverseWeight > 0 }) ?? true {
            out.append("its operators have to give it a name in DNS that leads back to it, if it has none")
        }
        let what =
            event.effect == .quarantined
            ? "score_quarantine=0` puts nobody's mail into Junk for it" : "score_reject=0` refuses nobody for it"
        out.append(
            "`martlet domain set \(domain) \(what); lists, score_reverse, score_helo and score_early_talker set what counts, "
                + "a list with a negative weight welcomes")
        return out
    }

    private func filter(_ event: DefenseEvent) -> String {
        if event.effect != .quarantined, receiving.isEmpty, session.user.isEmpty {
            return
                "the filter decided: its own log says why; no recipient was known yet, so that no domain has a say; "
                + "`martlet config explain smtp.milters` tells which listeners ask it, and what happens when it is down"
        }
        if event.effect != .quarantined {
            return
                "the filter decided: its own log says why; `martlet domain set \(domain(event)) milters=none` takes its mail "
                + "around the filters, smtp.milters says what happens when one is down (on_failure)"
        }
        let held =
            isHeld
            ? "; what was to leave is held in the queue: `martlet queue show \(id)` shows it, `martlet queue release --id "
                + "\(id)` sends it, `martlet queue delete --id \(id)` does not"
            : "; it is in Junk, from where its owner can take it"
        return "the filter decided: its own log says why" + held
    }

    private func proxy(_ event: DefenseEvent) -> String {
        if event.detail.starts(with: Array("malformed".utf8)) {
            return
                "\(client) is named by smtp.proxy_networks, and what it sends first is no PROXY header: it has to send one "
                + "of version 1 or 2; `martlet config explain smtp.listeners` tells which listener wants it"
        }
        if event.detail.starts(with: Array("timeout".utf8)) {
            return
                "\(client) is named by smtp.proxy_networks and sent no PROXY header: a health check has to send one as well "
                + "(LOCAL or UNKNOWN), or to ask a listener without proxy_protocol; `martlet config explain smtp.listeners`"
        }
        return
            "if \(client) is a proxy of yours, smtp.proxy_networks has to name it, and it has to send a PROXY header "
            + "first; clients belong on a listener without proxy_protocol. `martlet reload` takes the change"
    }
}
