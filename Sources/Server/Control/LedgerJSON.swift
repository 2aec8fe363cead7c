import Base
import Ledger
import Policy
import Protocols

/// All that the ledger has of one id as JSON: keys are documented and stay.
enum LedgerJSON {
    static func value(
        _ id: MessageID, _ records: [LedgerRecord], _ explanation: Explanation, _ pending: [Explanation.Pending]
    ) -> JSONValue {
        var members = [
            JSONMember("id", .text(ControlText.shown(id.text))), JSONMember("summary", .text(explanation.summary)),
        ]
        for record in records {
            if case .decision(let decision) = record { members.append(JSONMember("decision", self.decision(decision))) }
        }
        if let connection = records.lastConnection { members.append(JSONMember("session", session(connection))) }
        let attempts = records.compactMap { record in
            if case .attempt(let attempt) = record { self.attempt(attempt) } else { nil }
        }
        members += [
            JSONMember("attempts", .array(attempts)),
            JSONMember(
                "waiting",
                .array(
                    pending.map {
                        .object([
                            JSONMember("recipient", text($0.recipient)), JSONMember("attempts", .integer($0.attempts)),
                            JSONMember("next", time($0.next)), JSONMember("last", text($0.reason)),
                        ])
                    })),
            JSONMember("remedies", .array(explanation.remedies.map { .text($0) })),
        ]
        return .object(members)
    }

    // MARK: Values

    static func text(_ bytes: [UInt8]) -> JSONValue { .text(bytes.shownText) }
    private static func time(_ time: WallTime) -> JSONValue { .text(ControlText.utc(time)) }
    private static func number(_ n: UInt64) -> JSONValue { .integer(Int(clamping: n)) }
    private static func optional(_ bytes: [UInt8]?) -> JSONValue { bytes.map { text($0) } ?? .null }

    private static func reply(_ reply: Reply) -> JSONValue {
        .object([
            JSONMember("code", .integer(Int(reply.code))),
            JSONMember("status", reply.enhanced.map { .text($0.shownText) } ?? .null),
            JSONMember("text", text(reply.text)),
        ])
    }

    private static func client(_ session: SessionFacts) -> JSONValue {
        .object([
            JSONMember("listener", text(session.listener)),
            JSONMember("ip", session.peer.map { .text($0.description) } ?? .null),
            JSONMember("helo", text(session.helo)), JSONMember("tls_version", text(session.tlsVersion)),
            JSONMember("tls_cipher", text(session.tlsCipher)), JSONMember("auth", text(session.user)),
        ])
    }

    // MARK: Records

    private static func session(_ record: ConnectionRecord) -> JSONValue {
        .object([
            JSONMember("time", time(record.time)), JSONMember("client", client(record.session)),
            JSONMember("reason", text(record.reason)), JSONMember("reply", record.decidingReply.map(reply) ?? .null),
            JSONMember("commands", .integer(record.commands)),
            JSONMember("rejected_commands", .integer(record.rejectedCommands)),
            JSONMember("refused_recipients", .integer(record.refusedRecipients)),
            JSONMember("elapsed_us", number(record.elapsedMicroseconds)),
            JSONMember("iprev", record.iprev.map(iprev) ?? .null),
            JSONMember("events", .array(record.events.map(event))),
            JSONMember("event_count", .integer(max(record.eventCount, record.events.count))),
            JSONMember("open", .boolean(record.isOpen)),
            JSONMember("connections", .integer(record.connections)), JSONMember("network", text(record.network)),
        ])
    }

    private static func event(_ event: DefenseEvent) -> JSONValue {
        .object([
            JSONMember("control", .text(event.control.rawValue)), JSONMember("effect", .text(event.effect.rawValue)),
            JSONMember("subject", text(event.subject)), JSONMember("detail", text(event.detail)),
            JSONMember("reply", event.reply.map(reply) ?? .null),
            JSONMember("after_us", number(event.afterMicroseconds)),
        ])
    }

    /// What decided of the message, or alike of each recipient's copy.
    private static func decidingTogether(_ record: DecisionRecord) -> DefenseEvent? {
        guard record.deciding == nil, record.outcome == .junk || record.outcome == .held else { return record.deciding }
        return record.recipients.first.flatMap { record.deciding($0) }
    }

