import ArgumentParser
import Base
import Foundation
import MailAuth
import Protocols
import Server

/// Compares the records that the server wants for a domain with what the DNS says.
struct DomainRecordCheck {
    let options: CheckOptions

    /// Shows every finding; ends the command with 2 when there are problems.
    func all(_ domain: String) throws {
        let records = try records(domain)
        let outcome = try check(domain, records)
        let problems = outcome.verdict.contains(where: \.isProblem)
        if options.output.json {
            Console.print([
                JSONMember("domain", .text(domain)), JSONMember("result", .text(problems ? "problems" : "ok")),
                JSONMember("records", .array(outcome.verdict.map { .object(Self.members($0)) })),
                JSONMember("dns", CheckOutput.evidence(outcome.facts)),
            ])
        } else {
            for finding in outcome.verdict { Console.print(Self.text(finding) + "\n") }
        }
        if problems { throw ExitCode(ExitStatus.problemsFound) }
    }

    /// What the DNS shows of one key.
    func key(_ domain: String, _ selector: String) throws -> AdviceFinding {
        let keys = try capture(.dkimList(domain.bytes))
        let key = keys.first { ($0["selector"] as? String) == selector.lowercased() }
        guard let key, let name = key["name"] as? String, let data = key["record"] as? String,
            let owner = key["domain"] as? String
        else {
            Console.error("\(domain) has no key \(selector); `martlet dkim list \(domain)` shows what there is")
            throw ExitCode(ExitStatus.failure)
        }
        let record = DNSRecordAdvice.Record(
            kind: .dkim, name: name.bytes, type: "TXT", data: data.bytes, why: "", isRequired: true)
        guard let finding = try check(owner, [record]).verdict.first else { throw ExitCode(ExitStatus.failure) }
        return finding
    }

    private func check(
        _ domain: String, _ records: [DNSRecordAdvice.Record]
    ) throws -> CheckResolver.Outcome<[AdviceFinding]> {
        let mx = records.first { $0.kind == .mx }
        let name = records.first { $0.kind == .spf }?.name ?? domain.bytes
        // `10 mx.example.org.`
        let hostname = mx.map { Array($0.data.drop { $0 != ASCII.space }.dropFirst()) } ?? name
        guard let check = DNSAdviceCheck(domain: name, hostname: hostname, records: records) else {
            Console.error("\(domain) is not a domain name")
            throw ExitCode(ExitStatus.data)
        }
        return try CheckResolver.with(options) { try $0.resolve(check) }
    }

    // MARK: What is wanted

    private func records(_ domain: String) throws -> [DNSRecordAdvice.Record] {
        try capture(.domainDNS(domain.bytes)).compactMap { record in
            guard let kind = (record["kind"] as? String).flatMap(DNSRecordAdvice.Kind.init),
                let name = record["name"] as? String, let type = record["type"] as? String,
                let data = record["data"] as? String, let why = record["why"] as? String,
                let isRequired = record["required"] as? Bool
            else { return nil }
            return DNSRecordAdvice.Record(
                kind: kind, name: name.bytes, type: type, data: data.bytes, why: why, isRequired: isRequired)
        }
    }

    private func capture(_ request: ControlRequest) throws -> [[String: Any]] {
        let configuration = try options.config.load().configuration
        var output: [UInt8] = []
        let sink = ControlClient.Sink(output: { output += $0 }, complaint: Console.sink.complaint)
        let status = ControlCommand.run(request, .json, configuration, into: sink)
        if status != ExitStatus.success { throw ExitCode(status) }
        return (try? JSONSerialization.jsonObject(with: Data(output))) as? [[String: Any]] ?? []
    }

    // MARK: What is shown

    static func text(_ finding: AdviceFinding) -> String {
        let record = finding.record
        let status = finding.status.rawValue.padding(toLength: 8, withPad: " ", startingAt: 0)
        let optional = finding.status == .missing && !finding.isProblem ? ", optional" : ""
        var lines = [
            "\(status) \(record.type) \(record.name.escapedText) (\(finding.security.rawValue)\(optional))"
        ]
        if finding.status == .missing || finding.status == .differs {
            lines += finding.found.map { "         is:        \($0.escapedText)" }
            lines.append("         should be: \(record.data.escapedText)")
        }
        lines += finding.notes.map { "         \($0)" }
        return lines.joined(separator: "\n")
    }

    private static func members(_ finding: AdviceFinding) -> [JSONMember] {
        [
            JSONMember("kind", .text(finding.record.kind.rawValue)),
            JSONMember("name", .text(finding.record.name.escapedText)), JSONMember("type", .text(finding.record.type)),
            JSONMember("status", .text(finding.status.rawValue)), JSONMember("problem", .boolean(finding.isProblem)),
            JSONMember("required", .boolean(finding.record.isRequired)),
            JSONMember("security", .text(finding.security.rawValue)),
            JSONMember("expected", .text(String(decoding: finding.record.data, as: UTF8.self))),
            JSONMember("found", .array(finding.found.map { .text($0.escapedText) })),
            JSONMember("notes", .array(finding.notes.map { .text($0) })),
        ]
    }
}
