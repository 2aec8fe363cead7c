import COpenSSL

/// One certificate chain with its key, in PEM files.
package struct TLSKeyPair: Sendable, Equatable {
    package var chainPath: String
    package var keyPath: String

    package init(chainPath: String, keyPath: String) {
        self.chainPath = chainPath
        self.keyPath = keyPath
    }
}

/// The certificates offered under some names: one for each kind of key (RSA and ECDSA side by side).
package struct TLSIdentity: Sendable, Equatable {
    /// Host names, `*.example` allowed; empty for the identity offered when no name fits.
    package var names: [String]
    package var keyPairs: [TLSKeyPair]

    package init(names: [String], keyPairs: [TLSKeyPair]) {
        self.names = names
        self.keyPairs = keyPairs
    }
}

package enum TLSVersion: Sendable { case tls12, tls13 }

package struct TLSServerOptions: Sendable {
    /// The first is the default whatever its names.
    package var identities: [TLSIdentity]
    package var minimumVersion = TLSVersion.tls12
    package var maximumVersion = TLSVersion.tls13
    package var sessionTickets = true
    /// OpenSSL's syntax, for TLS 1.2.
    package var ciphers = TLSContext.defaultCiphers
    package var groups = TLSContext.defaultGroups

    package init(identities: [TLSIdentity]) { self.identities = identities }
}

package struct TLSClientOptions: Sendable {
    package var minimumVersion = TLSVersion.tls12
    package var maximumVersion = TLSVersion.tls13
    /// Check chain and name where `startTLSClient` says nothing else; otherwise any certificate will do (opportunistic TLS,
    /// RFC 7435).
    package var verifies = false
    /// Have the roots at hand for sessions that ask for `.webPKI` themselves.
    package var loadsRoots = false
    /// Roots instead of the system's.
    package var rootsPath: String?
    package var ciphers = TLSContext.defaultCiphers
    package var groups = TLSContext.defaultGroups

    package init() {}

    /// For handing mail on: each session says what it verifies, and where nothing is verified even a key exchange without
    /// forward secrecy beats plaintext.
    package static func outbound(rootsPath: String? = nil) -> TLSClientOptions {
        var options = TLSClientOptions()
        options.loadsRoots = true
        options.rootsPath = rootsPath
        options.ciphers = TLSContext.defaultCiphers + ":kRSA+AESGCM:kRSA+AES"
        return options
    }
}

/// Why a context could not be made: file, and OpenSSL's reason.
package struct TLSError: Error, Sendable, CustomStringConvertible {
    package let description: String
    init(_ what: String) { description = "\(what): \(TLSError.reason())" }

    /// OpenSSL's reason for the last failure of this thread, and an empty queue after it.
    static func reason() -> String {
        let code = ERR_peek_error()
        defer { ERR_clear_error() }
        guard code != 0 else { return "no reason given" }
        guard let text = ERR_reason_error_string(code) else { return "error \(code)" }
        return String(cString: text)
    }
}

