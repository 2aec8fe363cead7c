import CEpoll
import Protocols

/// Where one record lies.
struct LedgerIndexEntry: Comparable {
    static let octets = 16

    var id: Int64
    var offset: Int

    static func < (a: LedgerIndexEntry, b: LedgerIndexEntry) -> Bool { (a.id, a.offset) < (b.id, b.offset) }
}

/// The index of a segment, id to offset. While the segment grows, entries stand in the order of its records; when it is
/// closed they are sorted, and every `stride`th id stands in front of them, so that two reads find an id.
///
/// `MLX1`, flags (four octets each), then eight octets each: entries, octets of the segment, least and greatest id, the
/// time of the newest record; the fence; the entries. Little-endian. Rebuilt from the segment when it is not whole.
struct LedgerIndex {
    static let headOctets = 48
    static let stride = 256
    private static let magic: UInt32 = 0x3158_4C4D

    var isSorted = false
    var count = 0
    var dataOctets = 0
    var least = Int64.max
    var greatest = Int64.min
    var newest = Int64.min

    init() {}

    /// A head, as far as the file has one.
    init?(_ file: LedgerFile) {
        let bytes = file.read(Self.headOctets, at: 0)
        guard bytes.count == Self.headOctets else { return nil }
        let words = (0..<6).map { UInt64(bitPattern: Self.word(bytes, $0 * 8)) }
        guard UInt32(truncatingIfNeeded: words[0]) == Self.magic else { return nil }
        isSorted = words[0] >> 32 == 1
        guard words[1] < 1 << 32, words[2] < 1 << 48 else { return nil }
        count = Int(words[1])
        dataOctets = Int(words[2])
        least = Int64(bitPattern: words[3])
        greatest = Int64(bitPattern: words[4])
        newest = Int64(bitPattern: words[5])
        if isSorted, file.size != octets { return nil }
    }

    private var fenceCount: Int { (count + Self.stride - 1) / Self.stride }
    /// Of a sorted index, as a file.
    var octets: Int { Self.headOctets + fenceCount * 8 + count * LedgerIndexEntry.octets }

    private var head: [UInt8] {
        var out: [UInt8] = []
        let first = UInt64(Self.magic) | (isSorted ? 1 << 32 : 0)
        for word in [
            first, UInt64(count), UInt64(dataOctets), UInt64(bitPattern: least), UInt64(bitPattern: greatest),
            UInt64(bitPattern: newest),
        ] { Self.append(word, to: &out) }
        return out
    }

    /// A whole index file. `entries` in the order of the segment.
    static func file(_ entries: [LedgerIndexEntry], dataOctets: Int, newest: Int64, sorted: Bool) -> [UInt8] {
        var index = LedgerIndex()
        index.isSorted = sorted
        index.newest = newest
        var out: [UInt8] = []
        if sorted {
            let entries = entries.sorted()
            index.count = entries.count
            index.dataOctets = dataOctets
            index.least = entries.first?.id ?? Int64.max
            index.greatest = entries.last?.id ?? Int64.min
            out.reserveCapacity(index.octets)
            out += index.head
            for i in Swift.stride(from: 0, to: entries.count, by: stride) {
                append(UInt64(bitPattern: entries[i].id), to: &out)
            }
            for entry in entries { append(entry, to: &out) }
        } else {
            out += index.head
            for entry in entries { append(entry, to: &out) }
        }
        return out
    }

    static func append(_ entry: LedgerIndexEntry, to out: inout [UInt8]) {
        append(UInt64(bitPattern: entry.id), to: &out)
        append(UInt64(entry.offset), to: &out)
    }

    private static func append(_ word: UInt64, to out: inout [UInt8]) {
        withUnsafeBytes(of: word.littleEndian) { out.append(contentsOf: $0) }
    }

    /// The offsets of an id's records in a sorted index.
    func offsets(of id: Int64, in file: LedgerFile, limit: Int) -> [Int] {
        guard count > 0, id >= least, id <= greatest else { return [] }
        let fence = file.read(fenceCount * 8, at: Self.headOctets)
        guard fence.count == fenceCount * 8 else { return [] }
        // The first block that begins at or after the id; the records can begin in the block before.
        var low = 0
        var high = fenceCount
        while low < high {
            let middle = (low + high) / 2
            if Self.word(fence, middle * 8) < id { low = middle + 1 } else { high = middle }
        }
        var at = max(0, low - 1) * Self.stride
        var out: [Int] = []
        while at < count, out.count < limit {
            let block = min(Self.stride, count - at)
            let place = Self.headOctets + fenceCount * 8 + at * LedgerIndexEntry.octets
            let bytes = file.read(block * LedgerIndexEntry.octets, at: place)
            guard bytes.count == block * LedgerIndexEntry.octets else { return out }
            for i in 0..<block {
                let found = Self.word(bytes, i * 16)
                if found > id { return out }
                if found == id, out.count < limit { out.append(Int(Self.word(bytes, i * 16 + 8))) }
            }
            at += block
        }
        return out
    }

    /// The offsets of an id's records among unsorted entries, and the last offset there is.
    static func search(_ id: Int64, in file: LedgerFile, limit: Int) -> (offsets: [Int], last: Int?) {
        let bytes = file.read(max(0, file.size - headOctets), at: headOctets)
        let count = bytes.count / LedgerIndexEntry.octets
        var out: [Int] = []
        bytes.withUnsafeBytes { raw in
            for i in 0..<count where raw.loadUnaligned(fromByteOffset: i * 16, as: Int64.self).littleEndian == id {
                if out.count < limit { out.append(Int(word(bytes, i * 16 + 8))) }
            }
        }
        return (out, count > 0 ? Int(word(bytes, (count - 1) * 16 + 8)) : nil)
    }

    private static func word(_ bytes: [UInt8], _ at: Int) -> Int64 {
        bytes.withUnsafeBytes { Int64(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: Int64.self)) }
    }
}
