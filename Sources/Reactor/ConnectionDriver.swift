/// What a connection tells its owner. All calls come on the reactor's thread, never from inside a call into `Connection`,
/// and none after `closed`.
package protocol ConnectionDriver: AnyObject {
    /// Accepted or connected. For implicit TLS call `startTLSServer` or `startTLSClient` here; `secured` follows.
    func opened(_ c: Connection)
    func secured(_ c: Connection, _ info: TLSInfo)
    /// Bytes of the peer. Returns how many are done with; the rest is kept and offered again, with what came after it,
    /// when more bytes come or `offerInput()` is called. The span is valid during the call only.
    func received(_ c: Connection, _ bytes: Span<UInt8>) -> Int
    /// The peer ended its side while reading was paused and `watchForEnd` was on, which is off now; what came before the
    /// end has not been read.
    func peerEnded(_ c: Connection)
    /// Everything written has been handed to the system.
    func drained(_ c: Connection)
    /// The deadline passed and is cleared; the driver decides.
    func timedOut(_ c: Connection)
    /// Exactly once, and last.
    func closed(_ c: Connection, _ reason: CloseReason)
}

extension ConnectionDriver {
    package func opened(_ c: Connection) {}
    package func secured(_ c: Connection, _ info: TLSInfo) {}
    package func peerEnded(_ c: Connection) {}
    package func drained(_ c: Connection) {}
    package func timedOut(_ c: Connection) { c.close(.timedOut) }
    package func closed(_ c: Connection, _ reason: CloseReason) {}
}
