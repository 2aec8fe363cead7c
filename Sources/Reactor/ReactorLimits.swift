/// Every bound of one reactor, by name.
package struct ReactorLimits: Sendable {
    /// Slots for connections, both directions; allocated at start.
    package var connections = 16_384
    package var mailboxCapacity = 16_384
    /// Read from one connection per event.
    package var readBytesPerEvent = 65_536
    package var acceptsPerEvent = 64
    /// Of them turned away: those who are served do not wait for a flood.
    package var refusalsPerEvent = 4
    package var mailboxJobsPerTurn = 4_096
    package var timersPerTurn = 4_096
    /// Sent to one connection per turn.
    package var writeBytesPerTurn = 65_536
    /// Kept of what a driver has not consumed; reading stops when it is full.
    package var inputBytesMax = 65_536
    /// Output at which reading from the peer stops until it is drained.
    package var outputHighWater = 262_144
    /// Output at which the connection is given up.
    package var outputBytesMax = 8 << 20
    /// BIO pair of a session until it moves bulk, and after. With the pair given back an idle server session was
    /// measured at 23 KiB of resident memory (2,000 of them, OpenSSL 3.0).
    package var tlsPairBytes = 4_096
    package var tlsPairBytesMax = 17_408
    /// A TLS session silent for this long gives its BIO pair back.
    package var tlsIdleSeconds = 1.0
    /// For the peer to take our last bytes after `closeAfterFlush`.
    package var flushSeconds = 10.0
    /// For the peer to close first when it is still sending at a close, so that our last reply is not lost to a reset.
    package var lingerSeconds = 2.0
    /// Listeners rest this long after descriptors ran out, unless a connection closes earlier.
    package var acceptPauseSeconds = 0.5

    package init() {}
}
