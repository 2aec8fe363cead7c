import Base
import CEpoll
import Crypto
import Reactor

/// The secret that a forwarder's addresses are made with: kept in the store's folder, made when it is not there.
enum ForwarderKey {
    private static let octets = 32

    static func load(_ configuration: Configuration) throws -> Secret {
        let path = configuration.store.path + "/forwarder.key"
        if case .success(let bytes) = ConfigFile.read(path), bytes.count >= octets { return Secret(bytes) }
        let random = SystemRandom()
        let fresh = random.bytes(octets)
        let draft = path + ".new"
        let descriptor = mt_open(draft, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard descriptor >= 0 else { throw StartupError.unavailable("\(draft) cannot be written") }
        defer { _ = mt_close(descriptor) }
        let written = fresh.withUnsafeBytes { mt_write(descriptor, $0.baseAddress, $0.count) }
        // Whole or not at all: a short key would be made anew, and all addresses with it.
        guard written == fresh.count, mt_fdatasync(descriptor) >= 0, rename(draft, path) == 0 else {
            throw StartupError.unavailable("\(path) cannot be written")
        }
        return Secret(fresh)
    }
}
