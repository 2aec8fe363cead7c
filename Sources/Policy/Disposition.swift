import Base
package import Protocols

/// What becomes of a message for one receiving domain, which rule said so, and what was set aside on the way. Made by
/// `decide`, acted on by the driver, kept in the ledger, told to domain owners in aggregate reports.
package struct Disposition: Sendable, Hashable {
    package var action: Action
    package var rule: Rule
    /// For people: what happened and why. Domains in it are printable.
    package var reason: [UInt8]
    /// Why less was done than the owner of the author domain asked for (RFC 9990 calls it policy override).
    package var overrides: [Override] = []
    /// What the client is told, when the message is refused or put off.
    package var reply: Reply?

    /// In rising order of severity.
    package enum Action: String, Sendable, Hashable, CaseIterable {
        case accept, quarantine, postpone = "defer", reject

        fileprivate var severity: Int {
            switch self {
            case .accept: 0
            case .quarantine: 1
            case .postpone: 2
            case .reject: 3
            }
        }
    }

    package enum Rule: String, Sendable, Hashable, CaseIterable {
        /// Nothing speaks against the message.
        case noObjection = "no_objection"
        case trustedClient = "trusted_client"
        case brokenFrom = "broken_from"
        case spfFail = "spf_fail"
        case spfTemporary = "spf_temperror"
        case dmarcPass = "dmarc_pass"
        case dmarcPolicy = "dmarc_policy"
        case dmarcTemporary = "dmarc_temperror"
    }

    package struct Override: Sendable, Hashable {
        package var kind: Kind
        package var comment: [UInt8]

        package init(kind: Kind, comment: [UInt8]) {
            self.kind = kind
            self.comment = comment
        }

        /// The names of RFC 9990; `sampledOut` is of RFC 7489.
        package enum Kind: String, Sendable, Hashable, CaseIterable {
            case trustedForwarder = "trusted_forwarder"
            case localPolicy = "local_policy"
            case testMode = "policy_test_mode"
            case sampledOut = "sampled_out"
        }
    }

    /// What is known besides the checks.
    package struct Facts: Sendable, Hashable {
        /// The client proved who it is (SMTP AUTH), or stands in a network that may relay: its mail is our own.
        package var clientIsTrusted = false

        package init(clientIsTrusted: Bool = false) { self.clientIsTrusted = clientIsTrusted }
    }

    private init(_ action: Action, _ rule: Rule, _ reason: [UInt8], reply: Reply? = nil) {
        self.action = action
        self.rule = rule
        self.reason = reason
        self.reply = reply
    }

    private init(_ action: Action, _ rule: Rule, _ reason: String) {
        self.init(action, rule, Array(reason.utf8))
    }

    // MARK: The decision

    /// Whose mail it is, then who wrote it, then what DMARC and the receiver's own rule for SPF ask for: the severer.
    package static func decide(_ results: AuthResults, _ policy: DomainPolicy, _ facts: Facts) -> Disposition {
        if facts.clientIsTrusted { return Disposition(.accept, .trustedClient, "the client is one of ours") }
        // Without any From field nobody is named, so nobody is impersonated: devices send such mail, and other servers take it.
        if let problem = results.dmarc?.authorProblem, problem != .missing, policy.brokenFrom != .accept {
            return brokenFrom(problem, policy.brokenFrom)
        }
        let decided = byDMARC(results, policy)
        // The receiver's own rule adds to what the author domain asks for; it never makes less of it.
        if results.dmarc?.result != .pass, let spf = results.spf, let refusal = spfRefusal(spf, results, policy),
            refusal.action.severity > decided.action.severity
        {
            return refusal
        }
        return decided
    }

    private static func byDMARC(_ results: AuthResults, _ policy: DomainPolicy) -> Disposition {
        guard let dmarc = results.dmarc else { return Disposition(.accept, .noObjection, "DMARC was not evaluated") }
        switch dmarc.result {
        case .pass: return passed(dmarc)
        case .fail: return failed(dmarc, results, policy)
        case .temperror where dmarc.couldFail && policy.dmarcEnforced && policy.dmarcTemporary == .postpone:
            return postponed(dmarc, results, policy)
        case .temperror, .permerror, .absent, .softfail, .neutral, .policy:
            let text = dmarc.reason.isEmpty ? Array("the author domain has no DMARC record".utf8) : dmarc.reason
            return Disposition(.accept, .noObjection, text)
        }
    }

    /// One reply for recipients of several domains: refused only when all refuse, put off when one asks for it; where
    /// others take the message, those that would refuse it get it quarantined, never lost.
    package static func together(_ all: [Disposition]) -> Action {
        if all.isEmpty { return .accept }
        if all.allSatisfy({ $0.action == .reject }) { return .reject }
        if all.contains(where: { $0.action == .postpone }) { return .postpone }
        return all.contains { $0.action == .accept } ? .accept : .quarantine
    }

    // RFC 9989 §11.5: a message without exactly one author domain slips past DMARC, so it is not let pass by itself.
    private static func brokenFrom(
        _ problem: AuthResults.AuthorProblem, _ setting: DomainPolicy.Strictness
    ) -> Disposition {
        let action: Action = setting == .reject ? .reject : .quarantine
        var out = Disposition(action, .brokenFrom, problem.text)
        // RFC 5322 §3.6: exactly one From, with at least one mailbox.
        if action == .reject { out.reply = Reply(550, EnhancedStatus(5, 7, 1), "Message refused: \(problem.text)") }
        return out
    }

    private static func spfRefusal(
        _ spf: AuthResults.SPF, _ results: AuthResults, _ policy: DomainPolicy
    ) -> Disposition? {
        guard policy.spfFail != .accept, forwarder(of: results, policy) == nil else { return nil }
        let domain = spf.domain.printable
        if spf.result == .fail {
            let action: Action = policy.spfFail == .reject ? .reject : .quarantine
            var out = Disposition(action, .spfFail, "\(domain) does not let this client send mail for it (SPF)")
            if action == .reject {
                // RFC 7372 §3.2; the owner's words are shown as theirs (RFC 7208 §6.2).
                let words = spf.explanation.isEmpty ? "" : "\n\(domain) explained: \(spf.explanation.printable)"
                out.reply = Reply(
                    550, EnhancedStatus(5, 7, 23), "SPF of \(domain) does not permit this client\(words)")
            }
            return out
        }
        guard spf.result == .temperror, policy.spfFail == .reject, policy.dmarcTemporary == .postpone else {
            return nil
        }
        var out = Disposition(.postpone, .spfTemporary, "SPF of \(domain) could not be looked up now")
        out.reply = Reply(451, EnhancedStatus(4, 7, 24), "SPF of \(domain) could not be looked up; try again later")
        return out
    }

    private static func passed(_ dmarc: AuthResults.DMARC) -> Disposition {
        let by = dmarc.dkimAligned.map { "the signature of \($0.printable)" } ?? "SPF"
        return Disposition(.accept, .dmarcPass, "\(dmarc.author.printable) is proven by \(by)")
    }

    private static func postponed(
        _ dmarc: AuthResults.DMARC, _ results: AuthResults, _ policy: DomainPolicy
    ) -> Disposition {
        let author = dmarc.author.printable
        if let override = exemption(dmarc, results, policy) {
            return overridden(override, "DMARC of \(author) could not be evaluated")
        }
        return postponed(author, "DMARC of \(author) could not be evaluated now")
    }

    private static func postponed(_ author: String, _ reason: String) -> Disposition {
        var out = Disposition(.postpone, .dmarcTemporary, reason)
        out.reply = Reply(451, EnhancedStatus(4, 4, 3), "DMARC of \(author) could not be evaluated; try again later")
        return out
    }

    private static func failed(
        _ dmarc: AuthResults.DMARC, _ results: AuthResults, _ policy: DomainPolicy
    ) -> Disposition {
        let author = dmarc.author.printable
        let failure = "no identifier is aligned with \(author), which asks for \(dmarc.policy.rawValue)"
        if dmarc.policy == .monitor { return Disposition(.accept, .dmarcPolicy, failure) }
        if !policy.dmarcEnforced {
            return overridden(Override(kind: .localPolicy, comment: Array("dmarc_enforce=false".utf8)), failure)
        }
        if let override = exemption(dmarc, results, policy) { return overridden(override, failure) }
        let action: Action =
            switch dmarc.applied {
            case .monitor: .accept
            case .quarantine: .quarantine
            case .reject: .reject
            }
        if action != .accept, policy.dmarcTemporary == .postpone, let arc = results.arc, arc.result == .temperror,
            let newest = arc.seals.last, policy.trustedARCSealers.contains(newest.domain)
        {
            return postponed(author, "the ARC chain of a trusted sealer could not be verified now")
        }
        var out = Disposition(action, .dmarcPolicy, failure)
        if dmarc.isTestMode { out.overrides.append(Override(kind: .testMode, comment: Array("t=y".utf8))) }
        if dmarc.isSampledOut { out.overrides.append(Override(kind: .sampledOut, comment: Array("pct".utf8))) }
        if action == .reject {
            // RFC 9989 §7.2
            out.reply = Reply(550, EnhancedStatus(5, 7, 1), "Message refused by the DMARC policy of \(author)")
        }
        return out
    }

    private static func overridden(_ override: Override, _ failure: String) -> Disposition {
        var out = Disposition(.accept, .dmarcPolicy, "\(failure); set aside: \(override.comment.printable)")
        out.overrides = [override]
        return out
    }

    // MARK: Overrides

    private static func exemption(
        _ dmarc: AuthResults.DMARC, _ results: AuthResults, _ policy: DomainPolicy
    ) -> Override? {
        if policy.dmarcExempt.contains(dmarc.author) {
            return Override(kind: .localPolicy, comment: Array("dmarc_exempt names \(dmarc.author.printable)".utf8))
        }
        if let domain = forwarder(of: results, policy) {
            return Override(
                kind: .trustedForwarder, comment: Array("trusted_forwarders names \(domain.printable)".utf8))
        }
        return sealer(results.arc, dmarc, policy)
    }

    /// A trusted forwarder proven by SPF or by a signature.
    private static func forwarder(of results: AuthResults, _ policy: DomainPolicy) -> [UInt8]? {
        guard !policy.trustedForwarders.isEmpty else { return nil }
        if let spf = results.spf, spf.result == .pass, policy.trustedForwarders.contains(spf.domain) {
            return spf.domain
        }
        return results.dkim.first {
            $0.result == .pass && $0.coversBody && policy.trustedForwarders.contains($0.domain)
        }?.domain
    }

    /// RFC 8617 §7.2: a chain that holds proves who sealed, not that they tell the truth. So only the word of a trusted
    /// sealer counts, and only when every later sealer is trusted too: any of them could have changed the message.
    private static func sealer(
        _ arc: AuthResults.ARC?, _ dmarc: AuthResults.DMARC, _ policy: DomainPolicy
    ) -> Override? {
        guard let arc, arc.result == .pass else { return nil }
        for seal in arc.seals.reversed() {
            guard policy.trustedARCSealers.contains(seal.domain) else { return nil }
            guard seal.dmarc == .pass, seal.author.isEmpty || seal.author == dmarc.author else { continue }
            // RFC 8617 §7.2.1: how aggregate reports name it.
            var comment = "arc=pass"
            for seal in arc.seals.reversed() {
                comment += " as[\(seal.instance)].d=\(seal.domain.printable)"
                comment += " as[\(seal.instance)].s=\(seal.selector.printable)"
            }
            return Override(kind: .localPolicy, comment: Array(comment.utf8.prefix(512)))
        }
        return nil
    }
}

extension [UInt8] {
    /// Text that can stand in a reply or a log: everything but printable ASCII as a question mark, at most 255 octets.
    fileprivate var printable: String {
        var out = String.UnicodeScalarView()
        for c in prefix(255) { out.append(Unicode.Scalar(ASCII.isPrintable(c) ? c : 0x3F)) }
        return String(out)
    }
}
