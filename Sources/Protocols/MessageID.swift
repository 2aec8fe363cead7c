package import Base

/// The one id of an accepted message: in the 250, the `Received:` field, the log, the queue and the mailbox.
///
/// 63 bits: 42 of milliseconds since 1970, 5 of the loop that took it, 16 of a counter. Ids of one process ascend with time,
/// so rows keyed by them are appended.
package struct MessageID: Sendable, Hashable, Comparable {
    package let rawValue: Int64

    package init(rawValue: Int64) { self.rawValue = rawValue }

    package static func < (a: MessageID, b: MessageID) -> Bool { a.rawValue < b.rawValue }

    /// Of the loop that drew it, modulo 32.
    package var loop: Int { Int(rawValue >> 16 & 31) }

    // Crockford's base 32: no I, L, O, U; sorts like the number.
    private static let alphabet: [UInt8] = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)

    /// 13 characters of base 32.
    package var text: [UInt8] {
        var out = [UInt8](repeating: 0, count: 13)
        var rest = UInt64(bitPattern: rawValue)
        for i in stride(from: 12, through: 0, by: -1) {
            out[i] = Self.character(UInt8(truncatingIfNeeded: rest & 31))
            rest >>= 5
        }
        return out
    }

    /// Of `alphabet`, by counting the letters that it leaves out: ids are written several times for each message.
    private static func character(_ digit: UInt8) -> UInt8 {
        if digit < 10 { return 0x30 + digit }
        // After H, K, N and T.
        let skipped: UInt8 = (digit > 17 ? 1 : 0) + (digit > 19 ? 1 : 0) + (digit > 21 ? 1 : 0) + (digit > 26 ? 1 : 0)
        return 0x41 + (digit - 10) + skipped
    }

    package init?(text: [UInt8]) {
        guard text.count == 13 else { return nil }
        var value: UInt64 = 0
        for c in text {
            guard let digit = Self.alphabet.firstIndex(of: ASCII.uppercased(c)), value >> 59 == 0 else { return nil }
            value = (value << 5) | UInt64(digit)
        }
        guard value <= UInt64(Int64.max) else { return nil }
        rawValue = Int64(value)
    }
}

/// Hands out ascending ids. One per loop; `loop` keeps them apart.
package struct MessageIDSource: Sendable {
    private let loop: Int64
    private var last: Int64 = 0

    /// `loop` is 0 to 31.
    package init(loop: Int) { self.loop = Int64(loop & 31) }

    package mutating func next(at now: WallTime) -> MessageID {
        // A clock that stands still or steps back must not repeat an id: go on counting from the last one.
        let milliseconds = max(0, now.microseconds / 1000) & ((1 << 42) - 1)
        let stamp = max(milliseconds << 16, last + 1)
        last = stamp
        return MessageID(rawValue: ((stamp >> 16) << 21) | (loop << 16) | (stamp & 0xFFFF))
    }
}
