import Base

/// A mailbox of the envelope. `localpart` has its meaning (quotes and backslashes resolved, case kept);
/// `domain` is lower case with A-labels, an address literal with its brackets, or empty for the bare `postmaster`.
/// Bounds: RFC 5321 §4.5.3.1 (64 and 255 octets), enforced by `PathParser`.
package struct MailAddress: Sendable, Hashable {
    package let localpart: [UInt8]
    package let domain: [UInt8]

    package init(localpart: [UInt8], domain: [UInt8]) {
        self.localpart = localpart
        self.domain = domain
    }

    /// Parses `local@domain` without angle brackets, as typed by a person or kept in a table. Nil unless it is a
    /// mailbox of RFC 5321 with an ASCII domain.
    package init?(parsing bytes: [UInt8]) {
        var parser = PathParser(at: 0)
        guard let mailbox = parser.mailbox(in: bytes.span), parser.index == bytes.count, !mailbox.domainIsUTF8 else {
            return nil
        }
        self = mailbox.address
    }

    package var isPostmaster: Bool { ASCII.equalIgnoringCase(localpart.span, "postmaster") }
    package var isAddressLiteral: Bool { domain.first == ASCII.leftBracket }
    /// Whether the address needs SMTPUTF8 to be written (RFC 6531 §3.2); the domain is always ASCII here.
    package var needsUTF8: Bool { ByteScan.containsNonASCII(localpart.span) }

    /// The form for a path or a header field: quoted only when it has to be.
    package var wire: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(localpart.count + domain.count + 3)
        append(to: &out)
        return out
    }

    package func append(to out: inout [UInt8]) {
        if isDotString {
            out.append(contentsOf: localpart)
        } else {
            out.append(ASCII.quote)
            for c in localpart {
                if c == ASCII.quote || c == ASCII.backslash { out.append(ASCII.backslash) }
                out.append(c)
            }
            out.append(ASCII.quote)
        }
        guard !domain.isEmpty else { return }
        out.append(ASCII.at)
        out.append(contentsOf: domain)
    }

    private var isDotString: Bool {
        var afterDot = true
        for c in localpart {
            if c == ASCII.dot {
                if afterDot { return false }
                afterDot = true
            } else {
                guard PathParser.isAtext(c) || c >= 0x80 else { return false }
                afterDot = false
            }
        }
        return !afterDot
    }
}
