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
        let mayRelay = origin.isKnown && services.relayNetworks.contains { $0.contains(client?.bytes ?? []) }
        let isExempt = defense.isExempt(client) || mayRelay
        let isKnown = isExempt || defense.clients.isKnownGood(client, now: reactor.now)
        // Once for each connection that is not known: what is left of the descriptors is counted down by it.
        if !isKnown, let pressed = defense.pressure.shed(.connection, known: false) {
            services.metrics.connections.add(listener.label, .pressure)
            c.refusal = recorded(pressed, client, listener)
            return nil
        }
        let verdict = defense.clients.enter(
            client, defense.limits.current, exempt: isExempt, shedUnknown: false, now: reactor.now)
        guard let event = LimitReplies.connection(verdict, defense.limits.current) else {
            return SMTPConnection(c, loop: self, listener: listener, client: origin, isExempt: isExempt)
        }
        services.metrics.connections.add(listener.label, verdict.result)
        if let limit = verdict.limit { services.metrics.defense.limits.add(limit) }
        c.refusal = recorded(event, client, listener)
        return nil
    }

    /// A connection that a proxy made: who is behind it is asked first. Whoever is no proxy of ours is turned away at once.
    func proxied(_ c: Connection, _ listener: ListenerContext) -> (any ConnectionDriver)? {
        guard services.defense.proxies.contains(c.peer.addressBytes) else {
            services.metrics.connections.add(listener.label, .proxy)
            c.refusal = ProxiedConnection.refusal
            return nil
        }
        let peer = c.peer.ipText
        return ProxiedConnection(
            c, networks: services.defense.proxies,
            refused: { [services] refusal, reason in
                services.metrics.connections.add(listener.label, .proxy)
                services.log.warning("proxy_refused") {
                    $0.add("peer", peer)
                    $0.add("refusal", refusal.rawValue)
                    $0.add("reason", reason)
                }
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

    /// The line that says no, under an id while there are not too many of them: a flood must not fill the ledger.
    private func recorded(_ event: DefenseEvent, _ client: IPAddress?, _ listener: ListenerContext) -> [UInt8] {
        var event = event
        services.metrics.defense.count(event)
        guard let reply = event.reply else { return [] }
        var line: [UInt8] = []
        guard let ledger = services.ledger, refusalRecords.take(at: reactor.now) else {
            reply.append(to: &line)
            return line
        }
        let id = ids.next(at: reactor.wall)
        let told = reply.explained(by: id)
        event.reply = told
        var record = ConnectionRecord(
            id: id, time: reactor.wall,
            session: SessionFacts(listener: Array(listener.label.text.utf8), peer: client),
            reason: Array("refused before its greeting".utf8))
        record.reply = told
        record.events = [event]
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
}

extension Reply {
    /// With the id that `explain` knows more under.
    func explained(by id: MessageID) -> Reply {
        Reply(code: code, enhanced: enhanced, text: text + [0x20, 0x28] + id.text + [0x29])
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
