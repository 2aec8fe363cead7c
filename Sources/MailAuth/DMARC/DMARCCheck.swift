import Base
import Crypto
package import Protocols

/// How `dmarc.mode` reads records.
package enum DMARCMode: String, Sendable, Hashable, CaseIterable {
    case rfc9989
    /// As rfc9989, and pct takes its share of failing messages out of the policy (RFC 7489 §6.6.4).
    case rfc7489
}

/// DMARC of one message (RFC 9989 §5.3): finds the record of the author domain, and whether an identifier that SPF or
/// DKIM authenticated is aligned with it. At most `identifiersMax` identifiers, eight questions for each.
package struct DMARCCheck: Evaluation, Sendable {
    /// Different signing domains that are looked at; the author's own come first.
    package static let identifiersMax = 8

    private let author: Author
    private let spf: AuthResults.SPF?
    private let dkim: [AuthResults.DKIM]
    private let mode: DMARCMode
    /// 0 to 99, drawn once for the message; kept with its facts so that a replay falls the same way.
    private let dice: Int

    package init(
        author: Author, spf: AuthResults.SPF?, dkim: [AuthResults.DKIM], mode: DMARCMode = .rfc9989, dice: Int = 0
    ) {
        self.author = author
        self.spf = spf
        self.dkim = dkim
        self.mode = mode
        self.dice = dice
    }

    /// A mail domain as a DNS name, U-labels as A-labels (RFC 9989 §5.3.1). Nil: not a domain.
    package static func name(_ domain: [UInt8]) -> DNSName? {
        guard domain.last != ASCII.dot else { return nil }
        if !ByteScan.containsNonASCII(domain.span) { return DNSName(dotted: ASCII.lowercased(domain)) }
        return IDNA.toASCII(domain).flatMap { DNSName(dotted: $0) }
    }

    package func evaluate(_ facts: Facts) throws(Missing) -> AuthResults.DMARC {
        switch author {
        case .problem(let problem, _): return Self.undecidable(problem, [])
        case .domain(let domain):
            guard let name = Self.name(domain) else { return Self.undecidable(.notADomain, domain) }
            return try evaluate(name, facts)
        }
    }

    // RFC 9989 §5.3.1: without exactly one author domain validation is not possible.
    private static func undecidable(_ problem: AuthResults.AuthorProblem, _ domain: [UInt8]) -> AuthResults.DMARC {
        var out = AuthResults.DMARC(result: .permerror, author: domain)
        out.authorProblem = problem
        out.reason = Array(problem.text.utf8)
        return out
    }

    private func evaluate(_ author: DNSName, _ facts: Facts) throws(Missing) -> AuthResults.DMARC {
        var out = AuthResults.DMARC(result: .absent, author: author.dotted)
        let discovery = try PolicyDiscovery(author, facts)
        out.isSecure = discovery.isSecure
        guard let lookup = discovery.lookup, let record = lookup.record else {
            if discovery.isUncertain { withoutPolicy(author, &out) }
            return out
        }
        out.organization = discovery.organization?.dotted ?? []
        out.policyDomain = lookup.name.dotted
        out.record = lookup.text
        guard record.isUsable else {
            out.reason = Array("the record has neither a valid policy nor a report address".utf8)
            return out
        }
        try decide(record, discovery, author, facts, &out)
        return out
    }

    /// The record could not be asked for. With an identifier that is the author domain itself the message could but pass.
    private func withoutPolicy(_ author: DNSName, _ out: inout AuthResults.DMARC) {
        out.result = .temperror
        out.reason = Array("the record could not be looked up".utf8)
        let identifiers = passed(among: dkim).compactMap { Self.name($0.domain) }
        let sender = spf.flatMap { $0.result == .pass ? Self.name($0.domain) : nil }
        out.couldFail = !identifiers.contains(author) && sender != author
    }

    private func decide(
        _ record: DMARCRecord, _ discovery: PolicyDiscovery, _ author: DNSName, _ facts: Facts,
        _ out: inout AuthResults.DMARC
    ) throws(Missing) {
        var missing = Missing([DNSQuestion]())
        var found = Found()
        do throws(Missing) {
            found = try alignments(record, author, facts)
        } catch {
            missing.merge(error)
        }
        var exists = true
        do throws(Missing) {
            exists = try discovery.authorExists(facts)
        } catch {
            missing.merge(error)
        }
        guard missing.keys.isEmpty else { throw missing }
        let isSubdomain = author != discovery.lookup?.name
        (out.policy, out.policySource) = record.policy(isSubdomain: isSubdomain, exists: exists)
        out.applied = out.policy
        if record.isTesting, out.policy != .monitor {
            // RFC 9989 §4.7, t
            out.isTestMode = true
            out.applied = out.policy.lowered
        }
        out.spfAligned = found.spf == .aligned
        out.dkimAligned = found.dkim
        if out.spfAligned || out.dkimAligned != nil {
            out.result = .pass
        } else if found.isUncertain {
            // RFC 9989 §5.3.6: neither pass nor fail while a question is open.
            out.result = .temperror
            out.reason = Array("an identifier could not be verified now".utf8)
            out.couldFail = out.applied != .monitor
        } else {
            out.result = .fail
            sample(record, &out)
        }
    }

    // RFC 7489 §6.6.4: what pct leaves out gets the next milder policy; the result stays fail.
    private func sample(_ record: DMARCRecord, _ out: inout AuthResults.DMARC) {
        guard mode == .rfc7489, out.applied != .monitor, dice >= record.percent else { return }
        out.isSampledOut = true
        out.applied = out.applied.lowered
    }

    // MARK: Identifiers

    private struct Found {
        var spf = Alignment.unaligned
        var dkim: [UInt8]?
        var isUncertain = false
    }

    private func alignments(_ record: DMARCRecord, _ author: DNSName, _ facts: Facts) throws(Missing) -> Found {
        var missing = Missing([DNSQuestion]())
        var out = Found()
        if let spf, spf.result == .pass || spf.result == .temperror, let name = Self.name(spf.domain) {
            do throws(Missing) {
                let alignment = try Alignment(name, with: author, strict: record.strictSPF, facts)
                if spf.result == .pass { out.spf = alignment }
                if alignment == .unknown || (spf.result == .temperror && alignment == .aligned) {
                    out.isUncertain = true
                }
            } catch {
                missing.merge(error)
            }
        }
        for (name, passes) in identifiers(author) {
            do throws(Missing) {
                let alignment = try Alignment(name, with: author, strict: record.strictDKIM, facts)
                if alignment == .aligned, passes, out.dkim == nil { out.dkim = name.dotted }
                if alignment == .unknown || (!passes && alignment == .aligned) { out.isUncertain = true }
            } catch {
                missing.merge(error)
            }
        }
        guard missing.keys.isEmpty else { throw missing }
        return out
    }

    /// Different signing domains, those most like the author domain first, with whether a signature passes or could.
    private func identifiers(_ author: DNSName) -> [(DNSName, Bool)] {
        var out: [(DNSName, Bool)] = []
        for signature in passed(among: dkim) {
            guard let name = Self.name(signature.domain), !out.contains(where: { $0.0 == name }) else { continue }
            out.append((name, true))
        }
        for signature in dkim where signature.result == .temperror {
            guard let name = Self.name(signature.domain), !out.contains(where: { $0.0 == name }) else { continue }
            out.append((name, false))
        }
        let rank: (DNSName) -> Int = { $0 == author ? 0 : $0.isWithin(author) || author.isWithin($0) ? 1 : 2 }
        let ranked = (0...2).flatMap { level in out.filter { rank($0.0) == level } }
        return Array(ranked.prefix(Self.identifiersMax))
    }

    /// A signature of a part of the body says nothing of the rest: it does not count.
    private func passed(among signatures: [AuthResults.DKIM]) -> [AuthResults.DKIM] {
        signatures.filter { $0.result == .pass && $0.coversBody }
    }
}
