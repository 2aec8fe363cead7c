import Base
import Handoff
import Policy
import Protocols

/// What operators ask, asked of the running server's table, book and journal.
extension ControlDefenseHooks {
    /// Clients looked through when only some are wanted.
    private static let lookedAtMax = 100_000

    package init(clients: ClientTable, limits: LimitPublisher, state: DefenseState) {
        self.init()
        let time = SystemTime()
        let releaseClients: @Sendable ([DefenseFilter]) -> DefenseAnswer = { filters in
            .done(filters.reduce(0) { $0 + Self.release($1, clients, limits.current, time.monotonic()) })
        }
        greylist = { state.greylistLines($0, limit: $1, now: time.wall()) }
        self.clients = { kind, filter, limit in
            let all = clients.rows(
                kind == .tarpit ? .tarpit : .limits, limit: filter.block == nil ? limit : Self.lookedAtMax,
                limits.current, now: time.monotonic())
            return all.filter { filter.concerns($0.client) }.prefix(limit).map { ClientLine($0) }
        }
        release = { $0 == .greylist ? state.release($1, now: time.wall()) : releaseClients($1) }
        forget = { $0 == .greylist ? state.forget($1) : releaseClients($1) }
        exceptions = { state.exceptions.current }
        changeExceptions = { state.change($0) }
    }

    private static func release(
        _ filter: DefenseFilter, _ clients: ClientTable, _ settings: LimitSettings, _ now: Instant
    ) -> Int {
        let everybody = [IPAddress(v4: 0, 0, 0, 0), IPAddress(bytes: [UInt8](repeating: 0, count: 16))]
            .compactMap { $0.map { AddressBlock($0, prefix: 0) } }
        return (filter.block.map { [$0] } ?? everybody).reduce(0) { $0 + clients.release($1, settings, now: now) }
    }
}

extension ClientLine {
    init(_ row: ClientRow) {
        self.init(client: "\(row.client)")
        open = row.open
        connections = row.spent.connections
        messages = row.spent.messages
        recipients = row.spent.recipients
        failedLogins = row.spent.failedLogins
        failures = row.failures
        slowedSeconds = row.slowedSeconds
        refused = row.refused.total
        isKnownGood = row.isKnownGood
    }
}