/// Certificates and rules of TLS sessions; made once, never changed. A reload makes a new one for new connections.
///
/// Shareable between threads because an SSL_CTX is reference-counted and locked inside, nothing sets anything on it after
/// `init`, and the table of names is constant.
// Safety: see above; the stored pointers are constants freed in `deinit` only.
package final class TLSContext: @unchecked Sendable {
    package static let defaultCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:!aNULL:!MD5:!DSS"
    package static let defaultGroups = "X25519:P-256:P-384"

    let pointer: OpaquePointer
    let isServer: Bool
    let verifies: Bool
    private let others: [(names: [String], context: OpaquePointer)]

    package init(server options: TLSServerOptions) throws(TLSError) {
        guard !options.identities.isEmpty else { throw TLSError("no certificate configured") }
        var made: [(names: [String], context: OpaquePointer)] = []
        do throws(TLSError) {
            for identity in options.identities {
                made.append((identity.names.map { $0.lowercased() }, try TLSContext.make(identity, options)))
            }
        } catch {
            for entry in made { SSL_CTX_free(entry.context) }
            throw error
        }
        pointer = made[0].context
        others = made
        isServer = true
        verifies = false
        installServerNames()
    }

    package init(client options: TLSClientOptions) throws(TLSError) {
        guard let context = SSL_CTX_new(TLS_client_method()) else { throw TLSError("SSL_CTX_new") }
        pointer = context
        others = []
        isServer = false
        verifies = options.verifies
        try TLSContext.configure(
            context, options.minimumVersion, options.maximumVersion, options.ciphers, options.groups)
        _ = mt_ctx_cache_mode(context, Int(SSL_SESS_CACHE_OFF))
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nil)
        guard SSL_CTX_dane_enable(context) == 1 else { throw TLSError("DANE") }
        guard options.verifies || options.loadsRoots else { return }
        guard TLSContext.loadRoots(context, options.rootsPath) else { throw TLSError("root certificates") }
    }

    /// The system's roots as one file where there is one: the folder of them would be searched during handshakes.
    private static func loadRoots(_ context: OpaquePointer, _ path: String?) -> Bool {
        ERR_clear_error()
        if let path { return SSL_CTX_load_verify_locations(context, path, nil) == 1 }
        if SSL_CTX_load_verify_locations(context, systemRootsPath, nil) == 1 { return true }
        ERR_clear_error()
        return SSL_CTX_set_default_verify_paths(context) == 1
    }

    private static let systemRootsPath = "/etc/ssl/certs/ca-certificates.crt"

    /// What a client session verifies when nothing else is said.
    func usualVerification(_ serverName: String?) -> TLSVerification {
        verifies ? .webPKI(names: serverName.map { [$0] } ?? []) : .opportunistic
    }

    deinit {
        if others.isEmpty { SSL_CTX_free(pointer) }
        for entry in others { SSL_CTX_free(entry.context) }
    }

    private static func make(
        _ identity: TLSIdentity, _ options: TLSServerOptions
    ) throws(TLSError) -> OpaquePointer {
        guard let context = SSL_CTX_new(TLS_server_method()) else { throw TLSError("SSL_CTX_new") }
        do throws(TLSError) {
            try configure(context, options.minimumVersion, options.maximumVersion, options.ciphers, options.groups)
            for pair in identity.keyPairs { try use(pair, context) }
        } catch {
            SSL_CTX_free(context)
            throw error
        }
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nil)
        _ = mt_ctx_cache_mode(context, Int(SSL_SESS_CACHE_OFF))
        _ = mt_ctx_dh_auto(context)
        let name = Array("martlet".utf8)
        SSL_CTX_set_session_id_context(context, name, UInt32(name.count))
        if options.sessionTickets {
            SSL_CTX_set_num_tickets(context, 1)
        } else {
            _ = mt_ctx_options(context, mt_op_no_ticket())
            SSL_CTX_set_num_tickets(context, 0)
        }
        return context
    }

    private static func configure(
        _ context: OpaquePointer, _ minimum: TLSVersion, _ maximum: TLSVersion, _ ciphers: String, _ groups: String
    ) throws(TLSError) {
        _ = mt_ctx_mode(context, mt_mode_common())
        _ = mt_ctx_options(context, mt_op_common())
        _ = mt_ctx_min_version(context, minimum == .tls12 ? TLS1_2_VERSION : TLS1_3_VERSION)
        _ = mt_ctx_max_version(context, maximum == .tls12 ? TLS1_2_VERSION : TLS1_3_VERSION)
        guard SSL_CTX_set_cipher_list(context, ciphers) == 1 else { throw TLSError("ciphers \(ciphers)") }
        guard mt_ctx_groups(context, groups) == 1 else { throw TLSError("groups \(groups)") }
    }

    private static func use(_ pair: TLSKeyPair, _ context: OpaquePointer) throws(TLSError) {
        ERR_clear_error()
        guard SSL_CTX_use_certificate_chain_file(context, pair.chainPath) == 1 else { throw TLSError(pair.chainPath) }
        guard SSL_CTX_use_PrivateKey_file(context, pair.keyPath, SSL_FILETYPE_PEM) == 1 else {
            throw TLSError(pair.keyPath)
        }
        guard SSL_CTX_check_private_key(context) == 1 else { throw TLSError(pair.keyPath) }
    }

    // MARK: Server names

    private func installServerNames() {
        guard others.count > 1 else { return }
        mt_ctx_servername(
            pointer,
            { ssl, _, argument in
                guard let ssl, let argument, let name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) else {
                    return SSL_TLSEXT_ERR_OK
                }
                let owner = Unmanaged<TLSContext>.fromOpaque(argument).takeUnretainedValue()
                if let context = owner.context(for: String(cString: name).lowercased()) {
                    SSL_set_SSL_CTX(ssl, context)
                }
                // An unknown name gets the default: a mail client that checks will see, one that does not goes on.
                return SSL_TLSEXT_ERR_OK
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    private func context(for name: String) -> OpaquePointer? {
        for entry in others where entry.names.contains(name) { return entry.context }
        guard let dot = name.firstIndex(of: ".") else { return nil }
        let wildcard = "*" + name[dot...]
        for entry in others where entry.names.contains(wildcard) { return entry.context }
        return nil
    }
}
