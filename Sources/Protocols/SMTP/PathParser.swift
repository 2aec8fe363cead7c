import Base

/// Reads RFC 5321 §4.1.2 paths and mailboxes out of one command line. Holds only its position.
struct PathParser {
    var index: Int

    init(at index: Int) { self.index = index }

    /// A mailbox as written; a domain with U-labels is not mapped yet.
    struct Mailbox {
        var address: MailAddress
        var domainIsUTF8: Bool
        var isUTF8: Bool { domainIsUTF8 || address.needsUTF8 }
    }

    enum Path {
        case null
        case mailbox(Mailbox)
    }

    // RFC 5321 §4.5.3.1.1
    static let localpartOctetsMax = 64
    // RFC 5321 §4.5.3.1.2: 255 on the wire of the DNS, so 253 characters of text (RFC 1035 §2.3.4).
    static let domainOctetsMax = 253
    // RFC 5321 §4.5.3.1.3: 256 with the angle brackets.
    static let mailboxOctetsMax = 254

    /// `<...>`; nil on a syntax error. `<postmaster>` alone may lack a domain, and only where `allowsPostmaster`.
    mutating func path(in line: Span<UInt8>, allowsPostmaster: Bool) -> Path? {
        guard take(ASCII.less, in: line) else { return nil }
        if take(ASCII.greater, in: line) { return .null }
        if index < line.count, line[index] == ASCII.at {
            guard sourceRoute(in: line) else { return nil }
        }
        let start = index
        if let mailbox = mailbox(in: line) {
            return take(ASCII.greater, in: line) ? .mailbox(mailbox) : nil
        }
        // RFC 5321 §4.1.1.3: the reserved mailbox "postmaster" needs no domain.
        index = start
        guard allowsPostmaster, start + 10 < line.count,
            ASCII.equalIgnoringCase(line.extracting(start..<start + 10), "postmaster")
        else { return nil }
        let local = [UInt8](line.extracting(start..<start + 10))
        index += 10
        guard take(ASCII.greater, in: line) else { return nil }
        return .mailbox(Mailbox(address: MailAddress(localpart: local, domain: []), domainIsUTF8: false))
    }

    /// `local@domain`; nil on a syntax error, with `index` anywhere.
    mutating func mailbox(in line: Span<UInt8>) -> Mailbox? {
        let start = index
        guard let local = localpart(in: line), take(ASCII.at, in: line),
            let (domain, isUTF8) = domain(in: line), index - start <= Self.mailboxOctetsMax
        else { return nil }
        return Mailbox(address: MailAddress(localpart: local, domain: domain), domainIsUTF8: isUTF8)
    }

    private mutating func take(_ c: UInt8, in line: Span<UInt8>) -> Bool {
        guard index < line.count, line[index] == c else { return false }
        index += 1
        return true
    }

    // RFC 5321 §4.1.1.3: a source route is read, and otherwise ignored (also appendix C).
    private mutating func sourceRoute(in line: Span<UInt8>) -> Bool {
        repeat {
            guard take(ASCII.at, in: line), domain(in: line) != nil else { return false }
        } while take(ASCII.comma, in: line)
        return take(ASCII.colon, in: line)
    }

    static func isAtext(_ c: UInt8) -> Bool {
        if ASCII.isAlphanumeric(c) { return true }
        switch c {
        case 0x21, 0x23...0x27, 0x2A, 0x2B, 0x2D, 0x2F, 0x3D, 0x3F, 0x5E...0x60, 0x7B...0x7E: return true
        default: return false
        }
    }

    private mutating func localpart(in line: Span<UInt8>) -> [UInt8]? {
        guard index < line.count else { return nil }
        return line[index] == ASCII.quote ? quotedString(in: line) : dotString(in: line)
    }