    private static func decision(_ record: DecisionRecord) -> JSONValue {
        .object([
            JSONMember("time", time(record.time)), JSONMember("action", .text(record.action.rawValue)),
            JSONMember("outcome", .text(record.outcome.rawValue)),
            JSONMember("decided_by", .text(record.decider(decidingTogether(record)))),
            JSONMember("cause", text(record.cause)), JSONMember("reply", reply(record.reply)),
            JSONMember("client", client(record.session)), JSONMember("sender", text(record.sender)),
            JSONMember("size", .integer(record.size)), JSONMember("message_id", text(record.messageID)),
            JSONMember("recipient_count", .integer(record.recipientCount)),
            JSONMember("recipients", .array(record.recipients.map { recipient($0, record) })),
            JSONMember("verdicts", .array(record.verdicts.map(verdict))), JSONMember("checks", checks(record)),
            JSONMember("dns", .array(record.facts.questions.compactMap { fact($0, record.facts) })),
            JSONMember("abridged", .boolean(record.isAbridged)),
            JSONMember("events", .array(record.events.map(event))),
            JSONMember("filter_changes", .array(record.changes.map(change))),
            JSONMember("filter_change_count", .integer(record.changeCount)),
            JSONMember(
                "timing",
                .object([
                    JSONMember("total_us", number(record.timing.total)),
                    JSONMember("verdict_us", number(record.timing.verdict)),
                    JSONMember("dns_us", number(record.timing.dns)),
                    JSONMember("questions", .integer(record.timing.questions)),
                    JSONMember("rounds", .integer(record.timing.rounds)),
                    JSONMember("recipients_us", number(record.timing.recipients)),
                ])),
        ])
    }

    private static func change(_ change: FilterChange) -> JSONValue {
        .object([
            JSONMember("filter", text(change.filter)), JSONMember("change", .text(change.kind.rawValue)),
            JSONMember("name", text(change.name)), JSONMember("index", .integer(change.index)),
            JSONMember("before", text(change.before)), JSONMember("after", text(change.after)),
        ])
    }

    private static func recipient(_ recipient: DecisionRecord.Recipient, _ record: DecisionRecord) -> JSONValue {
        .object([
            JSONMember("address", text(recipient.address)), JSONMember("domain", text(recipient.domain)),
            JSONMember("action", .text(recipient.action.rawValue)),
            JSONMember("outcome", .text(record.outcome(of: recipient).rawValue)),
            JSONMember("decided_by", .text(record.decider(record.deciding(recipient)))),
            JSONMember("rule", recipient.rule.map { .text($0.rawValue) } ?? .null),
            JSONMember("folder", text(recipient.folder)),
        ])
    }

    private static func verdict(_ verdict: DecisionRecord.Verdict) -> JSONValue {
        let settings = DomainPolicyField.all.map { JSONMember($0.name, .text($0.read(verdict.policy))) }
        return .object([
            JSONMember("domain", text(verdict.domain)), JSONMember("action", .text(verdict.action.rawValue)),
            JSONMember("rule", .text(verdict.rule.rawValue)), JSONMember("reason", text(verdict.reason)),
            JSONMember(
                "overrides",
                .array(
                    verdict.overrides.map {
                        .object([JSONMember("kind", .text($0.kind.rawValue)), JSONMember("comment", text($0.comment))])
                    })),
            JSONMember("reply", verdict.reply.map(reply) ?? .null), JSONMember("settings", .object(settings)),
        ])
    }

    private static func fact(_ question: DNSQuestion, _ facts: Facts) -> JSONValue? {
        guard let answer = facts.known(question) else { return nil }
        return .object([
            JSONMember("name", .text(question.name.description)), JSONMember("type", .text(question.type.description)),
            JSONMember("status", .text(answer.status.rawValue)), JSONMember("dnssec", .text(answer.security.rawValue)),
            JSONMember("ttl", .integer(Int(answer.ttl))),
            JSONMember("canonical_name", answer.canonicalName.map { .text($0.description) } ?? .null),
            JSONMember("reason", answer.reason.map { .text(Array($0.utf8).shownText) } ?? .null),
            JSONMember("records", .array(answer.records.map { .text($0.description) })),
        ])
    }

