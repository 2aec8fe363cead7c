/// What bounds the decision ledger.
package struct LedgerLimits: Sendable, Equatable {
    /// Octets of all segments with their indexes; the oldest go first.
    package var octets = 2 << 30
    /// Seconds a record is kept.
    package var age = 30 * 86_400
    /// Octets of one segment; less when `octets` is small.
    package var segmentOctets = 64 << 20
    /// Records that may wait for the ledger's thread.
    package var inbox = 8_192

    package init() {}

    package init(octets: Int, age: Int) {
        self.octets = octets
        self.age = age
    }

    /// A whole segment goes at a time, so there must be several.
    var segmentMax: Int { max(min(segmentOctets, octets / 8), 4_096) }
    /// Seconds after which a segment is closed even if it has room.
    var segmentAge: Int { max(min(age / 8, 86_400), 60) }
}
