import Base

/// Writes packets: four octets of length (what follows, the letter included), the letter, the data.
struct MilterPacketWriter {
    /// Octets of the data of one packet that every filter takes.
    static let usualDataMax = 65_535

    /// Octets of the data of one packet; what a filter takes.
    var dataMax = usualDataMax
    var out: [UInt8] = []

    mutating func write(_ command: MilterCommand, _ body: (inout [UInt8]) -> Void = { _ in }) {
        let start = out.count
        out.append(contentsOf: [0, 0, 0, 0, command.rawValue])
        body(&out)
        let over = out.count - start - 5 - dataMax
        if over > 0 {
            // A text that is cut ends all the same.
            let isText = out.last == 0
            out.removeLast(over)
            if isText { out[out.count - 1] = 0 }
        }
        Self.put(UInt32(clamping: out.count - start - 4), at: start, in: &out)
    }

    static func append(_ n: UInt32, to out: inout [UInt8]) {
        out.append(UInt8(truncatingIfNeeded: n >> 24))
        out.append(UInt8(truncatingIfNeeded: n >> 16))
        out.append(UInt8(truncatingIfNeeded: n >> 8))
        out.append(UInt8(truncatingIfNeeded: n))
    }

    private static func put(_ n: UInt32, at i: Int, in out: inout [UInt8]) {
        out[i] = UInt8(truncatingIfNeeded: n >> 24)
        out[i + 1] = UInt8(truncatingIfNeeded: n >> 16)
        out[i + 2] = UInt8(truncatingIfNeeded: n >> 8)
        out[i + 3] = UInt8(truncatingIfNeeded: n)
    }

    /// A text that ends with NUL, and so holds none.
    static func append(text: [UInt8], to out: inout [UInt8]) {
        if text.contains(0) {
            for c in text where c != 0 { out.append(c) }
        } else {
            out.append(contentsOf: text)
        }
        out.append(0)
    }
}

/// Collects a filter's octets into packets, in whatever pieces they come. Bounded by `packetMax`.
struct MilterPacketReader {
    /// More than the protocol allows: filters that count the letter, or round up.
    private static let slack = 65_537

    /// Octets of the data of one packet, as negotiated.
    var dataMax = MilterPacketWriter.usualDataMax
    private var packetMax: Int { dataMax + Self.slack }
    private var held: [UInt8] = []
    private var need = 4

    enum Step {
        case needMore
        /// The letter and the data.
        case packet([UInt8])
        case invalid
    }

    /// Takes octets from `index` on, at most up to the end of one packet.
    mutating func next(_ bytes: Span<UInt8>, _ index: inout Int) -> Step {
        while true {
            let n = min(need - held.count, bytes.count - index)
            if n > 0 {
                held.append(bytes.extracting(index..<index + n))
                index += n
            }
            guard held.count == need else { return .needMore }
            guard need == 4 else {
                let packet = Array(held[4...])
                held.removeAll(keepingCapacity: packet.count < 1_024)
                need = 4
                return .packet(packet)
            }
            let length = held.reduce(0) { $0 << 8 | Int($1) }
            guard length >= 1, length <= packetMax else { return .invalid }
            need = 4 + length
        }
    }
}

/// Reads the data of one packet.
struct MilterPacketScanner {
    private let bytes: [UInt8]
    private var index: Int

    init(_ packet: [UInt8]) {
        bytes = packet
        index = min(1, packet.count)
    }

    var isAtEnd: Bool { index >= bytes.count }
    var rest: [UInt8] { Array(bytes[index...]) }

    mutating func number() -> UInt32? {
        guard bytes.count - index >= 4 else { return nil }
        defer { index += 4 }
        return bytes[index..<index + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Up to a NUL, which must be there.
    mutating func text() -> [UInt8]? {
        guard let end = bytes[index...].firstIndex(of: 0) else { return nil }
        defer { index = end + 1 }
        return Array(bytes[index..<end])
    }
}
