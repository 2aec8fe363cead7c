import Base
import Ledger
import Policy
import Protocols
import Reactor
import Telemetry

/// Who is let in: before the banner, with no more work than a look into tables.
extension LoopContext {
    /// The driver of a new connection, or nil with `c.refusal` saying why.
    func admit(_ c: Connection, _ origin: ClientOrigin, _ listener: ListenerContext) -> (any ConnectionDriver)? {
        let client = origin.address
        let defense = services.defense
        let mayRelay = origin.isKnown && settings.mayRelay(client?.bytes ?? [])
        let isFrontEnd = listener.label == .lmtp
        if isFrontEnd, !defense.settings.current.isFrontEnd(client) {
            services.metrics.connections.add(listener.label, .frontEnd)
            c.refusal = recorded(Self.strangerToLMTP, client, listener)
            return nil
        }
        let isExempt = isFrontEnd || defense.isExempt(client) || mayRelay
        let isKnown = isExempt || defense.clients.isKnownGood(client, now: reactor.now)
        // Once for each connection that is not known: what is left of the descriptors is counted down by it.
        if !isKnown, let pressed = defense.pressure.shed(.connection, known: false) {
            services.metrics.connections.add(listener.label, .pressure)
            c.refusal = recorded(pressed, client, listener)
            return nil
        }
        let verdict = defense.clients.enter(
            client, defense.limits.current, exempt: isExempt, shedUnknown: false, now: reactor.now)
        guard let event = LimitReplies.connection(verdict, defense.limits.current, known: isKnown) else {
            return SMTPConnection(c, loop: self, listener: listener, client: origin, isExempt: isExempt)
        }
        services.metrics.connections.add(listener.label, verdict.result)
        if let limit = verdict.limit { services.metrics.defense.limits.add(limit) }
        c.refusal = recorded(event, client, listener)
        return nil
    }

    // RFC 5321 §3.1: 554 for who gets no service. RFC 3463 §3.8: X.7.1, not permitted.
    private static let strangerToLMTP: DefenseEvent = {
        var event = DefenseEvent(
            .limit, .closed, detail: "smtp.lmtp_networks does not name the client",
            reply: Reply(554, EnhancedStatus(5, 7, 1), "LMTP is spoken with front ends of this server only"))
        event.figures = .limit(DefenseFigures.Limit("smtp.lmtp_networks", 0))
        return event
    }()

    /// A connection that a proxy made: who is behind it is asked first. Whoever is no proxy of ours is turned away at once.
    func proxied(_ c: Connection, _ listener: ListenerContext) -> (any ConnectionDriver)? {
        guard services.defense.proxies.contains(c.peer.addressBytes) else {
            services.metrics.connections.add(listener.label, .proxy)
            c.refusal = turnedAway(c, .untrusted, ProxiedConnection.untrustedReason, listener)
            return nil
        }
        return ProxiedConnection(
            c, networks: services.defense.proxies,
            refused: { [unowned self] c, refusal, reason in
                services.metrics.connections.add(listener.label, .proxy)
                return turnedAway(c, refusal, reason, listener)
            },
            makeDriver: { [unowned self] c, header in
                let proxy = IPAddress(bytes: c.peer.addressBytes)
                let origin: ClientOrigin =
                    switch header.origin {
                    // Of its own accord (a health check), or not knowing for whom.
                    case .proxy: ClientOrigin(address: proxy, isKnown: false)
                    case .client(let address, _): ClientOrigin(address: address, isKnown: true)
                    case .local: ClientOrigin(address: nil, isKnown: false)
                    }
                return admit(c, origin, listener) ?? RefusedConnection(c.refusal)
            })
    }

    private func turnedAway(
        _ c: Connection, _ refusal: ProxiedConnection.Refusal, _ reason: String, _ listener: ListenerContext
    ) -> [UInt8] {
        var event = DefenseEvent(
            .proxy, .closed, detail: "\(refusal.rawValue): \(reason)", reply: ProxiedConnection.refusal)
        if refusal == .timeout { event.afterMicroseconds = UInt64(ProxiedConnection.waitSeconds * 1e6) }
        return recorded(event, IPAddress(bytes: c.peer.addressBytes), listener)
    }

    /// The line that says no, under an id. A flood must not fill the ledger: beyond so many a second those of a network
    /// share an id and a record.
    private func recorded(_ event: DefenseEvent, _ client: IPAddress?, _ listener: ListenerContext) -> [UInt8] {
        var event = event
        services.metrics.defense.count(event)
        guard let reply = event.reply else { return [] }
        var line: [UInt8] = []
        guard let ledger = services.ledger else {
            reply.append(to: &line)
            return line
        }
        guard refusalRecords.take(at: reactor.now) else {
            (summarised(event, reply, client, listener) ?? reply).append(to: &line)
            return line
        }
        let id = ids.next(at: reactor.wall)
        let told = reply.explained(by: id)
        event.reply = told
        let record = ConnectionRecord(id: id, refused: event, client, listener, at: reactor.wall)
        ledger.record(LedgerRecord.connection(record).encoded())
        services.log.info("connection_refused") {
            $0.add("id", id.text)
            $0.add("peer", client?.description ?? "")
            $0.add("control", event.control.rawValue)
            $0.add("detail", event.detail)
        }
        told.append(to: &line)
        return line
    }

    /// nil: there is no room for another kind of refusal.
    private func summarised(
        _ event: DefenseEvent, _ reply: Reply, _ client: IPAddress?, _ listener: ListenerContext
    ) -> Reply? {
        services.metrics.defense.summarised.add(1)
        let wasEmpty = refusalDigest.isEmpty
        let told = refusalDigest.add(event, reply, from: client, at: reactor.now) {
            let id = ids.next(at: reactor.wall)
            var event = event
            event.reply = reply.explained(by: id)
            return ConnectionRecord(id: id, refused: event, client, listener, at: reactor.wall)
        }
        if wasEmpty, !refusalDigest.isEmpty {
            reactor.after(RefusalDigest.seconds) { [weak self] in self?.flushDigest() }
        }
        return told
    }
}

extension ConnectionRecord {
    fileprivate init(
        id: MessageID, refused event: DefenseEvent, _ client: IPAddress?, _ listener: ListenerContext, at time: WallTime
    ) {
        self.init(
            id: id, time: time, session: SessionFacts(listener: Array(listener.label.text.utf8), peer: client),
            reason: Array("refused before its greeting".utf8))
        reply = event.reply
        events = [event]
        elapsedMicroseconds = event.afterMicroseconds
    }
}

extension AdmissionVerdict {
    fileprivate var result: ConnectionResult {
        switch self {
        case .admitted: .accepted
        case .full: .limit
        case .fullForPeer: .limitPerIP
        case .fullForNetwork: .limitPerNetwork
        case .tooFast: .rate
        case .tooManyFailedLogins: .failedLogins
        case .shed: .pressure
        }
    }

    /// nil: no limit was reached.
    fileprivate var limit: LimitLabel? {
        switch self {
        case .admitted, .shed: nil
        case .full: .connections
        case .fullForPeer: .connectionsPerIP
        case .fullForNetwork: .connectionsPerNetwork
        case .tooFast(let perNetwork): perNetwork ? .networkConnectionRate : .connectionRate
        case .tooManyFailedLogins: .failedLogins
        }
    }
}

/// Who is at the other end of a connection.
struct ClientOrigin {
    /// nil: a Unix socket.
    let address: IPAddress?
    /// The address is the client's own, as far as anybody can know, and not that of a proxy that names nobody.
    let isKnown: Bool
}