    // MARK: Checks

    private static func checks(_ record: DecisionRecord) -> JSONValue {
        let results = record.results
        return .object([
            JSONMember("iprev", results.iprev.map(iprev) ?? .null), JSONMember("helo", results.helo.map(spf) ?? .null),
            JSONMember("spf", results.spf.map(spf) ?? .null), JSONMember("dkim", .array(results.dkim.map(dkim))),
            JSONMember("arc", results.arc.map(arc) ?? .null),
            JSONMember("dmarc", results.dmarc.map { dmarc($0, record) } ?? .null),
            JSONMember("bimi", results.bimi.map(bimi) ?? .null), JSONMember("auth", optional(results.auth)),
            JSONMember("removed_claims", .integer(record.removedClaims)),
        ])
    }

    private static func iprev(_ iprev: AuthResults.IPRev) -> JSONValue {
        .object([
            JSONMember("result", .text(iprev.result.rawValue)), JSONMember("address", text(iprev.address)),
            JSONMember("name", text(iprev.name)), JSONMember("reason", text(iprev.reason)),
            JSONMember("dnssec", .boolean(iprev.isSecure)),
        ])
    }

    private static func spf(_ spf: AuthResults.SPF) -> JSONValue {
        .object([
            JSONMember("result", .text(spf.result.rawValue)), JSONMember("domain", text(spf.domain)),
            JSONMember("identity", text(spf.identity)), JSONMember("mechanism", text(spf.mechanism)),
            JSONMember("record", text(spf.record)), JSONMember("explanation", text(spf.explanation)),
            JSONMember("reason", text(spf.reason)), JSONMember("lookups", .integer(spf.lookups)),
            JSONMember("dnssec", .boolean(spf.isSecure)),
        ])
    }

    private static func dkim(_ dkim: AuthResults.DKIM) -> JSONValue {
        .object([
            JSONMember("result", .text(dkim.result.rawValue)), JSONMember("domain", text(dkim.domain)),
            JSONMember("selector", text(dkim.selector)), JSONMember("identity", text(dkim.identity)),
            JSONMember("algorithm", text(dkim.algorithm)), JSONMember("signature_head", text(dkim.signature)),
            JSONMember("key_bits", .integer(dkim.keyBits)), JSONMember("testing", .boolean(dkim.isTesting)),
            JSONMember("covers_body", .boolean(dkim.coversBody)), JSONMember("reason", text(dkim.reason)),
            JSONMember("dnssec", .boolean(dkim.isSecure)),
        ])
    }

    private static func arc(_ arc: AuthResults.ARC) -> JSONValue {
        let seals = arc.seals.map { seal in
            JSONValue.object([
                JSONMember("instance", .integer(seal.instance)), JSONMember("domain", text(seal.domain)),
                JSONMember("selector", text(seal.selector)),
                JSONMember("dmarc", seal.dmarc.map { .text($0.rawValue) } ?? .null),
                JSONMember("author", text(seal.author)),
            ])
        }
        return .object([
            JSONMember("result", .text(arc.result.rawValue)), JSONMember("seals", .array(seals)),
            JSONMember("reason", text(arc.reason)),
        ])
    }

    private static func dmarc(_ dmarc: AuthResults.DMARC, _ record: DecisionRecord) -> JSONValue {
        .object([
            JSONMember("result", .text(dmarc.result.rawValue)), JSONMember("author", text(dmarc.author)),
            JSONMember("author_problem", dmarc.authorProblem.map { .text($0.rawValue) } ?? .null),
            JSONMember("organization", text(dmarc.organization)),
            JSONMember("policy_domain", text(dmarc.policyDomain)), JSONMember("record", text(dmarc.record)),
            JSONMember("policy", .text(dmarc.policy.rawValue)),
            JSONMember("policy_source", .text(dmarc.policySource.rawValue)),
            JSONMember("applied", .text(dmarc.applied.rawValue)),
            JSONMember("test_mode", .boolean(dmarc.isTestMode)),
            JSONMember("sampled_out", .boolean(dmarc.isSampledOut)),
            JSONMember("could_fail", .boolean(dmarc.couldFail)),
            JSONMember("spf_aligned", .boolean(dmarc.spfAligned)),
            JSONMember("dkim_aligned", optional(dmarc.dkimAligned)), JSONMember("reason", text(dmarc.reason)),
            JSONMember("dnssec", .boolean(dmarc.isSecure)), JSONMember("mode", text(record.dmarcMode)),
            JSONMember("dice", .integer(record.dice)),
        ])
    }

