import Base
import Handoff
import Ledger
import Policy
import Protocols

/// What operators ask, asked of the running server's table, book and journal.
extension ControlDefenseHooks {
    /// Clients looked through when only some are wanted.
    private static let lookedAtMax = 100_000

    package init(clients: ClientTable, limits: LimitPublisher, accounts: AccountTable, state: DefenseState) {
        self.init()
        let time = SystemTime()
        let releaseClients: @Sendable ([DefenseFilter]) -> DefenseAnswer = { filters in
            .done(filters.reduce(0) { $0 + Self.release($1, clients, accounts, limits.current, time.monotonic()) })
        }
        greylist = { state.greylistLines($0, limit: $1, now: time.wall()) }
        self.clients = { kind, filter, limit in
            let hourly = kind == .limits ? Self.accounts(filter, accounts, time.monotonic()) : []
            let all =
                filter.sender != nil
                ? []
                : clients.rows(
                    kind == .tarpit ? .tarpit : .limits, limit: filter.block == nil ? limit : Self.lookedAtMax,
                    limits.current, now: time.monotonic())
            let shown = all.filter { filter.concerns($0.client) }.prefix(limit).map { ClientLine($0) }
            // The worst first: whom something was refused, then who is there, then who merely sends.
            let lines = hourly.filter { $0.refused > 0 } + shown + hourly.filter { $0.refused == 0 }
            return Array(lines.prefix(limit))
        }
        release = { $0 == .greylist ? state.release($1, now: time.wall()) : releaseClients($1) }
        forget = { $0 == .greylist ? state.forget($1) : releaseClients($1) }
        exceptions = { state.exceptions.current }
        changeExceptions = { state.change($0) }
    }

    private static func release(
        _ filter: DefenseFilter, _ clients: ClientTable, _ accounts: AccountTable, _ settings: LimitSettings,
        _ now: Instant
    ) -> Int {
        if let account = filter.sender { return accounts.release(account) }
        let users = filter.block == nil ? accounts.release(nil) : 0
        let everybody = [IPAddress(v4: 0, 0, 0, 0), IPAddress(bytes: [UInt8](repeating: 0, count: 16))]
            .compactMap { $0.map { AddressBlock($0, prefix: 0) } }
        return (filter.block.map { [$0] } ?? everybody).reduce(users) { $0 + clients.release($1, settings, now: now) }
    }

    private static func accounts(_ filter: DefenseFilter, _ accounts: AccountTable, _ now: Instant) -> [ClientLine] {
        guard filter.block == nil else { return [] }
        return accounts.rows(now: now).filter { filter.sender == nil || $0.account == filter.sender }.map {
            ClientLine($0)
        }
    }
}

extension ClientLine {
    init(_ row: AccountRow) {
        self.init(client: row.account.shownText)
        hourly = Hourly(messages: row.messages, recipients: row.recipients)
        refused = row.refused
    }

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
