import Base

/// What a server's EHLO reply offered. Unknown keywords are skipped; `ReplyParser` bounds their number.
package struct PeerCapabilities: Sendable, Equatable {
    package var size = false
    /// RFC 1870 §3: the largest message it takes; nil when it names none.
    package var sizeMaximum: UInt64?
    package var pipelining = false
    package var chunking = false
    package var binaryMIME = false
    package var startTLS = false
    package var eightBitMIME = false
    package var smtpUTF8 = false
    package var dsn = false
    package var requireTLS = false
    package var enhancedStatusCodes = false
    /// RFC 9422 §4: recipients a transaction, transactions a connection; nil when not limited.
    package var recipientsMaximum: Int?
    package var messagesMaximum: Int?
    package var authPlain = false
    package var authLogin = false

    package init() {}

    /// From the whole EHLO reply; its first line is the server's name.
    package init(ehlo reply: ServerReply) {
        for line in reply.lines.dropFirst() { add(line) }
    }

    private mutating func add(_ line: ArraySlice<UInt8>) {
        // Old servers write "AUTH=PLAIN LOGIN": the equals sign ends the keyword too.
        let words = line.split { $0 == ASCII.space || $0 == ASCII.equals }
        guard let keyword = words.first else { return }
        let arguments = line.split(separator: ASCII.space).dropFirst()
        switch ASCII.lowercased(Array(keyword)) {
        case Self.word("size"):
            size = true
            // RFC 1870 §3: 0 means no fixed maximum.
            sizeMaximum = arguments.first.flatMap { Self.number($0) }.flatMap { $0 == 0 ? nil : $0 }
        case Self.word("pipelining"): pipelining = true
        case Self.word("chunking"): chunking = true
        case Self.word("binarymime"): binaryMIME = true
        case Self.word("starttls"): startTLS = true
        case Self.word("8bitmime"): eightBitMIME = true
        case Self.word("smtputf8"): smtpUTF8 = true
        case Self.word("dsn"): dsn = true
        case Self.word("requiretls"): requireTLS = true
        case Self.word("enhancedstatuscodes"): enhancedStatusCodes = true
        case Self.word("limits"): for argument in arguments { addLimit(argument) }
        case Self.word("auth"): for mechanism in words.dropFirst() { addMechanism(mechanism) }
        default: break  // RFC 5321 §4.1.1.1: keywords a client does not know are ignored.
        }
    }

    private mutating func addLimit(_ argument: ArraySlice<UInt8>) {
        let parts = argument.split(separator: ASCII.equals, maxSplits: 1)
        guard parts.count == 2, let value = Self.number(parts[1]), value > 0, value <= 1_000_000 else { return }
        switch ASCII.lowercased(Array(parts[0])) {
        case Self.word("rcptmax"): recipientsMaximum = Int(value)
        case Self.word("mailmax"): messagesMaximum = Int(value)
        default: break
        }
    }

    private mutating func addMechanism(_ name: ArraySlice<UInt8>) {
        switch ASCII.lowercased(Array(name)) {
        case Self.word("plain"): authPlain = true
        case Self.word("login"): authLogin = true
        default: break
        }
    }

    private static func word(_ text: String) -> [UInt8] { Array(text.utf8) }
    private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64? { Decimal.parse(Array(bytes).span) }
}
