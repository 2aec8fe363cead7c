import Base
import MailAuth
package import Policy
import Protocols

/// Decides again, under other rules, what the defences of receiving domains decided: scores and tarpits from the recorded
/// evidence, greylisting by a walk through all recorded mail. Pure; nobody is asked. Bounded by `GreylistWalk` and by
/// `ReplayTally`, whatever the number of records.
package struct DefenseReplay: Sendable {
    /// Settings of filters cannot be replayed: what a filter would have said is not recorded.
    package static let filtersKey = "milters"

    package struct Asked: OptionSet, Sendable {
        package let rawValue: Int
        package init(rawValue: Int) { self.rawValue = rawValue }
        package static let score = Asked(rawValue: 1)
        package static let greylist = Asked(rawValue: 2)
        package static let tarpit = Asked(rawValue: 4)
        package static let filters = Asked(rawValue: 8)

        /// The defence a setting belongs to; empty: none.
        package init(_ key: String) {
            self =
                key == DefenseReplay.filtersKey
                ? .filters
                : key.hasPrefix("greylist")
                    ? .greylist
                    : key.hasPrefix("tarpit") ? .tarpit : key.hasPrefix("score_") || key == "lists" ? .score : []
        }
    }

    /// What scores came to.
    package struct Scores: Sendable, Hashable {
        /// Messages for a domain, and recipients that were refused.
        package var weighed = 0
        /// It depends on what was not asked then.
        package var unknown = 0
        /// What that is; at most `missingMax`.
        package var missing: [String] = []
        /// Recorded without evidence or rules, by an earlier version.
        package var unrecorded = 0
        package var tally = ReplayTally()

        package static let missingMax = 40
    }

    package struct Tarpits: Sendable, Hashable {
        package var sessions = 0
        package var failures = 0
        package var oldSeconds = 0
        package var newSeconds = 0
        /// Sessions that would have waited less, and more.
        package var shorter = 0
        package var longer = 0
        package var unrecorded = 0
        package var examples: [ReplayChange.Example] = []
    }

    package let asked: Asked
    package private(set) var scores = Scores()
    package private(set) var tarpits = Tarpits()
    private var walk: GreylistWalk
    /// Greylisting: what was put off without its figures, and what depends on an unknown score.
    package private(set) var greylistUnrecorded = 0
    package private(set) var greylistUnknown = 0

    private var changed: ChangedRules
    private let domain: [UInt8]?
    private let ownNames: [[UInt8]]
    private let exceptions: DefenseExceptionsIndex

    /// `ownNames`: of this server, in lower case. `exceptions`: those of operators as they are now.
    package init(
        _ settings: [(field: DomainPolicyField, value: String)], domain: [UInt8]?, ownNames: [[UInt8]] = [],
        exceptions: DefenseExceptionsIndex = DefenseExceptionsIndex(), sendersMax: Int = 300_000
    ) {
        asked = settings.reduce(into: []) { $0.formUnion(Asked($1.field.name)) }
        changed = ChangedRules(settings)
        self.domain = domain
        self.ownNames = ownNames
        self.exceptions = exceptions
        walk = GreylistWalk(exceptions: exceptions, sendersMax: sendersMax)
    }

    package var greylist: GreylistWalk.Figures { walk.figures }

    package mutating func add(_ record: LedgerRecord) {
        switch record {
        case .decision(let decision): add(decision)
        case .connection(let connection): add(connection)
        case .attempt: break
        }
    }

    /// All was added.
    package mutating func finish() { walk.finish() }

    private func concerns(_ name: [UInt8]) -> Bool { domain == nil || domain == name }

    // MARK: Messages

    private mutating func add(_ record: DecisionRecord) {
        if asked.contains(.tarpit) {
            for tally in record.failures where concerns(tally.domain) {
                let policy = record.verdicts.first { $0.domain == tally.domain }?.policy
                add(tally, policy, record.id, record.time, record.session)
            }
        }
        guard asked.contains(.score) || asked.contains(.greylist), record.session.user.isEmpty,
            !(record.session.isExempt ?? record.policyFacts.clientIsTrusted), let client = record.session.peer
        else { return }
        let evidence = evidence(of: record, client)
        for verdict in record.verdicts where concerns(verdict.domain) {
            let recipients = record.recipients.filter { $0.domain == verdict.domain && !Self.isPostmaster($0.address) }
            guard !recipients.isEmpty else { continue }
            let rules = changed(verdict.policy).defense
            if asked.contains(.score) { weigh(record, verdict, evidence, rules) }
            if asked.contains(.greylist) { walk(record, recipients, evidence, verdict, rules, client) }
        }
    }

    /// What is recorded of the client, and what the other records of the message say of it.
    private func evidence(of record: DecisionRecord, _ client: IPAddress) -> ClientEvidence {
        var out = record.evidence ?? ClientEvidence(address: client)
        if out.reverse == nil { out.reverse = record.results.iprev?.result }
        complete(&out, record.session, record.events)
        return out
    }

    private func complete(_ evidence: inout ClientEvidence, _ session: SessionFacts, _ events: [DefenseEvent]) {
        if evidence.helo == nil {
            evidence.helo = HELOFinding(session.helo, client: session.peer, ownNames: ownNames)
            evidence.heloName = session.helo
        }
        evidence.spokeEarly =
            evidence.spokeEarly
            || events.contains { $0.control == .score && $0.effect == .noted && $0.subject.isEmpty }
    }

    /// The evidence, with what the DNS answers of the message say of lists that no evidence tells of.
    private func asked(_ evidence: ClientEvidence, _ rules: DomainDefense.Score, _ facts: Facts) -> ClientEvidence {
        var out = evidence
        for zone in rules.zones where !out.lists.contains(where: { $0.zone == zone }) {
            do throws(Missing) {
                out.lists += try DNSListCheck(evidence.address, zones: [zone]).evaluate(facts)
            } catch {
                continue
            }
        }
        return out
    }

    private mutating func weigh(
        _ record: DecisionRecord, _ verdict: DecisionRecord.Verdict, _ evidence: ClientEvidence, _ rules: DomainDefense
    ) {
        scores.weighed += 1
        let wasJunk = record.events.contains {
            $0.control == .score && $0.effect == .quarantined && $0.subject == verdict.domain
        }
        let base = Self.outcome(record, verdict)
        let old = wasJunk ? max(base, .junk) : base
        let outlook = ScoreOutlook(asked(evidence, rules.score, record.facts), rules.score)
        let new = max(base, Self.outcome(outlook.best))
        // Another rule may come to the same in any case.
        guard new == max(base, Self.outcome(outlook.worst)) else { return unknown(outlook) }
        guard new != old else { return }
        scores.tally.add(
            old, new,
            ReplayChange.Example(
                id: record.id, time: record.time, client: record.session.peer, sender: record.sender,
                subject: verdict.domain, reason: outlook.text))
    }

    private mutating func unknown(_ outlook: ScoreOutlook) {
        scores.unknown += 1
        for name in outlook.missing where scores.missing.count < Scores.missingMax && !scores.missing.contains(name) {
            scores.missing.append(name)
        }
    }

    /// What other rules than the score came to.
    private static func outcome(_ record: DecisionRecord, _ verdict: DecisionRecord.Verdict) -> ReplayOutcome {
        max(outcome(verdict.action), record.cause.isEmpty ? .taken : outcome(record.action))
    }

    private static func outcome(_ action: Disposition.Action) -> ReplayOutcome {
        switch action {
        case .accept: .taken
        case .quarantine: .junk
        case .postpone: .putOff
        case .reject: .refused
        }
    }

    private static func outcome(_ decision: ClientScore.Decision) -> ReplayOutcome {
        switch decision {
        case .accept: .taken
        case .quarantine: .junk
        case .reject: .refused
        }
    }

    // RFC 5321 §4.5.1
    private static func isPostmaster(_ address: [UInt8]) -> Bool {
        let local = address.lastIndex(of: ASCII.at).map { Array(address[..<$0]) } ?? address
        return ASCII.lowercased(local) == Array("postmaster".utf8)
    }

    // MARK: Greylisting

    private mutating func walk(
        _ record: DecisionRecord, _ recipients: [DecisionRecord.Recipient], _ evidence: ClientEvidence,
        _ verdict: DecisionRecord.Verdict, _ rules: DomainDefense, _ client: IPAddress
    ) {
        let known = asked(evidence, rules.score, record.facts)
        guard case .some(let score) = greylistScore(known, rules) else {
            greylistUnknown += recipients.count
            return
        }
        let spf = record.results.spf
        for recipient in recipients {
            let events = record.events.lazy.filter { $0.control == .greylist && $0.subject == recipient.address }
            var mail = Greylisting.Attempt(
                address: client, sender: record.sender, recipient: recipient.address, domain: recipient.domain)
            mail.provenDomain = spf.flatMap { $0.result == .pass ? $0.domain : nil }
            mail.score = score
            var attempt = GreylistWalk.Attempt(id: record.id, time: record.time, mail: mail, rules: rules.greylist)
            // Those before the end of data stand in the session's record.
            attempt.wasPutOff = record.sender.isEmpty && events.contains { Self.isDeferral($0) }
            attempt.wasUnwanted =
                Self.outcome(record, verdict) >= .junk || recipient.folder == Array("Junk".utf8)
            if case .greylist(let figures) = events.first(where: { $0.effect == .passed })?.figures {
                attempt.wasKnown = figures.step == .known || figures.step == .passed
            }
            walk.add(attempt)
        }
    }

    /// The score that greylisting looks at: nil inside when there is none to look at, nil when it cannot be known.
    private func greylistScore(_ evidence: ClientEvidence, _ rules: DomainDefense) -> Int?? {
        guard rules.greylist.isOn, let limit = rules.greylist.skipScore, rules.wantsScore else { return .some(nil) }
        let outlook = ScoreOutlook(evidence, rules.score)
        return outlook.isAtMost(limit).map { $0 ? outlook.highest : outlook.lowest }
    }

    private static func isDeferral(_ event: DefenseEvent) -> Bool {
        event.control == .greylist && (event.effect == .deferred || event.effect == .closed)
    }

    // MARK: Sessions

    private mutating func add(_ record: ConnectionRecord) {
        if asked.contains(.tarpit) {
            for tally in record.failures where concerns(tally.domain) {
                add(tally, Self.rules(record, tally.domain), record.id, record.time, record.session)
            }
        }
        guard asked.contains(.score) || asked.contains(.greylist), let client = record.session.peer else { return }
        for event in record.events {
            switch event.control {
            case .score where asked.contains(.score) && event.effect == .refused:
                weigh(record, event, client)
            case .greylist where asked.contains(.greylist) && Self.isDeferral(event): walk(record, event, client)
            case _: break
            }
        }
    }

    private static func rules(_ record: ConnectionRecord, _ domain: [UInt8]) -> DomainPolicy? {
        record.rules.first { $0.domain == domain }?.policy
    }

    private static func domain(of address: [UInt8]) -> [UInt8] {
        ASCII.lowercased(address.lastIndex(of: ASCII.at).map { Array(address[($0 + 1)...]) } ?? address)
    }

    private mutating func weigh(_ record: ConnectionRecord, _ event: DefenseEvent, _ client: IPAddress) {
        let domain = Self.domain(of: event.subject)
        guard concerns(domain) else { return }
        scores.weighed += 1
        guard var evidence = record.evidence, let policy = Self.rules(record, domain) else {
            scores.unrecorded += 1
            return
        }
        if evidence.reverse == nil { evidence.reverse = record.iprev?.result }
        complete(&evidence, record.session, record.events)
        let outlook = ScoreOutlook(evidence, changed(policy).defense.score)
        guard let decision = outlook.decision else { return unknown(outlook) }
        let new = Self.outcome(decision)
        guard new != .refused else { return }
        scores.tally.add(
            .refused, new,
            ReplayChange.Example(
                id: record.id, time: record.time, client: client, sender: [], subject: event.subject,
                reason: outlook.text + "; only its envelope is known"))
    }

    private mutating func walk(_ record: ConnectionRecord, _ event: DefenseEvent, _ client: IPAddress) {
        let domain = Self.domain(of: event.subject)
        guard concerns(domain) else { return }
        guard case .greylist(let figures) = event.figures, let policy = Self.rules(record, domain) else {
            greylistUnrecorded += 1
            return
        }
        // Deferred at the end of data: the message's own record has it.
        guard !figures.sender.isEmpty else { return }
        let rules = changed(policy).defense
        var evidence = record.evidence ?? ClientEvidence(address: client)
        complete(&evidence, record.session, record.events)
        guard case .some(let score) = greylistScore(evidence, rules) else {
            greylistUnknown += 1
            return
        }
        var mail = Greylisting.Attempt(
            address: client, sender: figures.sender, recipient: event.subject, domain: domain)
        mail.provenDomain = figures.proven.isEmpty ? nil : figures.proven
        mail.score = score
        let began = record.time.microseconds &- Int64(clamping: record.elapsedMicroseconds)
        let time = WallTime(microseconds: began &+ Int64(clamping: event.afterMicroseconds))
        var attempt = GreylistWalk.Attempt(
            id: record.id, time: min(time, record.time), mail: mail, rules: rules.greylist)
        attempt.wasPutOff = true
        walk.add(attempt)
    }

    // MARK: Tarpit

    private mutating func add(
        _ tally: FailureTally, _ policy: DomainPolicy?, _ id: MessageID, _ time: WallTime, _ session: SessionFacts
    ) {
        guard let policy else {
            tarpits.unrecorded += 1
            return
        }
        let rules = changed(policy).defense.tarpit
        let isAllowed = session.peer.map { exceptions.tarpit.contains($0) } ?? true
        let (old, new) = (tally.heldSeconds, isAllowed ? 0 : tally.seconds(rules, session.peer))
        tarpits.sessions += 1
        tarpits.failures = tarpits.failures.addingReportingOverflow(tally.count).partialValue
        tarpits.oldSeconds = tarpits.oldSeconds.addingReportingOverflow(old).partialValue
        tarpits.newSeconds = tarpits.newSeconds.addingReportingOverflow(new).partialValue
        if new == old { return }
        if new < old { tarpits.shorter += 1 } else { tarpits.longer += 1 }
        guard tarpits.examples.count < ReplayChange.examplesMax else { return }
        tarpits.examples.append(
            ReplayChange.Example(
                id: id, time: time, client: session.peer, sender: [], subject: tally.domain,
                reason: "\(tally.count) failures, held \(old) s -> \(new) s"))
    }
}

extension ReplayOutcome: Comparable {
    /// The worse, the greater.
    private var rank: Int {
        switch self {
        case .taken: 0
        case .junk: 1
        case .putOff: 2
        case .refused: 3
        }
    }

    package static func < (a: ReplayOutcome, b: ReplayOutcome) -> Bool { a.rank < b.rank }
}
