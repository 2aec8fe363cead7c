import Base

/// Takes a DATA stream apart up to its end: dots removed, the end found. Keeps as much of the message as it is asked to.
struct SinkBody {
    private enum State { case lineStart, dot, dotCR, inLine }
    private var state = State.lineStart
    private var lastWasCR = false
    private let keptMax: Int
    private(set) var message: [UInt8] = []
    private(set) var count = 0
    private(set) var isComplete = false

    init(keeping max: Int) { keptMax = max }

    private mutating func take(_ bytes: Span<UInt8>) {
        count += bytes.count
        guard message.count < keptMax else { return }
        message.append(bytes)
    }

    /// Bytes taken from `bytes`; all of them unless the end came.
    mutating func feed(_ bytes: Span<UInt8>) -> Int {
        var i = 0
        while i < bytes.count {
            switch state {
            case .lineStart:
                state = bytes[i] == ASCII.dot ? .dot : .inLine
                if state == .dot { i += 1 }
                lastWasCR = false
            case .dot:
                state = bytes[i] == ASCII.cr ? .dotCR : .inLine
                if state == .dotCR { i += 1 }
            case .dotCR:
                if bytes[i] == ASCII.lf {
                    isComplete = true
                    return i + 1
                }
                count += 1
                if message.count < keptMax { message.append(ASCII.cr) }
                state = .inLine
            case .inLine:
                guard let lf = ByteScan.firstIndex(of: ASCII.lf, in: bytes, from: i) else {
                    take(bytes.extracting(i..<bytes.count))
                    lastWasCR = bytes[bytes.count - 1] == ASCII.cr
                    return bytes.count
                }
                if lf > i ? bytes[lf - 1] == ASCII.cr : lastWasCR { state = .lineStart }
                take(bytes.extracting(i..<lf + 1))
                lastWasCR = false
                i = lf + 1
            }
        }
        return i
    }

    /// A BDAT chunk's octets, as they are.
    mutating func feedChunk(_ bytes: Span<UInt8>) { take(bytes) }
}
