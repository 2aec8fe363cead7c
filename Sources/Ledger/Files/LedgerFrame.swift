/// How a record lies in a segment: `MLR1`, length, CRC-32 of the record (both little-endian, four octets), the record.
enum LedgerFrame {
    static let magic: [UInt8] = Array("MLR1".utf8)
    static let headOctets = 12

    static func append(_ record: [UInt8], to out: inout [UInt8]) {
        out.append(contentsOf: magic)
        append(UInt32(truncatingIfNeeded: record.count), to: &out)
        append(CRC32.of(record), to: &out)
        out.append(contentsOf: record)
    }

    private static func append(_ value: UInt32, to out: inout [UInt8]) {
        for shift in stride(from: UInt32(0), to: 32, by: 8) { out.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    static func isMagic(_ bytes: [UInt8], _ at: Int) -> Bool {
        bytes[at] == 0x4D && bytes[at + 1] == 0x4C && bytes[at + 2] == 0x52 && bytes[at + 3] == 0x31
    }

    static func integer(_ bytes: [UInt8], _ at: Int) -> UInt32 {
        UInt32(bytes[at]) | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2]) << 16 | UInt32(bytes[at + 3]) << 24
    }
}
