import Base
import MailAuth
package import Policy
import Protocols

/// Decides recorded messages again under changed rules, from the recorded facts alone: nobody is asked. Pure.
package struct PolicyReplay: Sendable {
    /// `dmarc.mode`, the one setting of the server that changes what a check finds.
    package static let modeKey = "dmarc.mode"

    /// The settings of a domain that checks are judged by; those of its defences besides.
    package static let checkKeys: Set<String> = [
        "dmarc_enforce", "dmarc_temperror", "dmarc_exempt", "trusted_forwarders", "trusted_arc_sealers", "spf_fail",
        "broken_from",
    ]
    /// Every setting that records tell something of.
    package static let judgedKeys: [String] =
        DomainPolicyField.all.map(\.name).filter { checkKeys.contains($0) || !DefenseReplay.Asked($0).isEmpty } + [
            modeKey
        ]

    private let settings: [(field: DomainPolicyField, value: String)]
    private let mode: DMARCMode?
    private let domain: [UInt8]?

    /// A setting that does not exist, or not with that value.
    package struct BadSetting: Error, Sendable, Equatable, CustomStringConvertible {
        package let description: String
    }

    /// `domain` (lower case): only what this receiving domain decides.
    package init(_ assignments: [(key: String, value: String)], domain: [UInt8]? = nil) throws(BadSetting) {
        var settings: [(field: DomainPolicyField, value: String)] = []
        var mode: DMARCMode?
        for (key, value) in assignments {
            if key == Self.modeKey {
                guard let found = DMARCMode(rawValue: value) else {
                    throw BadSetting(
                        description: "\(key) is \(DMARCMode.allCases.map(\.rawValue).joined(separator: " or "))")
                }
                mode = found
                continue
            }
            let names = Self.judgedKeys.joined(separator: ", ")
            guard let field = DomainPolicyField.named(key) else {
                throw BadSetting(description: "there is no setting \"\(key)\"; there are \(names)")
            }
            guard Self.judgedKeys.contains(key) else {
                throw BadSetting(
                    description: "what another \(key) would have done cannot be told from records; it can of \(names)")
            }
            var scratch = DomainPolicy()
            guard field.write(&scratch, value) else {
                throw BadSetting(description: "\(key) cannot be \"\(value)\": \(field.complaint(value))")
            }
            settings.append((field, value))
        }
        guard !settings.isEmpty || mode != nil else { throw BadSetting(description: "nothing is to be changed") }
        self.settings = settings
        self.mode = mode
        self.domain = domain
    }

    /// Whether anything but settings of defences is to be changed: rules that `decide` goes by.
    package var concernsChecks: Bool {
        mode != nil || settings.contains { DefenseReplay.Asked($0.field.name).isEmpty }
    }

    /// The same for the defences; nil: none of their settings is to be changed.
    package func defense(
        ownNames: [[UInt8]] = [], exceptions: DefenseExceptionsIndex = DefenseExceptionsIndex()
    ) -> DefenseReplay? {
        let replay = DefenseReplay(settings, domain: domain, ownNames: ownNames, exceptions: exceptions)
        return replay.asked.isEmpty ? nil : replay
    }

    /// Whether `record` has anything of the domain asked about.
    package func concerns(_ record: LedgerRecord) -> Bool {
        guard let domain else { return true }
        return switch record {
        case .decision(let decision):
            decision.verdicts.contains { $0.domain == domain } || decision.recipients.contains { $0.domain == domain }
        case .connection(let connection):
            connection.rules.contains { $0.domain == domain } || connection.failures.contains { $0.domain == domain }
        case .attempt: false
        }
    }

    /// What one receiving domain would do otherwise.
    package struct Change: Sendable, Hashable {
        package let domain: [UInt8]
        package let oldAction: Disposition.Action
        package let oldRule: Disposition.Rule
        package let newAction: Disposition.Action
        package let newRule: Disposition.Rule
        package let reason: [UInt8]
    }

    package enum Result: Sendable, Hashable {
        /// No rule of the domain asked about decided it.
        case notConcerned
        /// The record does not hold all that would be needed.
        case incomplete
        /// Empty: all stays as it was.
        case decided([Change])
    }

    package func decide(_ record: DecisionRecord) -> Result {
        let concerned = record.verdicts.filter { domain == nil || $0.domain == domain }
        guard !concerned.isEmpty else { return .notConcerned }
        guard let results = results(record) else { return .incomplete }
        var changes: [Change] = []
        for verdict in concerned {
            var policy = verdict.policy
            for (field, value) in settings { _ = field.write(&policy, value) }
            let new = Disposition.decide(results, policy, record.policyFacts)
            guard new.action != verdict.action || new.rule != verdict.rule else { continue }
            changes.append(
                Change(
                    domain: verdict.domain, oldAction: verdict.action, oldRule: verdict.rule, newAction: new.action,
                    newRule: new.rule, reason: new.reason))
        }
        return .decided(changes)
    }

    /// The results as they would be; nil when DMARC wants an answer that is not recorded.
    private func results(_ record: DecisionRecord) -> AuthResults? {
        guard let mode, let dmarc = record.results.dmarc, dmarc.authorProblem == nil,
            record.dmarcMode != Array(mode.rawValue.utf8)
        else { return record.results }
        let check = DMARCCheck(
            author: .domain(dmarc.author), spf: record.results.spf, dkim: record.results.dkim, mode: mode,
            dice: record.dice)
        var out = record.results
        do throws(Missing) {
            out.dmarc = try check.evaluate(record.facts)
            return out
        } catch {
            return nil
        }
    }
}
