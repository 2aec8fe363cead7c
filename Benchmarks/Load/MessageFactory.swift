import Base
import Crypto

/// Names one message of a run, in the header field and in the ledger: run, hyphen, number, 8 hex digits each.
struct LedgerID: Sendable, Hashable {
    static let length = 17
    let run: UInt32
    let number: UInt32

    var text: [UInt8] {
        var out = [UInt8](repeating: ASCII.hyphen, count: Self.length)
        write(to: &out, at: 0)
        return out
    }

    func write(to bytes: inout [UInt8], at start: Int) {
        Self.write(run, to: &bytes, at: start)
        Self.write(number, to: &bytes, at: start + 9)
    }

    private static func write(_ value: UInt32, to bytes: inout [UInt8], at start: Int) {
        for i in 0..<8 {
            let nibble = UInt8(truncatingIfNeeded: value >> UInt32(28 - 4 * i)) & 15
            bytes[start + i] = nibble < 10 ? 0x30 &+ nibble : 0x61 &+ nibble &- 10
        }
    }
}

/// Makes every message of a run from its id alone: a header that begins with `X-Martlet-Ledger`, then lines cut from
/// one seeded text, at a place that depends on the id. Nothing is built per message but the header. Or of messages made
/// elsewhere, which follow the ledger field as they are: what signatures cover stays whole.
struct MessageFactory: Sendable {
    static let ledgerField = Array("X-Martlet-Ledger: ".utf8)
    /// Bytes of a line, CRLF included.
    private static let lineBytes = 78
    /// Places where a body may begin.
    private static let starts = 509

    private let header: [UInt8]
    private let idPlaces: [Int]
    private let plain: [UInt8]
    private let stuffed: [UInt8]
    /// Where each line, or each given message, begins in `plain` and in `stuffed`, and their ends.
    private let plainStarts: [Int]
    private let stuffedStarts: [Int]
    /// How many messages were given; 0: bodies are cut from lines.
    private let given: Int
    private let tail: [UInt8]

    init(from sender: [UInt8], largest: Int, seed: UInt64) {
        var header: [UInt8] = Self.ledgerField
        var places = [header.count]
        let blank = [UInt8](repeating: ASCII.hyphen, count: LedgerID.length)
        header += blank + Array("\r\nFrom: <".utf8) + (sender.isEmpty ? Array("bench@bench.invalid".utf8) : sender)
        header += Array(">\r\nTo: bench-recipients:;\r\nSubject: martlet-bench ".utf8)
        places.append(header.count)
        header += blank + Array("\r\nDate: Mon, 23 Nov 2026 00:00:00 +0000\r\nMessage-ID: <".utf8)
        places.append(header.count)
        header += blank + Array("@bench.invalid>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n".utf8)
        self.header = header
        idPlaces = places
        tail = [UInt8](repeating: 0x78, count: Self.lineBytes - 2)

        let lines = largest / Self.lineBytes + Self.starts + 1
        var random = Seeded(seed: seed)
        var plain: [UInt8] = []
        var stuffed: [UInt8] = []
        var starts: [Int] = []
        plain.reserveCapacity(lines * Self.lineBytes)
        for _ in 0..<lines {
            var line = (0..<Self.lineBytes - 2).map { _ in UInt8(truncatingIfNeeded: 0x21 + random.below(94)) }
            // One line in sixteen starts with a dot: transparency is part of what is checked.
            if random.below(16) == 0 { line[0] = ASCII.dot }
            line += [ASCII.cr, ASCII.lf]
            starts.append(stuffed.count)
            if line[0] == ASCII.dot { stuffed.append(ASCII.dot) }
            stuffed += line
            plain += line
        }
        starts.append(stuffed.count)
        self.plain = plain
        self.stuffed = stuffed
        plainStarts = (0...lines).map { $0 * Self.lineBytes }
        stuffedStarts = starts
        given = 0
    }

    /// `messages` in turn; what has bare line feeds or no end gets CRLF.
    init(messages: [[UInt8]]) {
        header = Self.ledgerField + [UInt8](repeating: ASCII.hyphen, count: LedgerID.length) + Self.lineEnd
        idPlaces = [Self.ledgerField.count]
        tail = []
        var plain: [UInt8] = []
        var stuffed: [UInt8] = []
        var plainStarts = [0]
        var stuffedStarts = [0]
        for message in messages {
            for line in Self.lines(of: message) {
                if line.first == ASCII.dot { stuffed.append(ASCII.dot) }
                plain += line + Self.lineEnd
                stuffed += line + Self.lineEnd
            }
            plainStarts.append(plain.count)
            stuffedStarts.append(stuffed.count)
        }
        self.plain = plain
        self.stuffed = stuffed
        self.plainStarts = plainStarts
        self.stuffedStarts = stuffedStarts
        given = messages.count
    }

    private static func lines(of message: [UInt8]) -> [[UInt8]] {
        var lines = message.split(separator: ASCII.lf, omittingEmptySubsequences: false).map(Array.init)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines.map { $0.last == ASCII.cr ? Array($0.dropLast()) : $0 }
    }

    /// A message's parts; `size` is the whole message's as it should arrive, at least the header.
    struct Layout: Sendable {
        let size: Int
        let firstLine: Int
        let lines: Int
        let tailBytes: Int
    }

    func layout(_ id: LedgerID, size: Int) -> Layout {
        if given > 0 {
            let one = Int(id.number) % given
            let bytes = plainStarts[one + 1] - plainStarts[one]
            return Layout(size: header.count + bytes, firstLine: one, lines: 1, tailBytes: 0)
        }
        let body = max(0, size - header.count)
        let lines = body / Self.lineBytes
        var tailBytes = body % Self.lineBytes
        if tailBytes < 2 { tailBytes = 0 }
        let first = Int((UInt64(id.number) &* 2_654_435_761 &+ UInt64(id.run)) % UInt64(Self.starts))
        return Layout(
            size: header.count + lines * Self.lineBytes + tailBytes, firstLine: first, lines: lines,
            tailBytes: tailBytes)
    }

    /// The header with the id in its places, over `buffer`.
    func writeHeader(_ id: LedgerID, to buffer: inout [UInt8]) {
        if buffer.count != header.count { buffer = header }
        for place in idPlaces { id.write(to: &buffer, at: place) }
    }

    /// Gives the body's pieces to `take`, as they are or dot-stuffed.
    @inline(__always)
    func withBody(_ layout: Layout, stuffed isStuffed: Bool, _ take: (Span<UInt8>) -> Void) {
        if layout.lines > 0 {
            let last = layout.firstLine + layout.lines
            if isStuffed {
                take(stuffed.span.extracting(stuffedStarts[layout.firstLine]..<stuffedStarts[last]))
            } else {
                take(plain.span.extracting(plainStarts[layout.firstLine]..<plainStarts[last]))
            }
        }
        if layout.tailBytes > 0 {
            take(tail.span.extracting(0..<layout.tailBytes - 2))
            take(Self.lineEnd.span)
        }
    }
    private static let lineEnd: [UInt8] = [ASCII.cr, ASCII.lf]

    /// SHA-256 of the message as it should arrive.
    func digest(_ header: [UInt8], _ layout: Layout) -> [UInt8] {
        var digest = RunningDigest(.sha256)
        digest.update(header.span)
        withBody(layout, stuffed: false) { digest.update($0) }
        return digest.finish()
    }
}
