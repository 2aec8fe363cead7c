import Base
package import Protocols

/// Whether the author domain publishes a brand indicator for mail such as this
/// (draft-brand-indicators-for-message-identification). It is looked up only for mail that DMARC proved, of a domain
/// whose own policy and that of its Organizational Domain let no unproven mail through. At most two questions besides
/// the tree walk that DMARC has made already. Neither the indicator nor its evidence is fetched.
package struct BIMICheck: Evaluation, Sendable {
    private let dmarc: AuthResults.DMARC
    private let selector: [UInt8]

    private static let defaultSelector = Array("default".utf8)

    /// `selector`: what `BIMISelector` found in the message.
    package init(dmarc: AuthResults.DMARC, selector: [UInt8]? = nil) {
        self.dmarc = dmarc
        self.selector = selector ?? Self.defaultSelector
    }

    package func evaluate(_ facts: Facts) throws(Missing) -> AuthResults.BIMI {
        guard dmarc.result == .pass, let author = DMARCCheck.name(dmarc.author) else {
            return result(dmarc.result == .temperror ? .temperror : .skipped, "DMARC did not pass")
        }
        if let weakness = Self.weakness(DMARCRecord(dmarc.record), dmarc.policy) {
            return result(.skipped, weakness, dmarc.policyDomain)
        }
        let walk = try walk(author, facts)
        let organization = walk.organization
        if let weakness = try Self.weakness(of: organization, dmarc, facts) {
            return result(.skipped, weakness, organization.dotted)
        }
        var out = try lookUp(author, facts)
        if out.result == .absent, organization != author { out = try lookUp(organization, facts, after: out) }
        return out
    }

    /// Asks for the author domain's own indicator at the same time.
    private func walk(_ author: DNSName, _ facts: Facts) throws(Missing) -> TreeWalk {
        do throws(Missing) {
            return try TreeWalk(from: author, facts)
        } catch {
            var missing = error
            if let name = indicatorName(author), facts.known(DNSQuestion(name, .txt)) == nil {
                missing.merge(Missing([DNSQuestion(name, .txt)]))
            }
            throw missing
        }
    }

    // MARK: What DMARC must ask for

    /// Nil: a policy under which unproven mail is not shown as the domain's.
    private static func weakness(_ record: DMARCRecord?, _ policy: DMARCPolicy) -> String? {
        guard let record else { return "the DMARC record cannot be read" }
        if policy == .monitor { return "the DMARC policy is none" }
        if record.isTesting { return "the DMARC record is for testing" }
        if policy == .quarantine, record.percent < 100 { return "the DMARC policy is not for all mail" }
        return nil
    }

    /// The Organizational Domain vouches for the names below it: its own policy and that for subdomains count.
    private static func weakness(
        of organization: DNSName, _ dmarc: AuthResults.DMARC, _ facts: Facts
    ) throws(Missing) -> String? {
        let lookup = try DMARCLookup(organization, facts)
        guard let record = lookup.record else {
            // The record that applies is the one of a name below, or of a public suffix above.
            return "the organizational domain has no DMARC record"
        }
        for isSubdomain in [false, true] {
            let policy = record.policy(isSubdomain: isSubdomain, exists: true).0
            if let weakness = weakness(record, policy) { return "\(weakness) at the organizational domain" }
        }
        return nil
    }

    // MARK: The record

    private func lookUp(
        _ domain: DNSName, _ facts: Facts, after earlier: AuthResults.BIMI? = nil
    ) throws(Missing) -> AuthResults.BIMI {
        guard let name = indicatorName(domain) else {
            return result(.absent, "the selector is too long", domain.dotted)
        }
        let answer = try facts.need(name, .txt)
        if answer.isTemporary { return result(.temperror, "the record could not be looked up", domain.dotted) }
        let records = answer.texts.filter(BIMIRecord.isRecord)
        // Several records, like none, end the search there.
        guard records.count < 2 else { return result(.fail, "more than one record", domain.dotted) }
        guard let text = records.first else { return earlier ?? result(.absent, "no record", domain.dotted) }
        var out: AuthResults.BIMI
        switch BIMIRecord.parse(text) {
        case .success(let record) where record.isDeclined:
            out = result(.declined, "the domain takes no part", domain.dotted)
        case .success(let record):
            out = AuthResults.BIMI(result: .pass, domain: domain.dotted, selector: selector)
            out.location = record.location
            out.authority = record.authority
        case .failure(let problem): out = result(.fail, problem.reason, domain.dotted)
        }
        out.isSecure = answer.security == .secure
        return out
    }

    /// `selector._bimi.domain`
    private func indicatorName(_ domain: DNSName) -> DNSName? {
        DNSName(dotted: selector).flatMap {
            DNSName(labels: $0.labels + [Array("_bimi".utf8)] + domain.labels)
        }
    }

    private func result(
        _ result: AuthResults.BIMI.Result, _ reason: String, _ domain: [UInt8]? = nil
    ) -> AuthResults.BIMI {
        var out = AuthResults.BIMI(result: result, domain: domain ?? dmarc.author, selector: selector)
        out.reason = Array(reason.utf8.prefix(AuthResults.reasonMax))
        return out
    }
}

