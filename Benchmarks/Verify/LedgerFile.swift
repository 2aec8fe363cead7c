import Base
import CEpoll

/// A ledger read back: what was sent, to whom, and what the server took responsibility for.
struct LedgerFile {
    struct Message {
        var digest: [UInt8] = []
        var size = 0
        var recipients: [[UInt8]] = []
        var isAcknowledged = false
        /// The recipients of the `acked` line, when it names some: the others were refused.
        var accepted: [[UInt8]] = []

        var owed: [[UInt8]] { isAcknowledged ? (accepted.isEmpty ? recipients : accepted) : [] }
    }

    private(set) var messages: [LedgerID: Message] = [:]
    private(set) var badLines = 0

    init?(path: String) {
        guard let lines = LineReader(path: path) else { return nil }
        while let line = lines.next() { add(line) }
    }

    private mutating func add(_ line: [UInt8]) {
        let words = line.split(separator: ASCII.space)
        // A crash may have cut the last line short.
        guard words.count >= 2, let id = LedgerID(text: words[1]) else { return badLines += 1 }
        if words[0].elementsEqual("sent".utf8), words.count >= 4, let size = Decimal.parse(Array(words[3]).span) {
            messages[id, default: Message()].digest = Array(words[2])
            messages[id, default: Message()].size = Int(clamping: size)
            messages[id, default: Message()].recipients = words[4...].map { Array($0) }
        } else if words[0].elementsEqual("acked".utf8) {
            messages[id, default: Message()].isAcknowledged = true
            messages[id, default: Message()].accepted = words.dropFirst(3).map { Array($0) }
        } else {
            badLines += 1
        }
    }
}

extension LedgerID {
    /// From 8 hex digits, a hyphen and 8 hex digits.
    init?(text: ArraySlice<UInt8>) {
        let parts = text.split(separator: ASCII.hyphen, omittingEmptySubsequences: false)
        guard parts.count == 2, let run = Self.hex(parts[0]), let number = Self.hex(parts[1]) else { return nil }
        self.init(run: run, number: number)
    }

    private static func hex(_ digits: ArraySlice<UInt8>) -> UInt32? {
        guard digits.count == 8 else { return nil }
        var value: UInt32 = 0
        for digit in digits {
            guard let nibble = Hex.value(digit) else { return nil }
            value = value << 4 | UInt32(nibble)
        }
        return value
    }
}

/// Bytes of a descriptor, with the two ways of reading that the formats here need. Blocking.
final class ByteReader {
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private var head = 0

    init(descriptor: Int32) { self.descriptor = descriptor }
    deinit { _ = mt_close(descriptor) }

    private func fill() -> Bool {
        if head > 1 << 16 {
            buffer.removeFirst(head)
            head = 0
        }
        var piece = [UInt8](repeating: 0, count: 1 << 18)
        let n = piece.withUnsafeMutableBytes { mt_read(descriptor, $0.baseAddress, $0.count) }
        guard n > 0 else { return false }
        buffer.append(contentsOf: piece[..<Int(n)])
        return true
    }

    /// The next line without its LF; what is left at the end counts as one.
    func line() -> [UInt8]? {
        var searched = head
        while true {
            if let lf = ByteScan.firstIndex(of: ASCII.lf, in: buffer.span, from: searched) {
                defer { head = lf + 1 }
                return Array(buffer[head..<lf])
            }
            let unread = buffer.count - head
            guard fill() else {
                guard head < buffer.count else { return nil }
                defer { head = buffer.count }
                return Array(buffer[head...])
            }
            searched = head + unread
        }
    }

    /// Exactly `count` bytes, or nil when they end before.
    func bytes(_ count: Int) -> [UInt8]? {
        while buffer.count - head < count { guard fill() else { return nil } }
        defer { head += count }
        return Array(buffer[head..<head + count])
    }
}

/// The lines of a file.
final class LineReader {
    private let reader: ByteReader

    init?(path: String) {
        let descriptor = mt_open(path, O_RDONLY, 0)
        guard descriptor >= 0 else { return nil }
        reader = ByteReader(descriptor: descriptor)
    }

    func next() -> [UInt8]? { reader.line() }
}
