package import Base
package import Protocols

package struct QueueCounts: Sendable, Hashable {
    package let total: Int
    /// Not held, and its time has come or its lease has run out.
    package let due: Int
    package let leased: Int
    package let held: Int

    package init(total: Int, due: Int, leased: Int, held: Int = 0) {
        self.total = total
        self.due = due
        self.leased = leased
        self.held = held
    }
}

package protocol QueueReader: AnyObject {
    func queueCounts(at now: WallTime) throws(StoreError) -> QueueCounts
    /// The rows that match, by message and recipient, from after `after`: at most `limit`, and at most `scanMax` rows are
    /// looked at. The page may be empty and yet have a next one.
    func queued(_ filter: QueueFilter, after: QueueRowID?, limit: Int, scanMax: Int, at now: WallTime)
        throws(StoreError) -> QueuePage
    /// Every destination with rows, by name.
    func queueSites(at now: WallTime) throws(StoreError) -> [QueueSiteCounts]
    /// When the next row of `site` that is not held becomes due or its lease ends; nil: there is none.
    func nextDue(_ site: [UInt8]) throws(StoreError) -> WallTime?
    /// Rows of `site`, neither held nor leased, of messages with an id below `warned` whose sender was not told yet, or
    /// below `expired`; at most `limit`.
    func aged(_ site: [UInt8], warned: MessageID, expired: MessageID, limit: Int, at now: WallTime)
        throws(StoreError) -> [QueueRowID]
    /// Leases of the owner that have run out, with their destinations: rows that nobody else was given yet.
    func expiredLeases(of owner: LeaseOwner, limit: Int, at now: WallTime) throws(StoreError) -> [OwnedLease]
    func queueHolds() throws(StoreError) -> [QueueHold]
}

package protocol QueueStore: QueueReader {
    /// Keeps the message. A spooled body must be durable already; `StoreGateway.accept` sees to that.
    func accept(_ request: AcceptRequest) throws(StoreError)
    /// Leases up to `count` rows of `site` that are due, earliest first, those of one message together. Held rows are never
    /// due, rows whose lease ran out are. Whether the destination is held is the caller's business.
    func lease(site: [UInt8], count: Int, owner: LeaseOwner, until: WallTime, now: WallTime) throws(StoreError)
        -> LeasedBatch
    /// Leases those of `rows` that nobody has leased, due or not.
    func lease(rows: [QueueRowID], owner: LeaseOwner, until: WallTime, now: WallTime) throws(StoreError)
        -> [LeasedRecipient]
    /// Ends the leases of every owner but `owner`, running or not: for the start of the one process that has the store open,
    /// when all others must be dead. Their rows are due at once; how many.
    func takeBack(exceptOf owner: LeaseOwner, now: WallTime) throws(StoreError) -> Int
    /// One answer per outcome; false: the lease is not the row's any more and nothing was changed.
    func settle(_ outcomes: [Outcome]) throws(StoreError) -> [Bool]
    func extend(_ leases: [Lease], until: WallTime) throws(StoreError) -> [Bool]
    /// Gives rows back unattempted; they are due at once.
    func release(_ leases: [Lease], now: WallTime) throws(StoreError) -> [Bool]

    // For operators. Rows that are not there are passed over; how many there were.

    /// A held row is not handed out. One at a worker is left to it: it is held if it comes back.
    func setHeld(_ rows: [QueueRowID], _ held: Bool) throws(StoreError) -> Int
    /// Due at once, but for rows at a worker.
    func makeDue(_ rows: [QueueRowID], now: WallTime) throws(StoreError) -> Int
    /// Removes rows, leased or not, without a word to anybody.
    func removeQueued(_ rows: [QueueRowID]) throws(StoreError) -> Int
    /// Keeps that nothing is to be sent to `site`; false: it was held already.
    func holdSite(_ site: [UInt8], now: WallTime) throws(StoreError) -> Bool
    /// false: it was not held.
    func releaseSite(_ site: [UInt8]) throws(StoreError) -> Bool
}

/// What is known of other servers' transport security.
package protocol TransportReader: AnyObject {
    // RFC 8461 §5.1
    func stsPolicies() throws(StoreError) -> [STSPolicyRecord]
    /// Of the days `from` to `to`, both included; by domain, host, day.
    func tlsResults(from: Int, to: Int) throws(StoreError) -> [TLSResultRow]
}

package protocol TransportStore: TransportReader {
    func saveSTSPolicy(_ record: STSPolicyRecord) throws(StoreError)
    func removeSTSPolicy(domain: [UInt8]) throws(StoreError)
    /// Adds each row's sessions to those of its key and takes over its facts.
    func addTLSResults(_ rows: [TLSResultRow]) throws(StoreError)
    /// Forgets the days before `day`.
    func removeTLSResults(before day: Int) throws(StoreError)
}