    private mutating func dotString(in line: Span<UInt8>) -> [UInt8]? {
        let start = index
        var afterDot = true
        while index < line.count {
            let c = line[index]
            if c == ASCII.dot {
                if afterDot { return nil }
                afterDot = true
                index += 1
            } else if Self.isAtext(c) {
                afterDot = false
                index += 1
            } else if c >= 0x80 {
                // RFC 6531 §3.3: atext is extended by UTF-8 non-ASCII.
                guard let n = UTF8Check.sequenceLength(in: line, at: index) else { return nil }
                afterDot = false
                index += n
            } else {
                break
            }
        }
        guard !afterDot, index - start <= Self.localpartOctetsMax else { return nil }
        return [UInt8](line.extracting(start..<index))
    }

    private mutating func quotedString(in line: Span<UInt8>) -> [UInt8]? {
        let start = index
        var out: [UInt8] = []
        index += 1
        while index < line.count {
            // The limit is on what is written, quotes and backslashes included.
            guard index - start < Self.localpartOctetsMax else { return nil }
            let c = line[index]
            if c == ASCII.quote {
                index += 1
                return out
            }
            if c >= 0x80 {
                guard let n = UTF8Check.sequenceLength(in: line, at: index) else { return nil }
                out.append(line.extracting(index..<index + n))
                index += n
                continue
            }
            if c == ASCII.backslash {
                index += 1
                guard index < line.count else { return nil }
            }
            guard ASCII.isPrintable(line[index]) else { return nil }
            out.append(line[index])
            index += 1
        }
        return nil
    }

    private mutating func domain(in line: Span<UInt8>) -> ([UInt8], Bool)? {
        guard index < line.count else { return nil }
        if line[index] == ASCII.leftBracket {
            guard let literal = addressLiteral(in: line) else { return nil }
            return (literal, false)
        }
        let start = index
        var labelStart = index
        var isUTF8 = false
        var labelIsUTF8 = false
        while true {
            let c = index < line.count ? line[index] : 0
            if ASCII.isAlphanumeric(c) {
                index += 1
            } else if c == ASCII.hyphen {
                if index == labelStart { return nil }
                index += 1
            } else if c >= 0x80 {
                // RFC 6531 §3.3: sub-domain is extended by U-label; the mapping judges the label as a whole.
                guard let n = UTF8Check.sequenceLength(in: line, at: index) else { return nil }
                isUTF8 = true
                labelIsUTF8 = true
                index += n
            } else {
                // RFC 5890 §2.3.2.1: the 63 octets are the A-label's, which the mapping checks.
                let octetsMax = labelIsUTF8 ? Self.domainOctetsMax : Self.labelOctetsMax
                guard Self.isLabel(from: labelStart, to: index, octetsMax, in: line) else { return nil }
                guard c == ASCII.dot else { break }
                labelIsUTF8 = false
                index += 1
                labelStart = index
            }
        }
        guard index - start <= Self.domainOctetsMax else { return nil }
        var domain = [UInt8](line.extracting(start..<index))
        for i in 0..<domain.count { domain[i] = ASCII.lowercased(domain[i]) }
        return (domain, isUTF8)
    }

    // RFC 1035 §2.3.4
    private static let labelOctetsMax = 63

    private static func isLabel(from start: Int, to end: Int, _ octetsMax: Int, in line: Span<UInt8>) -> Bool {
        end > start && end - start <= octetsMax && line[end - 1] != ASCII.hyphen
    }

    // RFC 5321 §4.1.3
    private mutating func addressLiteral(in line: Span<UInt8>) -> [UInt8]? {
        let start = index
        while index < line.count, line[index] != ASCII.rightBracket, index - start < 64 { index += 1 }
        guard index < line.count, line[index] == ASCII.rightBracket else { return nil }
        let inner = line.extracting(start + 1..<index)
        index += 1
        guard AddressLiteral.isValid(inner) else { return nil }
        return ASCII.lowercased([UInt8](line.extracting(start..<index)))
    }
}
