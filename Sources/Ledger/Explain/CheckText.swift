import Base
import Protocols

/// One line, or a few, for each check: its result and its evidence.
enum CheckText {
    static func all(_ record: DecisionRecord) -> [String] {
        let results = record.results
        var out: [String] = []
        if let iprev = results.iprev { out.append(self.iprev(iprev)) }
        if let helo = results.helo { out += spf("spf helo", helo) }
        if let spf = results.spf { out += self.spf("spf mailfrom", spf) }
        out += results.dkim.map(dkim)
        if results.dkim.isEmpty, results.dmarc != nil { out.append("dkim none: the message has no signature") }
        if let arc = results.arc { out += self.arc(arc) }
        if let dmarc = results.dmarc { out += self.dmarc(dmarc, record) }
        if let bimi = results.bimi { out.append(self.bimi(bimi)) }
        if let auth = results.auth { out.append("auth pass: \(auth.shownText)") }
        if record.removedClaims > 0 {
            let fields = record.removedClaims == 1 ? "field" : "fields"
            out.append("\(record.removedClaims) Authentication-Results \(fields) claimed to be ours: removed as forged")
        }
        return out
    }

    static func iprev(_ iprev: AuthResults.IPRev) -> String {
        var out = "iprev \(iprev.result.rawValue): \(iprev.address.shownText)"
        if !iprev.name.isEmpty { out += " is \(iprev.name.shownText)" }
        return out + reason(iprev.reason) + secure(iprev.isSecure)
    }

    private static func spf(_ title: String, _ spf: AuthResults.SPF) -> [String] {
        var out = "\(title) \(spf.result.rawValue): \(spf.domain.shownText)"
        if !spf.mechanism.isEmpty { out += " by \"\(spf.mechanism.shownText)\"" }
        out += reason(spf.reason)
        if spf.lookups > 0 { out += ", \(spf.lookups) of 10 lookups" }
        var lines = [out + secure(spf.isSecure)]
        if !spf.record.isEmpty { lines.append("  record: \(spf.record.shownText)") }
        if !spf.explanation.isEmpty { lines.append("  its owner explains: \(spf.explanation.shownText)") }
        return lines
    }

    private static func dkim(_ dkim: AuthResults.DKIM) -> String {
        var out = "dkim \(dkim.result.rawValue): d=\(dkim.domain.shownText) s=\(dkim.selector.shownText)"
        if !dkim.algorithm.isEmpty { out += " \(dkim.algorithm.shownText)" }
        if dkim.keyBits > 0 { out += " \(dkim.keyBits) bits" }
        out += reason(dkim.reason)
        if !dkim.coversBody { out += "; it covers a part of the body only and does not count" }
        if dkim.isTesting { out += "; the key is in testing (t=y)" }
        return out + secure(dkim.isSecure)
    }

    private static func arc(_ arc: AuthResults.ARC) -> [String] {
        if arc.result == .absent { return ["arc none: no chain"] }
        var out = ["arc \(arc.result.rawValue): \(arc.seals.count) sets" + reason(arc.reason)]
        for seal in arc.seals {
            let claim = seal.dmarc.map { "dmarc=\($0.rawValue)" } ?? "nothing of DMARC"
            let author = seal.author.isEmpty ? "" : " for \(seal.author.shownText)"
            out.append(
                "  i=\(seal.instance) sealed by \(seal.domain.shownText) (s=\(seal.selector.shownText)), "
                    + "who measured \(claim)\(author)")
        }
        return out
    }

    private static func dmarc(_ dmarc: AuthResults.DMARC, _ record: DecisionRecord) -> [String] {
        if let problem = dmarc.authorProblem { return ["dmarc \(dmarc.result.rawValue): \(problem.text)"] }
        var out = "dmarc \(dmarc.result.rawValue): \(dmarc.author.shownText)"
        if dmarc.hasPolicy {
            out += " asks for \(dmarc.policySource.rawValue)=\(dmarc.policy.rawValue)"
            if dmarc.isTestMode { out += ", in testing (t=y)" }
            if dmarc.isSampledOut { out += ", left out by pct (drew \(record.dice))" }
        } else if dmarc.result == .absent {
            out += " has no record"
        }
        var lines = [out + reason(dmarc.reason) + secure(dmarc.isSecure)]
        if dmarc.hasPolicy {
            let signature = dmarc.dkimAligned.map { "the signature of \($0.shownText)" }
            let aligned = [signature, dmarc.spfAligned ? "SPF" : nil].compactMap { $0 }
            lines.append("  aligned: \(aligned.isEmpty ? "nothing" : aligned.joined(separator: " and "))")
        }
        if !dmarc.record.isEmpty {
            lines.append("  record at _dmarc.\(dmarc.policyDomain.shownText): \(dmarc.record.shownText)")
        }
        return lines
    }

    private static func bimi(_ bimi: AuthResults.BIMI) -> String {
        var out = "bimi \(bimi.result.rawValue)"
        if !bimi.domain.isEmpty { out += ": \(bimi.selector.shownText)._bimi.\(bimi.domain.shownText)" }
        if !bimi.location.isEmpty { out += ", indicator \(bimi.location.shownText)" }
        if !bimi.authority.isEmpty { out += ", evidence \(bimi.authority.shownText)" }
        return out + reason(bimi.reason)
    }

    private static func reason(_ reason: [UInt8]) -> String { reason.isEmpty ? "" : " (\(reason.shownText))" }
    private static func secure(_ isSecure: Bool) -> String { isSecure ? ", by DNSSEC" : "" }
}

/// The answers that a message was judged by.
enum FactText {
    static func all(_ record: DecisionRecord) -> [String] {
        var out = record.facts.questions.compactMap { question in
            record.facts.known(question).map { line(question, $0) }
        }
        if record.isAbridged { out.append("and more than a record holds") }
        return out
    }

    static func line(_ question: DNSQuestion, _ answer: DNSAnswer) -> String {
        var out = "\(question): \(answer.status.rawValue) \(answer.security.rawValue)"
        if !answer.isTemporary { out += " ttl \(answer.ttl)" }
        if let name = answer.canonicalName { out += " at \(name)" }
        if let reason = answer.reason { out += " (\(Array(reason.utf8).shownText))" }
        if !answer.records.isEmpty { out += ": " + answer.records.map(\.description).joined(separator: " | ") }
        return out
    }
}
