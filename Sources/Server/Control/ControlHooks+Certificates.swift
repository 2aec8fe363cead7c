import Reactor
import Synchronization

extension ControlHooks {
    /// Of the certificates that `files` names, as far as they can be read.
    package static func certificateKeys(_ files: [String]) -> [[UInt8]] {
        var out: [[UInt8]] = []
        for digest in files.compactMap(CertificateKeyDigest.read) where !out.contains(digest) { out.append(digest) }
        return out
    }
}

extension Configuration {
    /// The files of the server's own certificates.
    package var certificateFiles: [String] {
        switch tls.mode {
        case .selfSigned: [selfSignedCertificatePath]
        case .files: tls.certificates.map(\.certificate)
        // Its keys change with every certificate: a record could not keep up.
        case .acme: []
        }
    }
}

/// Which files a reload has put in force. Shareable: a list under a lock.
final class CertificateFiles: Sendable {
    private let files: Mutex<[String]>

    init(_ configuration: Configuration) { files = Mutex(configuration.certificateFiles) }

    var current: [String] { files.withLock { $0 } }

    func follow(_ configuration: Configuration) {
        let fresh = configuration.certificateFiles
        files.withLock { $0 = fresh }
    }
}
