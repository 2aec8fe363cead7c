import Base
import Policy
import Protocols

/// What somebody could do about what failed: the sender's people, the owner of the author domain, or the operator here.
enum Remedies {
    static func of(_ record: DecisionRecord) -> [String] {
        var out: [String] = []
        let results = record.results
        if let problem = results.dmarc?.authorProblem { out += author(problem, record) }
        out += lookups(record)
        if results.dmarc?.result != .pass || results.spf?.result == .fail { out += spf(record) }
        out += results.dkim.flatMap { dkim($0, results) }
        if let dmarc = results.dmarc, dmarc.result == .fail { out += alignment(dmarc, record) }
        if let dmarc = results.dmarc, dmarc.result == .permerror, dmarc.authorProblem == nil {
            out.append("\(dmarc.author.shownText) should repair its DMARC record: \(dmarc.reason.shownText)")
        }
        if let arc = results.arc { out += chain(arc, record) }
        out += record.verdicts.flatMap { settings($0, record) }
        if record.removedClaims > 0 {
            out.append("nothing to do about the forged Authentication-Results: they were removed before delivery")
        }
        if record.verdicts.isEmpty, !record.cause.isEmpty, record.action != .accept {
            out.append("the reply says what to change: \(ShownText.reply(record.reply))")
        }
        var seen: Set<String> = []
        return out.filter { seen.insert($0).inserted }
    }

    // MARK: The header

    private static func author(_ problem: AuthResults.AuthorProblem, _ record: DecisionRecord) -> [String] {
        switch problem {
        case .missing: ["the sender must put one From field into its messages (RFC 5322)"]
        case .severalFields: ["the sender must put one From field into its messages, not several (RFC 5322)"]
        case .malformed, .noDomain: ["the sender must name an address, local@domain, in its From field (RFC 5322)"]
        case .severalDomains:
            ["the sender must name mailboxes of one domain in From, and the others in Reply-To or Cc"]
        case .notADomain: ["the sender must use a domain name in From, not an address literal or something else"]
        }
    }

    // MARK: DNS

    /// Questions without an answer, when a check could not be finished for them.
    private static func lookups(_ record: DecisionRecord) -> [String] {
        let results = record.results
        let checks = [results.spf?.result, results.helo?.result, results.dmarc?.result, results.arc?.result]
        guard checks.contains(.temperror) || results.dkim.contains(where: { $0.result == .temperror }) else {
            return []
        }
        var out: [String] = []
        for question in record.facts.questions {
            guard let answer = record.facts.known(question), answer.isTemporary, out.count < 8 else { continue }
            if answer.security == .bogus {
                let why = answer.reason.map { ": \(Array($0.utf8).shownText)" } ?? ""
                out.append(
                    "the owner of \(question.name) should repair its DNSSEC, \(question) does not validate\(why)")
            } else {
                out.append(
                    "\(question) had no answer (\(answer.status.rawValue)): its name servers, or the resolver here "
                        + "(dns.forward, dns.timeout), should be looked at; the sender tries again by itself")
            }
        }
        if out.isEmpty {
            out.append("DNS gave no answer in time; the sender tries again by itself, the resolver may need a look")
        }
        return out
    }

    // MARK: SPF

    private static func spf(_ record: DecisionRecord) -> [String] {
        guard let spf = record.results.spf, let peer = record.session.peer else { return [] }
        let domain = spf.domain.shownText
        let network = (peer.isIPv4 ? "ip4:" : "ip6:") + peer.description
        switch spf.result {
        case .fail, .softfail, .neutral:
            let aligned = record.results.dmarc?.result == .pass
            let instead = aligned ? "" : ", or sign its mail with DKIM"
            return [
                "if \(peer) sends for \(domain), \(domain) should add \(network) to its SPF record\(instead)"
            ]
        case .absent:
            return ["\(domain) should publish an SPF record that names its senders, such as \"v=spf1 \(network) -all\""]
        case .permerror: return ["\(domain) should repair its SPF record: \(spf.reason.shownText)"]
        case .pass, .policy, .temperror: return []
        }
    }

    // MARK: DKIM

    private static func dkim(_ dkim: AuthResults.DKIM, _ results: AuthResults) -> [String] {
        let domain = dkim.domain.shownText
        let place = "\(dkim.selector.shownText)._domainkey.\(domain)"
        switch dkim.result {
        case .pass:
            if dkim.coversBody { return [] }
            return ["\(domain) should sign the whole body, without l=: what follows the signed part could be anybody's"]
        case .fail: return [changed(dkim)]
        case .permerror, .policy:
            return ["\(domain) should look at its signing and at the key at \(place): \(dkim.reason.shownText)"]
        case .absent, .softfail, .neutral, .temperror: return []
        }
    }

