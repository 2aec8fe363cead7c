import Base
import Protocols
import Store

extension MemorySession {
    private func isLeased(_ row: QueueRow, _ now: WallTime) -> Bool { row.owner != 0 && row.until > now }

    func queueCounts(at now: WallTime) throws(StoreError) -> QueueCounts {
        let rows = state.queue.values
        return QueueCounts(
            total: rows.count, due: rows.count { !$0.isHeld && $0.due <= now },
            leased: rows.count { isLeased($0, now) }, held: rows.count { $0.isHeld })
    }

    func queued(_ filter: QueueFilter, after: QueueRowID?, limit: Int, scanMax: Int, at now: WallTime)
        throws(StoreError) -> QueuePage
    {
        var page = QueuePage(rows: [], next: nil)
        var scanned = 0
        for (id, row) in state.queue.sorted(by: {
            ($0.key.message, $0.key.recipient) < ($1.key.message, $1.key.recipient)
        }) {
            if let after, (id.message, id.recipient) <= (after.message, after.recipient) { continue }
            scanned += 1
            let shown = shown(id, row, now)
            if filter.matches(shown) { page.rows.append(shown) }
            if page.rows.count >= max(1, limit) || scanned >= max(1, scanMax) {
                page.next = id
                break
            }
        }
        return page
    }

    private func shown(_ id: QueueRowID, _ row: QueueRow, _ now: WallTime) -> QueuedRecipient {
        let message = state.messages[id.message]?.stored
        return QueuedRecipient(
            row: id, address: row.recipient.address, sender: row.recipient.sender ?? message?.sender ?? [],
            attempts: row.attempts, due: row.due, isLeased: isLeased(row, now), isHeld: row.isHeld, status: row.status,
            host: row.host, site: row.recipient.site, lastAttempt: row.last,
            received: message?.received ?? WallTime(microseconds: 0), size: size(id.message))
    }

    func queueSites(at now: WallTime) throws(StoreError) -> [QueueSiteCounts] {
        let sites = Dictionary(grouping: state.queue, by: { $0.value.recipient.site })
        return sites.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { site, rows in
            let oldest = rows.map(\.key.message).min().flatMap { state.messages[$0]?.stored.received }
            return QueueSiteCounts(
                site: site, rows: rows.count, held: rows.count { $0.value.isHeld },
                leased: rows.count { isLeased($0.value, now) },
                due: rows.filter { !$0.value.isHeld }.map(\.value.due).min(),
                oldest: oldest ?? WallTime(microseconds: 0))
        }
    }

    func nextDue(_ site: [UInt8]) throws(StoreError) -> WallTime? {
        state.queue.values.filter { $0.recipient.site == site && !$0.isHeld }.map(\.due).min()
    }

    func aged(_ site: [UInt8], warned: MessageID, expired: MessageID, limit: Int, at now: WallTime)
        throws(StoreError) -> [QueueRowID]
    {
        let found = state.queue.filter { id, row in
            row.recipient.site == site && !row.isHeld && (row.owner == 0 || row.due <= now)
                && (id.message < expired || (id.message < warned && !row.isWarned))
        }
        return Array(found.keys.prefix(max(0, limit)))
    }

    func expiredLeases(of owner: LeaseOwner, limit: Int, at now: WallTime) throws(StoreError) -> [OwnedLease] {
        state.queue.filter { $0.value.owner == owner.rawValue && $0.value.due <= now }.prefix(max(0, limit)).map {
            OwnedLease(
                lease: Lease(row: $0, generation: $1.generation, until: $1.until), site: $1.recipient.site)
        }
    }

    func queueHolds() throws(StoreError) -> [QueueHold] {
        state.holds.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map { QueueHold(site: $0, since: $1) }
    }

    func lease(site: [UInt8], count: Int, owner: LeaseOwner, until: WallTime, now: WallTime) throws(StoreError)
        -> LeasedBatch
    {
        let due = state.queue.filter {
            $0.value.recipient.site == site && !$0.value.isHeld && $0.value.due <= now
                && $0.value.owner != owner.rawValue
        }
        let first = due.sorted {
            ($0.value.due, $0.key.message, $0.key.recipient) < ($1.value.due, $1.key.message, $1.key.recipient)
        }
        let rows = first.prefix(max(0, count)).compactMap { take($0.key, owner, until) }
        let waiting = state.queue.values.filter {
            $0.recipient.site == site && !$0.isHeld && ($0.due > now || $0.owner != owner.rawValue)
        }
        return LeasedBatch(rows: rows, nextDue: waiting.map(\.due).min())
    }

    func lease(rows: [QueueRowID], owner: LeaseOwner, until: WallTime, now: WallTime) throws(StoreError)
        -> [LeasedRecipient]
    {
        rows.compactMap { id in
            guard let row = state.queue[id], !isLeased(row, now), row.owner != owner.rawValue else { return nil }
            return take(id, owner, until)
        }
    }

