import Base
import Crypto

/// What SRS and VERP addresses are made of: short keyed hashes and days, in letters that survive a change of case.
enum KeyedToken {
    // RFC 4648 §6, in lower case.
    private static let alphabet: [UInt8] = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)
    private static let daySpan: Int64 = 1_024

    /// The first `characters` of HMAC-SHA-256, 5 bits each. Letter case of `text` does not matter.
    static func mac(_ text: [UInt8], _ key: Secret, _ characters: Int) -> [UInt8] {
        let hash = Digest.hmac(ASCII.lowercased(text), key: key.bytes, .sha256)
        var out: [UInt8] = []
        var bits = 0
        var value: UInt32 = 0
        for byte in hash where out.count < characters {
            value = value << 8 | UInt32(byte)
            bits += 8
            while bits >= 5, out.count < characters {
                bits -= 5
                out.append(alphabet[Int(value >> UInt32(bits) & 31)])
            }
            value &= (1 << UInt32(bits)) - 1
        }
        return out
    }

    /// Two characters: the day, modulo 1,024.
    static func day(_ time: WallTime) -> [UInt8] {
        let n = Int(dayNumber(time))
        return [alphabet[n >> 5], alphabet[n & 31]]
    }

    /// Whether `text` is a day of the last `days`, or tomorrow (clocks differ).
    static func isFresh(_ text: [UInt8], now: WallTime, days: Int) -> Bool {
        guard text.count == 2, let a = alphabet.firstIndex(of: ASCII.lowercased(text[0])),
            let b = alphabet.firstIndex(of: ASCII.lowercased(text[1]))
        else { return false }
        let age = (dayNumber(now) - Int64(a << 5 | b) + daySpan) % daySpan
        return age <= Int64(days) || age == daySpan - 1
    }

    private static func dayNumber(_ time: WallTime) -> Int64 {
        (max(0, time.seconds) / 86_400) % daySpan
    }
}
