import CEpoll

/// What follows from several keys, or from a key and the machine.
extension Configuration {
    /// The name in the greeting, in EHLO replies and in `Received:` fields.
    package var hostname: String {
        if !server.hostname.isEmpty { return server.hostname }
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, 255) == 0 else { return "localhost" }
        let text = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return ConfigText.isHostName(text) ? text.lowercased() : "localhost"
    }

    package var controlSocketPath: String {
        control.socket.isEmpty ? store.path + "/control.sock" : control.socket
    }

    package var ledgerPath: String { store.path + "/ledger" }

    /// The pair of PEM files of `tls.mode` self-signed: the key, then the certificate.
    package var selfSignedKeyPath: String { store.path + "/tls/self-signed.key" }
    package var selfSignedCertificatePath: String { store.path + "/tls/self-signed.crt" }

    /// `smtp.reactors`, or the machine's cores less one, at least one.
    package var reactorCount: Int {
        // A message id has five bits for its loop.
        min(31, smtp.reactors > 0 ? smtp.reactors : max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))) - 1))
    }
}
