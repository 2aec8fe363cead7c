/// What the ledger tells its keeper of metrics. All but `dropped` come from the ledger's thread.
package protocol LedgerObserver: Sendable {
    /// A batch is in the file.
    func wrote(records: Int, octets: Int)
    /// Records that found no room in the inbox (any thread) or on the disk.
    func dropped(records: Int)
    /// After each change: the segments there are and their octets, indexes included.
    func holds(segments: Int, octets: Int)
}
