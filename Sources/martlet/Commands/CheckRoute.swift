import ArgumentParser
import Base
import Crypto
import Delivery
import MailAuth
import Protocols
import Server

struct CheckRouteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "route", abstract: "Where mail for an address would go now, and what each host must show.",
        discussion: """
            Prints deliver, defer or fail; then a line for each host in the order it would be tried, and for each that is \
            ruled out. Routes, own names and addresses are those of the configuration. Nothing is connected to but the \
            host of an MTA-STS policy.
            """)

    @Option(help: ArgumentHelp("The port of hosts found by MX.", valueName: "port"))
    var port: UInt16?
    @Flag(name: .customLong("require-tls"), help: "As for a message with REQUIRETLS.")
    var requiresTLS = false
    @Flag(name: .customLong("no-mta-sts"), help: "As if the domain had no MTA-STS policy.")
    var ignoresSTS = false
    @OptionGroup var fetch: PolicyFetchOptions
    @OptionGroup var options: CheckOptions
    @Argument(help: "The recipient, or a domain.")
    var address: String

    func run() throws {
        let destination = try destination()
        let rules = try rules()
        let (sts, verdict, facts) = try CheckResolver.with(options) { resolver in
            let (sts, known) = try policy(destination, rules, resolver)
            let plan = DeliveryPlan(
                destination: destination, rules: rules, sts: sts, demand: requiresTLS ? .verifiedTLS : .ordinary)
            let outcome = try resolver.resolve(plan, known: known)
            return (sts, outcome.verdict, outcome.facts)
        }
        show(destination, sts, verdict, facts)
    }

    /// What stands behind the last `@`, as delivery sees it.
    private func destination() throws -> [UInt8] {
        let domain = address.split(separator: "@", omittingEmptySubsequences: false).last.map(String.init) ?? address
        if domain.hasPrefix("[") { return ASCII.lowercased(domain.bytes) }
        guard let name = IDNA.toASCII(domain.bytes) else {
            throw ValidationError("\(address): neither an address nor a domain")
        }
        return name
    }

    private func rules() throws -> DeliveryRules {
        let configuration = try options.config.load(fileRequired: false).configuration
        var rules: DeliveryRules
        do throws(Configuration.RouteProblem) {
            rules = try configuration.deliveryRules()
        } catch {
            Console.error("\(error)")
            throw ExitCode(ExitStatus.configuration)
        }
        if let port { rules.port = port }
        return rules
    }

    private func policy(
        _ destination: [UInt8], _ rules: DeliveryRules, _ resolver: CheckResolver
    ) throws -> (STSVerdict, Facts) {
        guard !ignoresSTS, let domain = DeliveryPlan.policyDomain(destination, rules) else { return (.absent, Facts()) }
        let discovery = try resolver.resolve(MTASTSDiscovery(domain: domain))
        guard case .announced(let id, let addresses) = discovery.verdict else { return (.absent, discovery.facts) }
        switch fetch.fetch(domain, addresses) {
        case .success(let success):
            return (success.policy.mode == .absent ? .absent : .policy(success.policy, id: id), discovery.facts)
        case .failure(let failure):
            return (.fetchFailed(failure.result, detail: failure.detail), discovery.facts)
        }
    }

    private func show(_ destination: [UInt8], _ sts: STSVerdict, _ verdict: DeliveryPlanVerdict, _ facts: Facts) {
        var words = [destination.escapedText]
        let result: String
        var hosts: [PlannedHost] = []
        var members = [JSONMember("destination", .text(destination.escapedText))]
        switch verdict.outcome {
        case .hosts(let found):
            result = "deliver"
            hosts = found
        case .failed(let failure):
            result = failure.permanence == .temporary ? "defer" : "fail"
            words += [Self.status(failure.status), "(\(failure.text.escapedText))"]
            members += [
                JSONMember("status", .text(Self.status(failure.status))),
                JSONMember("reason", .text(failure.text.escapedText)),
            ]
        }
        members += [
            JSONMember("mta_sts", .text(Self.text(sts))),
            JSONMember("hosts", .array(hosts.map { .object(Self.members($0)) })),
            JSONMember("skipped", .array(verdict.skipped.map { .object(Self.members($0)) })),
        ]
        if let problem = verdict.policyProblem {
            members.append(JSONMember("policy_problem", .text(problem.result.rawValue)))
            words.append("\(problem.result.rawValue): \(problem.detail.escapedText)")
        }
        CheckOutput.show(result, words, json: options.output.json, members: members, facts: facts)
        guard !options.output.json else { return }
        for host in hosts { Console.print(Self.line(host)) }
        for host in verdict.skipped { Console.print(Self.line(host)) }
    }

    private static func line(_ host: PlannedHost) -> String {
        var words = ["  \(host.preference)", host.name.escapedText, host.isLMTP ? "lmtp" : "smtp", "port \(host.port)"]
        words.append(text(host.security))
        if let tested = host.tested { words.append("(testing: \(text(tested)))") }
        words += host.addresses.map { "\($0)" }
        return words.joined(separator: " ") + "\n"
    }

    private static func line(_ host: SkippedHost) -> String {
        var words = ["  \(host.preference)", host.name.escapedText, "skipped", status(host.failure.status)]
        if let result = host.result { words.append(result.rawValue) }
        return words.joined(separator: " ") + " (\(host.failure.text.escapedText))\n"
    }

    private static func members(_ host: PlannedHost) -> [JSONMember] {
        [
            JSONMember("name", .text(host.name.escapedText)),
            JSONMember("preference", .integer(Int(host.preference))),
            JSONMember("protocol", .text(host.isLMTP ? "lmtp" : "smtp")),
            JSONMember("port", .integer(Int(host.port))),
            JSONMember("addresses", .array(host.addresses.map { .text("\($0)") })),
            JSONMember("security", .text(text(host.security))),
            JSONMember("tested", host.tested.map { .text(text($0)) } ?? .null),
            JSONMember("server_name", .text(host.serverName.escapedText)),
            JSONMember("policies", .array(host.policies.map { .text($0.type.rawValue) })),
        ]
    }

    private static func members(_ host: SkippedHost) -> [JSONMember] {
        [
            JSONMember("name", .text(host.name.escapedText)),
            JSONMember("preference", .integer(Int(host.preference))),
            JSONMember("status", .text(status(host.failure.status))),
            JSONMember("reason", .text(host.failure.text.escapedText)),
            JSONMember("result_type", host.result.map { .text($0.rawValue) } ?? .null),
        ]
    }

    private static func status(_ status: EnhancedStatus) -> String {
        "\(status.category).\(status.subject).\(status.detail)"
    }

    private static func text(_ security: HostSecurity) -> String {
        switch security {
        case .plain: "plain"
        case .opportunistic: "opportunistic"
        case .encrypted: "encrypted"
        case .webPKI(let names): "web-pki(" + names.map(\.escapedText).joined(separator: ",") + ")"
        case .dane(let records, let names):
            "dane(" + records.map { "\($0.usage) \($0.selector) \($0.matchingType)" }.joined(separator: ", ") + "; "
                + names.map(\.escapedText).joined(separator: ",") + ")"
        }
    }

    private static func text(_ sts: STSVerdict) -> String {
        switch sts {
        case .absent: "none"
        case .policy(let policy, _): policy.mode.rawValue
        case .fetchFailed(let result, _): result.rawValue
        }
    }
}
