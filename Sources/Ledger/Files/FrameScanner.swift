/// Reads the records of a segment one after another through one buffer. What is torn or damaged is passed over: the next
/// record is where the next good frame begins.
struct FrameScanner {
    /// Octets of one read when there is much to read, and when one record is wanted.
    private static let chunk = 1 << 18
    static let smallChunk = 1 << 14

    private let chunk: Int
    private let file: LedgerFile
    private let end: Int
    private var buffer: [UInt8] = []
    /// Of `buffer`: where the next frame is looked for.
    private var at = 0
    /// Of the file: where `buffer` begins.
    private var base: Int
    /// Where the last good frame ended.
    private(set) var goodEnd: Int

    struct Frame {
        let offset: Int
        let head: LedgerHead
        /// Of the scanner's buffer.
        fileprivate let range: Range<Int>
    }

    /// From `offset`, which need not be a frame's beginning, to `end`.
    init(_ file: LedgerFile, from offset: Int = 0, to end: Int, chunk: Int = chunk) {
        self.chunk = chunk
        self.file = file
        self.end = end
        base = offset
        goodEnd = offset
    }

    /// The record of the frame that `next` gave out last.
    func record(_ frame: Frame) -> [UInt8] { Array(buffer[frame.range]) }

    mutating func next() -> Frame? {
        while fill(LedgerFrame.headOctets) {
            if let frame = frame() { return frame }
            guard skipToMagic() else { return nil }
        }
        return nil
    }

    /// The frame at `at`, if a good one is there.
    private mutating func frame() -> Frame? {
        guard LedgerFrame.isMagic(buffer, at) else { return nil }
        let length = Int(LedgerFrame.integer(buffer, at + 4))
        guard length >= LedgerHead.octets, length <= LedgerBounds.octets, fill(LedgerFrame.headOctets + length) else {
            return nil
        }
        let range = (at + LedgerFrame.headOctets)..<(at + LedgerFrame.headOctets + length)
        let sum = buffer.withUnsafeBytes { CRC32.of(UnsafeRawBufferPointer(rebasing: $0[range])) }
        guard sum == LedgerFrame.integer(buffer, at + 8) else { return nil }
        let offset = base + at
        at = range.upperBound
        goodEnd = base + at
        // Of a later version: intact, and not for us.
        guard let head = LedgerHead(buffer[range]) else { return next() }
        return Frame(offset: offset, head: head, range: range)
    }

    /// Whether `count` octets are in the buffer from `at` on, after reading more.
    private mutating func fill(_ count: Int) -> Bool {
        if buffer.count - at >= count { return true }
        buffer.removeFirst(at)
        base += at
        at = 0
        let from = base + buffer.count
        let wanted = min(max(chunk, count - buffer.count), end - from)
        if wanted > 0 { buffer += file.read(wanted, at: from) }
        return buffer.count >= count
    }

    private mutating func skipToMagic() -> Bool {
        at += 1
        while fill(LedgerFrame.headOctets) {
            while at + 4 <= buffer.count {
                if LedgerFrame.isMagic(buffer, at) { return true }
                at += 1
            }
        }
        return false
    }
}
