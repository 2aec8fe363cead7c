import Base

/// One frame of the control protocol: four bytes of length (big endian, of what follows), one byte of kind, then the
/// payload. Both directions use it.
package struct ControlFrame: Sendable, Equatable {
    package enum Kind: UInt8, Sendable {
        /// Client: a request, as fields.
        case request = 0x51
        /// Server: bytes for standard output.
        case output = 0x4F
        /// Server: bytes for standard error.
        case complaint = 0x45
        /// Server: one byte, the exit status; the last frame.
        case end = 0x58
    }

    /// Most bytes of a frame after its length.
    package static let bytesMax = 1 << 20

    package let kind: Kind
    package let payload: [UInt8]

    package init(_ kind: Kind, _ payload: [UInt8]) {
        self.kind = kind
        self.payload = payload
    }

    /// The frame as sent; `payload` must be shorter than `bytesMax`.
    package var encoded: [UInt8] {
        precondition(payload.count < Self.bytesMax, "a control frame is too long")
        var out: [UInt8] = []
        out.reserveCapacity(payload.count + 5)
        ControlFields.append(length: payload.count + 1, to: &out)
        out.append(kind.rawValue)
        out += payload
        return out
    }
}

/// The other end broke the protocol; only that connection ends.
package enum ControlProtocolError: Error, Sendable, Equatable {
    case frameLength
    case frameKind
}

/// Takes bytes as they come and gives frames. Bounded: one frame of `ControlFrame.bytesMax`, and what came with its end.
package struct ControlFrameParser: Sendable {
    private var buffer: [UInt8] = []

    package init() {}

    /// Bytes kept that are not yet a whole frame.
    package var isEmpty: Bool { buffer.isEmpty }

    package mutating func append(_ bytes: Span<UInt8>) { buffer.append(bytes) }

    package mutating func next() throws(ControlProtocolError) -> ControlFrame? {
        guard buffer.count >= 4 else { return nil }
        let length = ControlFields.length(buffer, 0)
        guard (1...ControlFrame.bytesMax).contains(length) else { throw .frameLength }
        guard buffer.count >= 5 else { return nil }
        guard let kind = ControlFrame.Kind(rawValue: buffer[4]) else { throw .frameKind }
        guard buffer.count >= 4 + length else { return nil }
        let frame = ControlFrame(kind, Array(buffer[5..<(4 + length)]))
        buffer.removeFirst(4 + length)
        return frame
    }
}

/// A list of byte strings, each behind its length in four bytes.
package enum ControlFields {
    package static let countMax = 10_000

    package static func encode(_ fields: [[UInt8]]) -> [UInt8] {
        var out: [UInt8] = []
        for field in fields {
            append(length: field.count, to: &out)
            out += field
        }
        return out
    }

    /// nil when the lengths do not add up.
    package static func decode(_ bytes: [UInt8]) -> [[UInt8]]? {
        var out: [[UInt8]] = []
        var i = 0
        while i < bytes.count {
            guard bytes.count - i >= 4, out.count < countMax else { return nil }
            let length = length(bytes, i)
            i += 4
            guard length <= bytes.count - i else { return nil }
            out.append(Array(bytes[i..<(i + length)]))
            i += length
        }
        return out
    }

    static func append(length: Int, to out: inout [UInt8]) {
        for shift in [24, 16, 8, 0] { out.append(UInt8(truncatingIfNeeded: length >> shift)) }
    }

    static func length(_ b: [UInt8], _ i: Int) -> Int {
        Int(b[i]) << 24 | Int(b[i + 1]) << 16 | Int(b[i + 2]) << 8 | Int(b[i + 3])
    }
}