    private func take(_ id: QueueRowID, _ owner: LeaseOwner, _ until: WallTime) -> LeasedRecipient? {
        guard var row = state.queue[id], let message = state.messages[id.message] else { return nil }
        row.due = until
        row.until = until
        row.owner = owner.rawValue
        row.generation += 1
        state.queue[id] = row
        return LeasedRecipient(
            lease: Lease(row: id, generation: row.generation, until: until), recipient: row.recipient,
            attempts: row.attempts, message: message.stored, isWarned: row.isWarned)
    }

    func takeBack(exceptOf owner: LeaseOwner, now: WallTime) throws(StoreError) -> Int {
        let rows = state.queue.filter { $0.value.owner != 0 && $0.value.owner != owner.rawValue }
        for id in rows.keys {
            state.queue[id]?.owner = 0
            state.queue[id]?.due = now
            state.queue[id]?.generation += 1
        }
        return rows.count
    }

    /// Changes the row the lease is for, if it is for this generation of it.
    private func fenced(_ lease: Lease, needsOwner: Bool, _ change: (inout QueueRow) -> Void) -> Bool {
        guard var row = state.queue[lease.row], row.generation == lease.generation, !needsOwner || row.owner != 0
        else { return false }
        change(&row)
        state.queue[lease.row] = row
        return true
    }

    func settle(_ outcomes: [Outcome]) throws(StoreError) -> [Bool] {
        outcomes.map { outcome in
            switch outcome.result {
            case .done:
                guard fenced(outcome.lease, needsOwner: false, { _ in }) else { return false }
                state.queue[outcome.lease.row] = nil
                letGo(outcome.lease.row.message)
                return true
            case .deferred(let until, let status, let note):
                return fenced(outcome.lease, needsOwner: false) {
                    $0.due = until
                    $0.owner = 0
                    $0.generation += 1
                    $0.isWarned = $0.isWarned || note.isWarned
                    if let attempted = note.attempted {
                        $0.attempts += 1
                        $0.status = status
                        $0.host = note.host
                        $0.last = attempted
                    }
                }
            }
        }
    }

    func extend(_ leases: [Lease], until: WallTime) throws(StoreError) -> [Bool] {
        leases.map { lease in
            fenced(lease, needsOwner: true) {
                $0.due = until
                $0.until = until
            }
        }
    }

    func release(_ leases: [Lease], now: WallTime) throws(StoreError) -> [Bool] {
        leases.map { lease in
            fenced(lease, needsOwner: true) {
                $0.due = now
                $0.owner = 0
                $0.generation += 1
            }
        }
    }

    // MARK: operators

    func setHeld(_ rows: [QueueRowID], _ held: Bool) throws(StoreError) -> Int {
        rows.count { id in
            guard let row = state.queue[id], row.isHeld != held else { return false }
            state.queue[id]?.isHeld = held
            return true
        }
    }

    func makeDue(_ rows: [QueueRowID], now: WallTime) throws(StoreError) -> Int {
        rows.count { id in
            guard let row = state.queue[id], !isLeased(row, now) else { return false }
            state.queue[id]?.due = now
            return true
        }
    }

    func removeQueued(_ rows: [QueueRowID]) throws(StoreError) -> Int {
        rows.count { id in
            guard state.queue.removeValue(forKey: id) != nil else { return false }
            letGo(id.message)
            return true
        }
    }

    func holdSite(_ site: [UInt8], now: WallTime) throws(StoreError) -> Bool {
        guard state.holds[site] == nil else { return false }
        state.holds[site] = now
        return true
    }

    func releaseSite(_ site: [UInt8]) throws(StoreError) -> Bool { state.holds.removeValue(forKey: site) != nil }

    // MARK: transport security

    func stsPolicies() throws(StoreError) -> [STSPolicyRecord] {
        state.policies.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.value)
    }

    func saveSTSPolicy(_ record: STSPolicyRecord) throws(StoreError) { state.policies[record.domain] = record }
    func removeSTSPolicy(domain: [UInt8]) throws(StoreError) { state.policies[domain] = nil }

    func tlsResults(from: Int, to: Int) throws(StoreError) -> [TLSResultRow] {
        func order(_ row: TLSResultRow) -> [UInt8] { row.key.domain + [0] + row.key.host + [0] }
        let rows = state.results.values.filter { (from...max(from, to)).contains($0.key.day) }
        return rows.sorted {
            if order($0) != order($1) { return order($0).lexicographicallyPrecedes(order($1)) }
            return ($0.key.day, $0.key.policy.rawValue, $0.key.result.rawValue)
                < ($1.key.day, $1.key.policy.rawValue, $1.key.result.rawValue)
        }
    }

    func addTLSResults(_ rows: [TLSResultRow]) throws(StoreError) {
        for row in rows {
            if state.results[row.key] == nil { state.results[row.key] = row } else { state.results[row.key]?.add(row) }
        }
    }

    func removeTLSResults(before day: Int) throws(StoreError) {
        state.results = state.results.filter { $0.key.day >= day }
    }
}
