import ArgumentParser
import Base
import Foundation
import MailAuth
import Policy
import Protocols
import Server

struct CheckListsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lists", abstract: "What DNS lists say of a client, and what that adds up to.",
        discussion: """
            Prints accept, quarantine or reject, the score and one line for each list: those of --list, or the ones \
            that a domain here has set. Lists are written as in the domain setting `lists`: zone=weight, or \
            zone:codes=weight. What a domain counts besides its lists (reverse names, HELO, early talk) is left out.
            """)

    @Option(name: .customLong("ip"), help: ArgumentHelp("The client's address.", valueName: "address"))
    var address: String

    @Option(
        name: .customLong("list"), parsing: .unconditionalSingleValue,
        help: ArgumentHelp("A list to ask, as zen.example=5; may be repeated.", valueName: "zone=weight"))
    var lists: [String] = []

    @Option(help: "A receiving domain, whose lists and scores are taken where no option gives others.")
    var domain: String?

    @Option(help: ArgumentHelp("The score from which mail is refused; 0: never.", valueName: "score"))
    var reject: Int?

    @Option(help: ArgumentHelp("The score from which mail goes to Junk; 0: never.", valueName: "score"))
    var quarantine: Int?

    @OptionGroup var options: CheckOptions

    func validate() throws {
        guard (0...1_000).contains(reject ?? 0), (0...1_000).contains(quarantine ?? 0) else {
            throw ValidationError("--reject and --quarantine: 0 to 1000")
        }
        if lists.isEmpty, domain == nil {
            throw ValidationError("name lists by --list zone=weight, or a domain here that has some by --domain")
        }
    }

    func run() throws {
        guard let ip = IPAddress(address) else { throw ValidationError("--ip \(address): not an IP address") }
        let policy = try policy()
        let check = DNSListCheck(ip, zones: policy.zones, explained: policy.explainedZones)
        let outcome = try CheckResolver.with(options) { try $0.resolve(check) }
        var evidence = ClientEvidence(address: ip)
        evidence.lists = outcome.verdict
        let score = ClientScore(evidence, policy)
        CheckOutput.show(
            score.decision.rawValue, ["\(score.total)" + Self.lines(outcome.verdict, policy)],
            json: options.output.json,
            members: [
                JSONMember("score", .integer(score.total)),
                JSONMember("lists", .array(policy.lists.map { Self.member($0, outcome.verdict) })),
                JSONMember("reply", .text(score.reply.map { Self.text($0) } ?? "")),
            ], facts: outcome.facts)
    }

    private func policy() throws -> DomainDefense.Score {
        var policy = try domain.map { try score(of: $0) } ?? DomainDefense.Score()
        if !lists.isEmpty {
            do throws(DomainDefense.DNSList.Fault) {
                policy.lists = try DomainDefense.DNSList.parse(lists.joined(separator: ","))
            } catch {
                throw DefenseOptions.badValue("--list: \(error)")
            }
            guard !policy.lists.isEmpty else {
                throw ValidationError("--list: write zone=weight or zone:codes=weight")
            }
        }
        if let domain, policy.lists.isEmpty {
            Console.error("\(domain) has no lists; `martlet domain set \(domain) lists=zone=weight` sets some")
            throw ExitCode(ExitStatus.failure)
        }
        policy.rejectAt = reject ?? policy.rejectAt
        policy.quarantineAt = quarantine ?? policy.quarantineAt
        return policy
    }

    /// What the server, or its store, has of a domain.
    private func score(of domain: String) throws -> DomainDefense.Score {
        let configuration = try options.config.load().configuration
        var output: [UInt8] = []
        let sink = ControlClient.Sink(output: { output += $0 }, complaint: Console.sink.complaint)
        let status = ControlCommand.run(.domainShow(domain.bytes), .json, configuration, into: sink)
        if status != ExitStatus.success { throw ExitCode(status) }
        let shown = (try? JSONSerialization.jsonObject(with: Data(output))) as? [String: Any] ?? [:]
        var policy = DomainPolicy()
        for field in DomainPolicyField.all {
            if let value = shown[field.name] as? String { _ = field.write(&policy, value) }
        }
        return policy.defense.score
    }

    private static func lines(_ findings: [DNSListFinding], _ policy: DomainDefense.Score) -> String {
        policy.lists.map { list -> String in
            guard let finding = findings.first(where: { $0.zone == list.zone }) else { return "" }
            let counted = list.matches(finding) ? list.weight : 0
            let sign = counted > 0 ? "+" : ""
            let words = [
                "\n  \(list): \(sign)\(counted)", finding.outcome.rawValue,
                finding.answers.map(\.description).joined(separator: " "),
                finding.text.isEmpty ? "" : "\"\(finding.text.escapedText)\"",
            ]
            return words.filter { !$0.isEmpty }.joined(separator: " ")
        }.joined()
    }

    private static func member(_ list: DomainDefense.DNSList, _ findings: [DNSListFinding]) -> JSONValue {
        let finding = findings.first { $0.zone == list.zone }
        let counts = finding.map { list.matches($0) } ?? false
        return .object([
            JSONMember("list", .text("\(list)")), JSONMember("outcome", .text(finding?.outcome.rawValue ?? "")),
            JSONMember("points", .integer(counts ? list.weight : 0)),
            JSONMember("answers", .array((finding?.answers ?? []).map { .text("\($0)") })),
            JSONMember("text", .text(finding?.text.escapedText ?? "")),
        ])
    }

    private static func text(_ reply: Reply) -> String {
        var wire: [UInt8] = []
        reply.append(to: &wire)
        return String(decoding: wire.dropLast(2).filter { $0 != ASCII.cr }, as: UTF8.self)
    }
}
