import Reactor

extension ControlHooks {
    /// Of the certificates that `configuration` names, as far as they can be read; read again at each call.
    package static func certificateKeys(_ configuration: Configuration) -> @Sendable () -> [[UInt8]] {
        let paths: [String] =
            switch configuration.tls.mode {
            case .selfSigned: [configuration.selfSignedCertificatePath]
            case .files: configuration.tls.certificates.map(\.certificate)
            // Its keys change with every certificate: a record could not keep up.
            case .acme: []
            }
        return {
            var out: [[UInt8]] = []
            for digest in paths.compactMap(CertificateKeyDigest.read) where !out.contains(digest) {
                out.append(digest)
            }
            return out
        }
    }
}
