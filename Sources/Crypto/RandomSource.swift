import CEpoll

/// Where unguessable bytes come from. The seeded one for tests is in TestKit.
package protocol RandomSource {
    mutating func bytes(_ count: Int) -> [UInt8]
}

/// getrandom(2).
package struct SystemRandom: RandomSource, Sendable {
    package init() {}

    package func bytes(_ count: Int) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: max(0, count))
        var filled = 0
        while filled < out.count {
            let n = out.withUnsafeMutableBytes { buffer in
                mt_random(buffer.baseAddress.map { $0 + filled }, min(buffer.count - filled, 256))
            }
            // Up to 256 bytes come whole once the kernel's pool is ready; only a signal before that interrupts.
            precondition(n > 0 || n == -Int64(EINTR), "the kernel gives no random bytes")
            filled += max(0, Int(n))
        }
        return out
    }
}

extension RandomSource {
    /// `count` characters of the 64 of base64url without padding: 6 bits each.
    package mutating func token(_ count: Int) -> [UInt8] {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        return bytes(count).map { alphabet[Int($0 & 63)] }
    }

    /// A password to read out and type: five groups of four, 100 bits, no letters that look alike.
    package mutating func password() -> String {
        let alphabet = Array("abcdefghjkmnpqrstuvwxyz23456789-".unicodeScalars.prefix(31))
        var out = String.UnicodeScalarView()
        var taken = 0
        while taken < 20 {
            for byte in bytes(32) where taken < 20 {
                // 248 = 8 × 31: every letter is equally likely.
                guard byte < 248 else { continue }
                if taken > 0, taken % 4 == 0 { out.append("-") }
                out.append(alphabet[Int(byte) % 31])
                taken += 1
            }
        }
        return String(out)
    }
}
