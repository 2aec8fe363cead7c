import CEpoll
import Reactor

/// The certificate of `tls.mode` self-signed: made once, kept in the store's folder.
package enum SelfSignedFiles {
    /// Makes the pair unless both files are there.
    package static func ensure(_ configuration: Configuration) throws {
        let certificate = configuration.selfSignedCertificatePath
        let key = configuration.selfSignedKeyPath
        guard access(certificate, R_OK) != 0 || access(key, R_OK) != 0 else { return }
        _ = mt_mkdir(configuration.store.path, 0o700)
        _ = mt_mkdir(configuration.store.path + "/tls", 0o700)
        var names = [configuration.hostname]
        if !names.contains("localhost") { names.append("localhost") }
        _ = try SelfSigned.write(names: names, certificatePath: certificate, keyPath: key)
    }
}
