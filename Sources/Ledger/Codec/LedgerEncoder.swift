import Base

/// Writes one record as tagged fields into one array. A field is a key (`tag << 2 | kind` as a varint) and a varint, or a
/// length and octets, or a group of fields with a four-byte length. Zeros, false and empty texts are left out.
struct LedgerEncoder {
    private(set) var out: [UInt8] = []

    /// The head that every record has: kind, id, time.
    init(_ kind: LedgerRecordKind, id: Int64, microseconds: Int64) {
        out.reserveCapacity(2_048)
        out.append(kind.rawValue)
        append(fixed: UInt64(bitPattern: id))
        append(fixed: UInt64(bitPattern: microseconds))
    }

    private mutating func append(fixed value: UInt64) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) { out.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    private mutating func append(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            out.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        out.append(UInt8(truncatingIfNeeded: rest))
    }

    private mutating func key(_ tag: Int, _ kind: LedgerFieldKind) {
        append(varint: UInt64(tag) << 2 | UInt64(kind.rawValue))
    }

    mutating func number(_ tag: Int, _ value: UInt64) {
        guard value != 0 else { return }
        key(tag, .number)
        append(varint: value)
    }

    mutating func number(_ tag: Int, _ value: Int) { number(tag, UInt64(max(0, value))) }

    /// A number that may be negative.
    mutating func signed(_ tag: Int, _ value: Int64) {
        number(tag, UInt64(bitPattern: value << 1) ^ UInt64(bitPattern: value >> 63))
    }

    mutating func flag(_ tag: Int, _ value: Bool) { if value { number(tag, UInt64(1)) } }

    mutating func code<Value: LedgerCoded>(_ tag: Int, _ value: Value) { number(tag, value.code) }

    /// At most `limit` octets of `bytes`.
    mutating func text(_ tag: Int, _ bytes: [UInt8], limit: Int = 512) {
        if !bytes.isEmpty { present(tag, bytes, limit: limit) }
    }

    /// Like `text`, and there when it is empty.
    mutating func present(_ tag: Int, _ bytes: [UInt8], limit: Int = 512) {
        key(tag, .text)
        if bytes.count <= limit {
            append(varint: UInt64(bytes.count))
            out.append(contentsOf: bytes)
        } else {
            append(varint: UInt64(limit))
            out.append(contentsOf: bytes[..<limit])
        }
    }

    mutating func text(_ tag: Int, _ text: String) {
        key(tag, .text)
        append(varint: UInt64(text.utf8.count))
        out.append(contentsOf: text.utf8)
    }

    /// A text of two parts.
    mutating func text(_ tag: Int, _ first: [UInt8], _ second: [UInt8]) {
        key(tag, .text)
        append(varint: UInt64(first.count + second.count))
        out.append(contentsOf: first)
        out.append(contentsOf: second)
    }

    @inline(__always)
    mutating func group(_ tag: Int, _ body: (inout LedgerEncoder) -> Void) {
        key(tag, .group)
        let place = out.count
        out.append(contentsOf: [0, 0, 0, 0])
        body(&self)
        let length = UInt32(truncatingIfNeeded: out.count - place - 4)
        for i in 0..<4 { out[place + i] = UInt8(truncatingIfNeeded: length >> UInt32(i * 8)) }
    }
}

/// What follows a field's key.
enum LedgerFieldKind: UInt8 {
    case number = 0
    case text = 1
    case group = 2
}

/// The first octet of a record.
enum LedgerRecordKind: UInt8, CaseIterable {
    case decision = 1
    case connection = 2
    case attempt = 3
}

/// An enum with a number for each case that never changes: its place in `ledgerCodes`, from 1 on. New cases go to the end.
protocol LedgerCoded: Equatable {
    static var ledgerCodes: [Self] { get }
}

extension LedgerCoded {
    var code: UInt64 { UInt64((Self.ledgerCodes.firstIndex(of: self) ?? -1) + 1) }

    /// nil: no number that this version knows.
    init?(code: UInt64) {
        guard code >= 1, code <= UInt64(Self.ledgerCodes.count) else { return nil }
        self = Self.ledgerCodes[Int(code) - 1]
    }
}
