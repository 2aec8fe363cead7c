import ArgumentParser
import Base
import Crypto
import Delivery
import MailAuth
import Protocols
import Server

struct CheckMTASTSCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mta-sts", abstract: "What a domain's MTA-STS policy says, fetched now.",
        discussion: """
            Prints enforce, testing or none (no policy, or mode none), the id and the hosts; temperror when DNS does not \
            answer; sts-policy-fetch-error, sts-policy-invalid or sts-webpki-invalid when a policy is announced and \
            cannot be had.
            """)

    @OptionGroup var fetch: PolicyFetchOptions
    @OptionGroup var options: CheckOptions
    @Argument(help: "The domain.")
    var domain: String

    func run() throws {
        guard let name = IDNA.toASCII(domain.bytes) else { throw ValidationError("\(domain): not a domain name") }
        let outcome = try CheckResolver.with(options) { try $0.resolve(MTASTSDiscovery(domain: name)) }
        switch outcome.verdict {
        case .absent: show("none", ["(no record)"], [], outcome.facts)
        case .unknown, .unchanged: show("temperror", ["(DNS does not answer)"], [], outcome.facts)
        case .announced(let id, let addresses):
            let member = JSONMember("id", .text(id.escapedText))
            switch fetch.fetch(name, addresses) {
            case .success(let success):
                let policy = success.policy
                let patterns = policy.patterns.map(\.escapedText)
                show(
                    policy.mode.rawValue,
                    [
                        "id=\(id.escapedText)", "max_age=\(policy.maxAgeSeconds)",
                        "mx=" + patterns.joined(separator: ","),
                    ],
                    [
                        member, JSONMember("mode", .text(policy.mode.rawValue)),
                        JSONMember("max_age", .integer(Int(policy.maxAgeSeconds))),
                        JSONMember("mx", .array(patterns.map { .text($0) })),
                        JSONMember("lines", .array(policy.lines.map { .text($0.escapedText) })),
                    ], outcome.facts)
            case .failure(let failure):
                show(
                    failure.result.rawValue, ["id=\(id.escapedText)", "(\(failure.detail.escapedText))"],
                    [member, JSONMember("reason", .text(failure.detail.escapedText))], outcome.facts)
            }
        }
    }

    private func show(_ result: String, _ words: [String], _ members: [JSONMember], _ facts: Facts) {
        CheckOutput.show(result, words, json: options.output.json, members: members, facts: facts)
    }
}
