/// Why a connection ended, as its driver is told once.
package enum CloseReason: Sendable, Equatable {
    /// The driver asked for it.
    case local
    /// The peer ended its side (FIN) of a plain connection.
    case peerClosed
    /// The peer ended the TLS session properly (close_notify). Nothing after it is ever read as plaintext.
    case tlsClosed
    /// The TCP connection ended inside a TLS session: what came may have been cut off by anybody.
    case tlsTruncated
    /// The handshake or a record was refused; OpenSSL's reason.
    case tlsFailed(String)
    /// The peer's certificate is not what `TLSVerification` asks for; OpenSSL's text. `Connection.tlsInfo` has what was
    /// seen of it.
    case tlsUnverified(TLSFailureKind, String)
    /// The peer did not take our last bytes in time.
    case timedOut
    /// The socket failed; the errno value.
    case reset(Int32)
    /// An outbound connection was never made; the errno value.
    case connectFailed(Int32)
    /// The driver wrote more than `ReactorLimits.outputBytesMax` without waiting for `drained`.
    case outputOverflow
    /// The reactor is ending.
    case stopping
}
