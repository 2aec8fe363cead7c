import COpenSSL

/// What one call into the TLS engine came to.
enum TLSStep {
    case progressed(Int)
    /// The engine needs bytes of the peer.
    case wantsPeer
    /// The engine's output must be sent first.
    case wantsRoom
    /// close_notify came.
    case closed
    case failed(String)
}

/// A session a client may resume: with the same name and the same demands only, because a resumed session checks nothing.
package final class TLSSession {
    let pointer: OpaquePointer
    let serverName: String?
    let verification: TLSVerification

    init(_ pointer: OpaquePointer, serverName: String?, verification: TLSVerification) {
        self.pointer = pointer
        self.serverName = serverName
        self.verification = verification
    }

    deinit { SSL_SESSION_free(pointer) }
}

/// An SSL session and the BIO pair between it and the socket. Socket reads and sends use the pair's memory directly.
/// An idle session holds no pair; it is made again when bytes move.
final class TLSChannel {
    let ssl: OpaquePointer
    /// The socket's end of the pair; the session owns the other.
    private var outer: OpaquePointer?
    private let context: TLSContext
    let isServer: Bool
    private let serverName: String?
    private let verification: TLSVerification
    /// Clients only.
    let check: TLSCheck?
    private let pairBytesMax: Int
    private var pairBytes: Int
    private(set) var isHandshaking = true
    private var isShutDown = false
    /// Bytes moved since the last sweep.
    var isActive = true
    /// The reactor's sweep knows of the pair.
    var isSwept = false

    init?(server context: TLSContext, _ limits: ReactorLimits) {
        guard let ssl = SSL_new(context.pointer) else { return nil }
        self.ssl = ssl
        self.context = context
        isServer = true
        serverName = nil
        verification = .opportunistic
        check = nil
        pairBytes = limits.tlsPairBytes
        pairBytesMax = limits.tlsPairBytesMax
        SSL_set_accept_state(ssl)
        guard makePair() else { return nil }
    }

    init?(
        client context: TLSContext, serverName: String?, verification: TLSVerification, observing: TLSVerification?,
        resume: TLSSession?, _ limits: ReactorLimits
    ) {
        guard let ssl = SSL_new(context.pointer) else { return nil }
        self.ssl = ssl
        self.context = context
        isServer = false
        self.serverName = serverName
        self.verification = verification
        pairBytes = limits.tlsPairBytes
        pairBytesMax = limits.tlsPairBytesMax
        if let serverName { _ = mt_ssl_host_name(ssl, serverName) }
        check = TLSCheck(ssl, verification, observing: observing)
        if let resume, resume.serverName == serverName, resume.verification == verification {
            _ = SSL_set_session(ssl, resume.pointer)
        }
        SSL_set_connect_state(ssl)
        guard makePair() else { return nil }
    }

    deinit {
        SSL_free(ssl)
        if let outer { BIO_free(outer) }
    }

    // MARK: The pair

    private func makePair() -> Bool {
        var inner: OpaquePointer?
        var fresh: OpaquePointer?
        guard mt_bio_pair(&inner, &fresh, pairBytes) == 1 else { return false }
        SSL_set_bio(ssl, inner, inner)
        outer = fresh
        return true
    }

    private func ensurePair() -> Bool { outer != nil || makePair() }

    private var pairIsEmpty: Bool {
        guard let outer else { return true }
        return mt_bio_pending(outer) == 0 && mt_bio_pending(SSL_get_rbio(ssl)) == 0
    }

    var holdsPair: Bool { outer != nil }

    /// Gives the pair back when nothing is in it and the session is between records.
    func releaseIdlePair() -> Bool {
        guard !isHandshaking, pairIsEmpty, SSL_has_pending(ssl) == 0 else { return false }
        dropPair()
        return true
    }

    private func dropPair() {
        SSL_set_bio(ssl, nil, nil)
        if let outer { BIO_free(outer) }
        outer = nil
    }

    /// Bulk is moving: a bigger pair saves system calls. Only while nothing is in the old one.
    private func grow() {
        guard pairBytes < pairBytesMax, !isHandshaking, pairIsEmpty else { return }
        pairBytes = pairBytesMax
        dropPair()
    }

    // MARK: Socket side

    /// Where bytes of the peer may be put; empty when the engine must consume first.
    func inboundRoom() -> UnsafeMutableRawBufferPointer {
        guard ensurePair(), let outer else { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
        var start: UnsafeMutablePointer<CChar>?
        let n = BIO_nwrite0(outer, &start)
        return UnsafeMutableRawBufferPointer(start: start, count: max(0, Int(n)))
    }

    func addInbound(_ n: Int) {
        guard let outer else { return }
        var start: UnsafeMutablePointer<CChar>?
        _ = BIO_nwrite(outer, &start, Int32(truncatingIfNeeded: n))
        isActive = true
    }

    /// Bytes for the peer.
    func outbound() -> UnsafeRawBufferPointer {
        guard let outer else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        var start: UnsafeMutablePointer<CChar>?
        let n = BIO_nread0(outer, &start)
        return UnsafeRawBufferPointer(start: start, count: max(0, Int(n)))
    }

    func removeOutbound(_ n: Int) {
        guard let outer else { return }
        var start: UnsafeMutablePointer<CChar>?
        _ = BIO_nread(outer, &start, Int32(truncatingIfNeeded: n))
        isActive = true
    }

    // MARK: Engine side

    func handshake() -> TLSStep {
        ERR_clear_error()
        let status = SSL_do_handshake(ssl)
        guard status == 1 else { return step(status) }
        isHandshaking = false
        return .progressed(0)
    }

    /// One record's worth of plaintext at most.
    func read(_ into: UnsafeMutableRawBufferPointer) -> TLSStep {
        guard ensurePair() else { return .failed("out of memory") }
        ERR_clear_error()
        let status = SSL_read(ssl, into.baseAddress, Int32(truncatingIfNeeded: min(into.count, 1 << 30)))
        return status > 0 ? .progressed(Int(status)) : step(status)
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> TLSStep {
        if bytes.count > pairBytes { grow() }
        guard ensurePair() else { return .failed("out of memory") }
        ERR_clear_error()
        let status = SSL_write(ssl, bytes.baseAddress, Int32(truncatingIfNeeded: min(bytes.count, 1 << 30)))
        return status > 0 ? .progressed(Int(status)) : step(status)
    }

    /// A read filled the pair: there is probably more.
    func inboundWasFull() { grow() }

    /// Puts close_notify into the output, once.
    func shutDown() {
        guard !isShutDown, !isHandshaking, ensurePair() else { return }
        isShutDown = true
        ERR_clear_error()
        _ = SSL_shutdown(ssl)
        ERR_clear_error()
    }

    private func step(_ status: Int32) -> TLSStep {
        switch SSL_get_error(ssl, status) {
        case SSL_ERROR_WANT_READ: return .wantsPeer
        case SSL_ERROR_WANT_WRITE: return .wantsRoom
        case SSL_ERROR_ZERO_RETURN: return .closed
        default: return .failed(TLSError.reason())
        }
    }

    // MARK: Facts

    var session: TLSSession? {
        guard !isHandshaking, let session = SSL_get1_session(ssl) else { return nil }
        guard SSL_SESSION_is_resumable(session) == 1 else {
            SSL_SESSION_free(session)
            return nil
        }
        return TLSSession(session, serverName: serverName, verification: verification)
    }
}
