import Base

/// Why a server's bytes are no SMTP reply. The connection is of no use after one.
package enum ReplyError: Error, Sendable, Equatable {
    /// Longer than `ReplyParser.lineBytesMaximum`.
    case lineTooLong
    /// More than `ReplyParser.linesMaximum` lines.
    case tooManyLines
    /// Not three digits from 200 to 599, or something else than space, hyphen or the end behind them.
    case badCode
    /// RFC 5321 §4.2.1: the lines of one reply carry the same code.
    case mixedCodes
    /// A CR or LF that is not part of CRLF.
    case bareLineEnd
}

/// Reads replies, RFC 5321 §4.2, from the unread bytes of a connection.
///
/// Consumes whole lines and remembers how far it searched, so a reply that drips in costs time in its length. Holds at
/// most `linesMaximum` lines of `lineBytesMaximum`.
package struct ReplyParser: Sendable {
    /// RFC 5321 §4.5.3.1.5 asks for 512; servers with long texts exist.
    package static let lineBytesMaximum = 4_096
    package static let linesMaximum = 128

    package enum Step: Sendable, Equatable {
        case reply(ServerReply)
        case needMore
        case failed(ReplyError)
    }

    private var searched = 0
    private var lines = 0
    private var code: UInt16 = 0
    private var status: EnhancedStatusValue?
    private var text: [UInt8] = []

    package init() {}

    /// Whether some lines of an unfinished reply were consumed.
    package var isInside: Bool { lines > 0 }

    /// Looks for the next reply in `bytes` from `offset`, which it moves past every line it takes. `bytes[offset...]`
    /// must start with what the call before left.
    package mutating func next(_ bytes: Span<UInt8>, _ offset: inout Int) -> Step {
        while true {
            guard let end = ByteScan.firstIndex(of: ASCII.cr, or: ASCII.lf, in: bytes, from: offset + searched) else {
                searched = bytes.count - offset
                return searched >= Self.lineBytesMaximum ? .failed(.lineTooLong) : .needMore
            }
            guard end + 2 - offset <= Self.lineBytesMaximum else { return .failed(.lineTooLong) }
            guard bytes[end] == ASCII.cr else { return .failed(.bareLineEnd) }
            guard end + 1 < bytes.count else {
                searched = end - offset
                return .needMore
            }
            guard bytes[end + 1] == ASCII.lf else { return .failed(.bareLineEnd) }
            let line = bytes.extracting(offset..<end)
            offset = end + 2
            searched = 0
            do throws(ReplyError) {
                if try take(line) { return .reply(finish()) }
            } catch {
                return .failed(error)
            }
        }
    }

    /// True when `line` is the reply's last.
    private mutating func take(_ line: Span<UInt8>) throws(ReplyError) -> Bool {
        guard line.count >= 3, line[0] >= 0x32, line[0] <= 0x35, ASCII.isDigit(line[1]), ASCII.isDigit(line[2]) else {
            throw .badCode
        }
        let number = UInt16(line[0] &- 0x30) * 100 + UInt16(line[1] &- 0x30) * 10 + UInt16(line[2] &- 0x30)
        // RFC 5321 §4.2: a client must cope with a code and no text, not even a space.
        let isLast = line.count == 3 || line[3] == ASCII.space
        guard isLast || line[3] == ASCII.hyphen else { throw .badCode }
        if lines == 0 {
            code = number
        } else {
            guard number == code else { throw .mixedCodes }
            text.append(ASCII.lf)
        }
        lines += 1
        guard lines <= Self.linesMaximum else { throw .tooManyLines }
        if line.count > 4 { text.append(line.extracting(4..<line.count)) }
        return isLast
    }

    private mutating func finish() -> ServerReply {
        if let found = EnhancedStatusValue(prefixOf: text), UInt16(found.statusClass) == code / 100 { status = found }
        let reply = ServerReply(code: code, status: status, text: text)
        lines = 0
        status = nil
        text = []
        return reply
    }
}
