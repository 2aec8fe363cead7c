import ArgumentParser
import Base
import MailAuth
import Protocols
import Server

struct CheckDMARCCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dmarc", abstract: "What DMARC makes of an author domain and the domains SPF and DKIM proved.",
        discussion: """
            Prints pass, fail, none or temperror; then, when a record applies, the policy asked for and the policy to be \
            applied to a failing message (after t= and, under rfc7489, pct=).
            """)

    @Option(name: .customLong("from"), help: ArgumentHelp("The domain of the From field.", valueName: "domain"))
    var author: String
    @Option(
        name: .customLong("spf"), help: ArgumentHelp("The domain with an SPF pass, or -.", valueName: "domain"))
    var spf = "-"
    @Option(
        name: .customLong("dkim"),
        help: ArgumentHelp("The domains with a good signature, parted by commas, or -.", valueName: "domains"))
    var dkim = "-"
    @Option(help: ArgumentHelp("rfc9989, or rfc7489 to keep pct sampling.", valueName: "mode"))
    var mode = "rfc9989"
    @Option(help: ArgumentHelp("The throw of the dice that pct is compared with, 0 to 99.", valueName: "number"))
    var dice = 0
    @OptionGroup var options: CheckOptions

    func validate() throws {
        guard DMARCMode(rawValue: mode) != nil else { throw ValidationError("--mode: rfc9989 or rfc7489") }
        guard (0...99).contains(dice) else { throw ValidationError("--dice: 0 to 99") }
    }

    func run() throws {
        let sender = spf == "-" ? nil : Array(spf.utf8)
        let signers = dkim == "-" ? [] : dkim.split(separator: ",").map { Array($0.utf8) }
        let check = DMARCCheck(
            author: .domain(ASCII.lowercased(Array(author.utf8))),
            spf: sender.map { AuthResults.SPF(result: .pass, domain: $0, identity: $0) },
            dkim: signers.map { AuthResults.DKIM(result: .pass, domain: $0) },
            mode: DMARCMode(rawValue: mode) ?? .rfc9989, dice: dice)
        let outcome = try CheckResolver.with(options) { try $0.resolve(check) }
        let verdict = outcome.verdict
        CheckOutput.show(
            verdict.result.rawValue, Self.words(verdict), json: options.output.json, members: Self.members(verdict),
            facts: outcome.facts)
    }

    /// Policy, what is applied, and why there is neither.
    static func words(_ verdict: AuthResults.DMARC) -> [String] {
        let reason = verdict.reason.isEmpty ? "" : "(\(verdict.reason.escapedText))"
        guard verdict.hasPolicy else { return [reason] }
        return [verdict.policy.rawValue, verdict.applied.rawValue, reason]
    }

    static func members(_ verdict: AuthResults.DMARC) -> [JSONMember] {
        var members = [
            JSONMember("author", .text(verdict.author.escapedText)),
            JSONMember("reason", .text(verdict.reason.escapedText)),
        ]
        if verdict.hasPolicy {
            members += [
                JSONMember("policy_domain", .text(verdict.policyDomain.escapedText)),
                JSONMember("record", .text(verdict.record.escapedText)),
                JSONMember("policy", .text(verdict.policy.rawValue)),
                JSONMember("policy_tag", .text(verdict.policySource.rawValue)),
                JSONMember("applied", .text(verdict.applied.rawValue)),
                JSONMember("test_mode", .boolean(verdict.isTestMode)),
                JSONMember("sampled_out", .boolean(verdict.isSampledOut)),
                JSONMember("spf_aligned", .boolean(verdict.spfAligned)),
                JSONMember("dkim_aligned", verdict.dkimAligned.map { .text($0.escapedText) } ?? .null),
            ]
        }
        return members + [
            JSONMember("organization", .text(verdict.organization.escapedText)),
            JSONMember("could_fail", .boolean(verdict.couldFail)),
            JSONMember("secure", .boolean(verdict.isSecure)),
        ]
    }
}
