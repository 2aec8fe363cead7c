/// Vectorised searches over bytes. Bounds are checked once per call, not once per byte.
package enum ByteScan {
    /// The first index at or after `start` that holds `a` or `b`, or nil.
    package static func firstIndex(of a: UInt8, or b: UInt8, in bytes: Span<UInt8>, from start: Int) -> Int? {
        let count = bytes.count
        guard start >= 0, start < count else { return nil }
        return bytes.withUnsafeBytes { raw in
            let (va, vb) = (SIMD16<UInt8>(repeating: a), SIMD16<UInt8>(repeating: b))
            var i = start
            while i &+ 16 <= count {
                let chunk = raw.loadUnaligned(fromByteOffset: i, as: SIMD16<UInt8>.self)
                if let lane = firstLane((chunk .== va) .| (chunk .== vb)) { return i &+ lane }
                i &+= 16
            }
            while i < count {
                let c = raw[i]
                if c == a || c == b { return i }
                i &+= 1
            }
            return nil
        }
    }

    /// The first index at or after `start` that holds `a`, or nil.
    package static func firstIndex(of a: UInt8, in bytes: Span<UInt8>, from start: Int) -> Int? {
        let count = bytes.count
        guard start >= 0, start < count else { return nil }
        return bytes.withUnsafeBytes { raw in
            let va = SIMD16<UInt8>(repeating: a)
            var i = start
            while i &+ 16 <= count {
                let chunk = raw.loadUnaligned(fromByteOffset: i, as: SIMD16<UInt8>.self)
                if let lane = firstLane(chunk .== va) { return i &+ lane }
                i &+= 16
            }
            while i < count {
                if raw[i] == a { return i }
                i &+= 1
            }
            return nil
        }
    }

    /// Whether any byte is 0x80 or above.
    package static func containsNonASCII(_ bytes: Span<UInt8>) -> Bool {
        let count = bytes.count
        return bytes.withUnsafeBytes { raw in
            var i = 0
            while i &+ 32 <= count {
                let words = raw.loadUnaligned(fromByteOffset: i, as: SIMD4<UInt64>.self)
                if (words.x | words.y | words.z | words.w) & 0x8080_8080_8080_8080 != 0 { return true }
                i &+= 32
            }
            while i < count {
                if raw[i] >= 0x80 { return true }
                i &+= 1
            }
            return false
        }
    }

    /// The lowest lane that is set. The general `any` of a mask is a call; two words are looked at in four instructions.
    @inline(__always)
    private static func firstLane(_ mask: SIMDMask<SIMD16<Int8>>) -> Int? {
        // A lane that is set has all its bits set, and lane 0 is the lowest byte of the first word.
        let words = unsafeBitCast(mask, to: SIMD2<UInt64>.self)
        if words.x | words.y == 0 { return nil }
        return words.x != 0 ? words.x.trailingZeroBitCount >> 3 : 8 &+ words.y.trailingZeroBitCount >> 3
    }
}