/// A BIMI assertion record, as far as a receiver that fetches nothing needs it.
package struct BIMIRecord: Sendable, Hashable {
    /// l=: https, or empty.
    package let location: [UInt8]
    /// a=: https, or empty.
    package let authority: [UInt8]

    package struct Problem: Error, Sendable, Hashable { package let reason: String }

    /// Octets of one URI.
    package static let uriMax = 2_048

    /// The domain owner says that there is no indicator.
    package var isDeclined: Bool { location.isEmpty && authority.isEmpty }

    /// Whether the text claims to be one: the version comes first.
    package static func isRecord(_ text: [UInt8]) -> Bool {
        let head = text.prefix { $0 != ASCII.semicolon }.filter { $0 != ASCII.space && $0 != ASCII.tab }
        return head.elementsEqual("v=BIMI1".utf8)
    }

    /// `text` must pass `isRecord`.
    package static func parse(_ text: [UInt8]) -> Result<BIMIRecord, Problem> {
        let tags: TagList
        do throws(TagListError) { tags = try TagList(text) } catch {
            return .failure(Problem(reason: "the record is not a list of tags"))
        }
        guard let location = tags.value("l") else { return .failure(Problem(reason: "the record has no l=")) }
        let authority = tags.value("a") ?? []
        guard location.isEmpty || isIndicator(location) else {
            return .failure(Problem(reason: "l= is no https URI"))
        }
        // "self" was a word of early drafts.
        guard authority.isEmpty || isIndicator(authority) else {
            return .failure(Problem(reason: "a= is no https URI"))
        }
        if location.isEmpty, !authority.isEmpty { return .failure(Problem(reason: "l= is empty while a= is not")) }
        return .success(BIMIRecord(location: location, authority: authority))
    }

    /// An https URI with a host name and a path, and nothing that could lead a reader elsewhere (RFC 3986 §3).
    package static func isIndicator(_ uri: [UInt8]) -> Bool {
        let scheme = Array("https://".utf8)
        guard uri.count <= uriMax, uri.count > scheme.count,
            ASCII.lowercased(Array(uri.prefix(scheme.count))) == scheme,
            uri.allSatisfy({ $0 > ASCII.space && $0 < 0x7F && !"\"<>\\^`{|}".utf8.contains($0) })
        else { return false }
        let rest = uri[scheme.count...]
        let host = rest.prefix { $0 != ASCII.slash && $0 != 0x3F && $0 != 0x23 }
        let path = rest.dropFirst(host.count)
        guard path.first == ASCII.slash, path.count > 1, !path.contains(0x23) else { return false }
        let isHost = host.allSatisfy { ASCII.isAlphanumeric($0) || $0 == ASCII.hyphen || $0 == ASCII.dot }
        return isHost && host.contains(ASCII.dot) && DNSName(dotted: Array(host)) != nil
    }
}

/// What the message's BIMI-Selector field names, when it may be believed: there is one such field, and a signature that
/// passed and is aligned covers it.
package enum BIMISelector {
    private static let field = Array("bimi-selector".utf8)

    package static func read(
        _ header: HeaderIndex, dkim: DKIMFields, results: [AuthResults.DKIM], aligned domain: [UInt8]?
    ) -> [UInt8]? {
        let places = header.places(of: field)
        guard places.count == 1, let place = places.first, let domain else { return nil }
        let isCovered = dkim.entries.contains { entry in
            guard case .success(let signature) = entry.signature, signature.signedNames.contains(field),
                ASCII.equalIgnoringCase(signature.domain, domain)
            else { return false }
            return results.contains {
                $0.result == .pass && $0.coversBody && $0.selector == signature.selector
                    && ASCII.equalIgnoringCase($0.domain, domain)
            }
        }
        guard isCovered, let tags = try? TagList(header.value(of: place)),
            tags.value("v").map({ $0.elementsEqual("BIMI1".utf8) }) ?? false, let selector = tags.value("s")
        else { return nil }
        let isName =
            !selector.isEmpty && selector.count <= 100
            && selector.allSatisfy { ASCII.isAlphanumeric($0) || $0 == ASCII.hyphen || $0 == ASCII.dot || $0 == 0x5F }
        return isName && DNSName(dotted: selector) != nil ? ASCII.lowercased(selector) : nil
    }
}
