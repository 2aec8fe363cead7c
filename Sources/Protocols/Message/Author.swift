import Base

/// Who a message says it is from, as far as DMARC is concerned (RFC 9989 §5.3.1): one domain, or why there is not one.
package enum Author: Sendable, Hashable {
    /// Lower case as far as ASCII goes; may hold U-labels.
    case domain([UInt8])
    /// The domains that were named are kept for the record, at most `domainsMax`.
    case problem(AuthResults.AuthorProblem, domains: [[UInt8]])

    /// Different domains kept of a From that names several.
    package static let domainsMax = 8

    /// Reads the From fields of a message's header.
    package init(message: Span<UInt8>) {
        var parser = HeaderParser()
        var value: Range<Int>?
        var count = 0
        while let field = parser.next(in: message) {
            guard field.isNamed("from", in: message) else { continue }
            count += 1
            if value == nil { value = field.value }
        }
        guard let value else {
            self = .problem(.missing, domains: [])
            return
        }
        // RFC 5322 §3.6: exactly one From. Which of several a reader is shown cannot be known.
        self = count == 1 ? Author(value: message.extracting(value)) : .problem(.severalFields, domains: [])
    }

    /// Reads the value of one From field.
    package init(value: Span<UInt8>) {
        guard let mailboxes = try? AddressParser.mailboxes(in: value, limit: 100) else {
            self = .problem(.malformed, domains: [])
            return
        }
        var domains: [[UInt8]] = []
        for mailbox in mailboxes where !mailbox.domain.isEmpty {
            let domain = ASCII.lowercased(mailbox.domain)
            if domains.count < Self.domainsMax, !domains.contains(domain) { domains.append(domain) }
        }
        if domains.count > 1 {
            self = .problem(.severalDomains, domains: domains)
        } else if let domain = domains.first {
            self =
                domain.first == ASCII.leftBracket ? .problem(.notADomain, domains: domains) : .domain(domain)
        } else {
            self = .problem(mailboxes.isEmpty ? .malformed : .noDomain, domains: [])
        }
    }
}