    private static func changed(_ dkim: AuthResults.DKIM) -> String {
        let domain = dkim.domain.shownText
        let reason = String(decoding: dkim.reason, as: UTF8.self)
        if reason.hasPrefix("body hash") {
            return
                "the DKIM body hash of \(domain) differs: the body was changed after signing, by a list, a gateway or a "
                + "scanner; who changes mail should seal it with ARC or send it under a From of their own"
        }
        if reason.hasPrefix("signature expired") {
            return
                "the signature of \(domain) had expired (x=): the message was on its way too long, or a clock is wrong"
        }
        return
            "the DKIM signature of \(domain) does not fit: a signed header field was changed after signing, or the key "
            + "at \(dkim.selector.shownText)._domainkey.\(domain) is not the one that signed"
    }

    // MARK: DMARC

    private static func alignment(_ dmarc: AuthResults.DMARC, _ record: DecisionRecord) -> [String] {
        let results = record.results
        let author = dmarc.author.shownText
        var out: [String] = []
        if let spf = results.spf, spf.result == .pass {
            out.append(
                "SPF passed for \(spf.domain.shownText), which is not aligned with \(author): the sender should use a MAIL "
                    + "FROM in \(author)")
        }
        for signature in results.dkim where signature.result == .pass && signature.coversBody {
            out.append(
                "the signature of \(signature.domain.shownText) is good and not aligned with \(author): the sender should "
                    + "sign with d=\(author)")
        }
        if results.dkim.isEmpty { out.append("\(author) should sign its mail with DKIM, d=\(author)") }
        return out
    }

    // MARK: ARC

    private static func chain(_ arc: AuthResults.ARC, _ record: DecisionRecord) -> [String] {
        switch arc.result {
        case .fail:
            return ["the ARC chain is broken (\(arc.reason.shownText)): the last forwarder changed what was sealed"]
        case .pass:
            guard let newest = arc.seals.last else { return [] }
            let sealer = newest.domain.shownText
            return record.verdicts.compactMap { verdict in
                guard verdict.rule == .dmarcPolicy, verdict.action != .accept,
                    !verdict.policy.trustedARCSealers.contains(newest.domain)
                else { return nil }
                let list = words(verdict.policy.trustedARCSealers + [newest.domain])
                return "the ARC chain is whole and \(sealer) is not trusted; if it is to be: "
                    + "`martlet domain set \(words([verdict.domain])) trusted_arc_sealers=\(list)`"
            }
        case .absent, .softfail, .neutral, .policy, .temperror, .permerror: return []
        }
    }

    // MARK: Settings here

    private static func settings(_ verdict: DecisionRecord.Verdict, _ record: DecisionRecord) -> [String] {
        guard verdict.action != .accept else { return [] }
        let set = "`martlet domain set \(words([verdict.domain]))"
        switch verdict.rule {
        case .noObjection, .trustedClient, .dmarcPass: return []
        case .brokenFrom:
            return ["mail with such a From is let pass by \(set) broken_from=accept` (quarantine puts it aside)"]
        case .spfFail: return trust(verdict, record) + ["SPF alone is not acted on with \(set) spf_fail=accept`"]
        case .spfTemporary, .dmarcTemporary:
            return ["mail that cannot be checked now is taken with \(set) dmarc_temperror=accept`"]
        case .dmarcPolicy:
            var out = trust(verdict, record)
            if let author = record.results.dmarc?.author, !author.isEmpty {
                let list = words(verdict.policy.dmarcExempt + [author])
                out.append("failures of \(author.shownText) are let pass by \(set) dmarc_exempt=\(list)`")
            }
            return out
        }
    }

    /// Domains for a command.
    private static func words(_ domains: [[UInt8]]) -> String {
        domains.map { ShownText.argument($0, or: "DOMAIN") }.joined(separator: ",")
    }

    /// Domains that are proven and could be trusted as forwarders.
    private static func trust(_ verdict: DecisionRecord.Verdict, _ record: DecisionRecord) -> [String] {
        var proven: [[UInt8]] = []
        if let spf = record.results.spf, spf.result == .pass { proven.append(spf.domain) }
        for signature in record.results.dkim where signature.result == .pass && signature.coversBody {
            if !proven.contains(signature.domain) { proven.append(signature.domain) }
        }
        return proven.prefix(3).map { domain in
            let list = words(verdict.policy.trustedForwarders + [domain])
            return "if \(domain.shownText) is a forwarder or list you trust: "
                + "`martlet domain set \(words([verdict.domain])) trusted_forwarders=\(list)`"
        }
    }
}
