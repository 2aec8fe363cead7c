/// Vectorised searches over bytes. Bounds are checked once per call, not once per byte.
package enum ByteScan {
    /// The first index at or after `start` that holds `a` or `b`, or nil.
    package static func firstIndex(of a: UInt8, or b: UInt8, in bytes: Span<UInt8>, from start: Int) -> Int? {
        let count = bytes.count
        guard start >= 0, start < count else { return nil }
        return bytes.withUnsafeBytes { raw in
            var i = start
            let va = SIMD32<UInt8>(repeating: a)
            let vb = SIMD32<UInt8>(repeating: b)
            while i + 32 <= count {
                let chunk = raw.loadUnaligned(fromByteOffset: i, as: SIMD32<UInt8>.self)
                if any((chunk .== va) .| (chunk .== vb)) { break }
                i += 32
            }
            while i < count {
                let c = raw[i]
                if c == a || c == b { return i }
                i += 1
            }
            return nil
        }
    }

    /// The first index at or after `start` that holds `a`, or nil.
    package static func firstIndex(of a: UInt8, in bytes: Span<UInt8>, from start: Int) -> Int? {
        firstIndex(of: a, or: a, in: bytes, from: start)
    }

    /// Whether any byte is 0x80 or above.
    package static func containsNonASCII(_ bytes: Span<UInt8>) -> Bool {
        let count = bytes.count
        return bytes.withUnsafeBytes { raw in
            var i = 0
            while i + 8 <= count {
                if raw.loadUnaligned(fromByteOffset: i, as: UInt64.self) & 0x8080_8080_8080_8080 != 0 { return true }
                i += 8
            }
            while i < count {
                if raw[i] >= 0x80 { return true }
                i += 1
            }
            return false
        }
    }
}