    private static func bimi(_ bimi: AuthResults.BIMI) -> JSONValue {
        .object([
            JSONMember("result", .text(bimi.result.rawValue)), JSONMember("domain", text(bimi.domain)),
            JSONMember("selector", text(bimi.selector)), JSONMember("location", text(bimi.location)),
            JSONMember("authority", text(bimi.authority)), JSONMember("reason", text(bimi.reason)),
            JSONMember("dnssec", .boolean(bimi.isSecure)),
        ])
    }

    // MARK: Delivery

    private static func attempt(_ attempt: AttemptRecord) -> JSONValue {
        .object([
            JSONMember("time", time(attempt.began)), JSONMember("elapsed_us", number(attempt.elapsedMicroseconds)),
            JSONMember("destination", text(attempt.destination)), JSONMember("host", text(attempt.host)),
            JSONMember("address", text(attempt.address)), JSONMember("port", .integer(Int(attempt.port))),
            JSONMember("reused", .boolean(attempt.isReused)), JSONMember("banner", text(attempt.banner)),
            JSONMember("tls", attempt.tls.map(tls) ?? .null),
            JSONMember("recipients", .array(attempt.recipients.map(attempted))),
        ])
    }

    private static func attempted(_ recipient: AttemptRecord.Recipient) -> JSONValue {
        var members = [JSONMember("address", text(recipient.address))]
        switch recipient.result {
        case .delivered(let code, let words):
            members += [
                JSONMember("result", .text("delivered")), JSONMember("code", .integer(Int(code))),
                JSONMember("text", text(words)),
            ]
        case .failed(let failure): members += self.failure("failed", failure)
        case .passedOn(let failure): members += self.failure("passed_on", failure)
        }
        return .object(members)
    }

    private static func failure(_ result: String, _ failure: DeliveryFailure) -> [JSONMember] {
        [
            JSONMember("result", .text(result)), JSONMember("permanence", .text(failure.permanence.rawValue)),
            JSONMember("source", .text(failure.source.rawValue)),
            JSONMember("code", failure.code.map { .integer(Int($0)) } ?? .null),
            JSONMember("status", .text(failure.status.shownText)), JSONMember("text", text(failure.text)),
            JSONMember("host", text(failure.host)),
        ]
    }

    private static func tls(_ tls: AttemptRecord.TLS) -> JSONValue {
        let policies = tls.policies.map { policy in
            JSONValue.object([
                JSONMember("type", .text(policy.type.rawValue)), JSONMember("domain", text(policy.domain)),
                JSONMember("strings", .array(policy.strings.map(text))),
                JSONMember("mx_hosts", .array(policy.mxHosts.map(text))),
            ])
        }
        return .object([
            JSONMember("result", .text(tls.result.rawValue)), JSONMember("detail", text(tls.detail)),
            JSONMember("requirement", text(tls.requirement)), JSONMember("testing", .boolean(tls.isTesting)),
            JSONMember("version", text(tls.version)), JSONMember("cipher", text(tls.cipher)),
            JSONMember("group", text(tls.group)), JSONMember("forward_secrecy", .boolean(tls.hasForwardSecrecy)),
            JSONMember("verified", .boolean(tls.isVerified)), JSONMember("policies", .array(policies)),
            JSONMember("certificate", tls.certificate.map(certificate) ?? .null),
        ])
    }

    private static func certificate(_ certificate: AttemptRecord.Certificate) -> JSONValue {
        .object([
            JSONMember("key", text(certificate.key)), JSONMember("subject", text(certificate.subject)),
            JSONMember("issuer", text(certificate.issuer)),
            JSONMember("not_after", time(WallTime(seconds: certificate.notAfter))),
        ])
    }
}
