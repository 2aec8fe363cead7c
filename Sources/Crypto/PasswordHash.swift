package import Base
import CCrypt
import CEpoll

/// Password hashes of crypt(5). Slow on purpose (tens of milliseconds and megabytes): never on a reactor thread.
package enum PasswordHash {
    /// The hash text of a new password, yescrypt (`$y$`) at the library's default cost; nil when libcrypt refuses, or the
    /// password is one that `verify` would not take.
    package static func make(_ password: Secret, using random: inout some RandomSource) -> [UInt8]? {
        let entropy = random.bytes(16)
        var setting = [CChar](repeating: 0, count: Int(CRYPT_GENSALT_OUTPUT_SIZE))
        let made = entropy.withUnsafeBytes { e in
            crypt_gensalt_rn(
                prefix, 0, e.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(e.count), &setting,
                Int32(setting.count))
        }
        guard made != nil else { return nil }
        return crypt(password, setting: setting)
    }

    /// Whether `password` is the one behind `hash`. Compares in constant time; false for a malformed hash.
    package static func verify(_ password: Secret, _ hash: [UInt8]) -> Bool {
        guard !hash.isEmpty, hash.count < Int(CRYPT_OUTPUT_SIZE), !hash.contains(0) else { return false }
        guard let computed = crypt(password, setting: hash.map { CChar(bitPattern: $0) } + [0]) else { return false }
        return Digest.equalInConstantTime(computed, hash)
    }

    /// Whether a hash that verified should be made anew: another scheme, or a cost below today's.
    package static func needsRehash(_ hash: [UInt8]) -> Bool {
        guard hash.starts(with: Array(prefix.utf8)), !hash.contains(0) else { return true }
        return crypt_checksalt(hash.map { CChar(bitPattern: $0) } + [0]) != CRYPT_SALT_OK
    }

    /// A hash nobody knows the password of. Verify against it when the account is unknown, so that both take as long.
    package static let decoy: [UInt8] = {
        var random = SystemRandom()
        return make(Secret(random.token(24)), using: &random) ?? []
    }()

    private static let prefix = "$y$"

    private static func crypt(_ password: Secret, setting: [CChar]) -> [UInt8]? {
        // A NUL would cut the password short: refuse it here, at setting and at checking.
        guard password.bytes.count < Int(CRYPT_MAX_PASSPHRASE_SIZE), !password.bytes.contains(0) else { return nil }
        let phrase = password.bytes.map { CChar(bitPattern: $0) } + [0]
        // 32 KiB: too much for a thread's stack, and it holds the password.
        let scratch = UnsafeMutablePointer<crypt_data>.allocate(capacity: 1)
        scratch.initialize(to: crypt_data())
        defer {
            erase(scratch)
            scratch.deallocate()
        }
        guard let result = crypt_rn(phrase, setting, scratch, Int32(MemoryLayout<crypt_data>.size)) else { return nil }
        let bytes = Array(UnsafeBufferPointer(start: result, count: strnlen(result, Int(CRYPT_OUTPUT_SIZE))))
            .map { UInt8(bitPattern: $0) }
        return bytes.first == 0x2A ? nil : bytes
    }

    private static func erase(_ scratch: UnsafeMutablePointer<crypt_data>) {
        explicit_bzero(scratch, MemoryLayout<crypt_data>.size)
    }
}
