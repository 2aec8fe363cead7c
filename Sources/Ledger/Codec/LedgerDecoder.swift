import Base

/// Reads what `LedgerEncoder` wrote, or anything else without harm: a length that does not fit ends the reading and sets
/// `isBroken`. Fields of unknown tags are for the caller to skip.
struct LedgerDecoder {
    /// Elements of one list that are read; there are never more written.
    static let listMax = 1_024

    private let bytes: [UInt8]
    private var at: Int
    private let end: Int
    private(set) var isBroken = false

    private init(_ bytes: [UInt8], _ range: Range<Int>) {
        self.bytes = bytes
        at = range.lowerBound
        end = range.upperBound
    }

    /// The fields of a record, after its head.
    init(record bytes: [UInt8]) {
        self.init(bytes, min(LedgerHead.octets, bytes.count)..<bytes.count)
    }

    struct Field {
        let tag: UInt64
        /// 0 unless the field is a number.
        let number: UInt64
        /// Empty unless the field is a text or a group.
        fileprivate let range: Range<Int>

        var flag: Bool { number != 0 }
        var int: Int { Int(truncatingIfNeeded: min(number, UInt64(Int.max))) }
        var signed: Int64 { Int64(bitPattern: number >> 1) ^ -Int64(bitPattern: number & 1) }
    }

    /// The next field, or nil at the end.
    mutating func next() -> Field? {
        guard at < end, !isBroken else { return nil }
        guard let key = varint() else { return broken() }
        switch LedgerFieldKind(rawValue: UInt8(key & 3)) {
        case .number:
            guard let value = varint() else { return broken() }
            return Field(tag: key >> 2, number: value, range: 0..<0)
        case .text:
            guard let length = varint(), length <= UInt64(end - at) else { return broken() }
            return field(key >> 2, Int(length))
        case .group:
            guard end - at >= 4 else { return broken() }
            var length = 0
            for i in 0..<4 { length |= Int(bytes[at + i]) << (i * 8) }
            at += 4
            guard length <= end - at else { return broken() }
            return field(key >> 2, length)
        case nil: return broken()
        }
    }

    func text(_ field: Field) -> [UInt8] { Array(bytes[field.range]) }
    func string(_ field: Field) -> String { String(decoding: bytes[field.range], as: UTF8.self) }
    func group(_ field: Field) -> LedgerDecoder { LedgerDecoder(bytes, field.range) }

    private mutating func field(_ tag: UInt64, _ length: Int) -> Field {
        defer { at += length }
        return Field(tag: tag, number: 0, range: at..<(at + length))
    }

    private mutating func broken() -> Field? {
        isBroken = true
        return nil
    }

    private mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while at < end, shift < 64 {
            let byte = bytes[at]
            at += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        return nil
    }
}

/// What every record begins with: read without decoding the rest.
struct LedgerHead: Equatable {
    static let octets = 17

    let kind: LedgerRecordKind
    let id: Int64
    let microseconds: Int64

    /// nil: not a record of this version.
    init?(_ bytes: some RandomAccessCollection<UInt8>) {
        guard bytes.count >= Self.octets, let first = bytes.first, let kind = LedgerRecordKind(rawValue: first) else {
            return nil
        }
        self.kind = kind
        id = Self.integer(bytes.dropFirst(1).prefix(8))
        microseconds = Self.integer(bytes.dropFirst(9).prefix(8))
    }

    private static func integer(_ bytes: some Collection<UInt8>) -> Int64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        for byte in bytes {
            value |= UInt64(byte) << shift
            shift += 8
        }
        return Int64(bitPattern: value)
    }
}
