import ArgumentParser
import Base
import Handoff
import MailAuth
import Policy
import Protocols
import Server

struct CheckMessageCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "message", abstract: "Run every check on a message as if a client had just handed it over.",
        discussion: """
            Prints the DMARC result, then what would be done with the message and by which rule, then the \
            Authentication-Results field it would get. --domain-set tries a setting of the receiving domain.
            """)

    @Option(name: .customLong("ip"), help: ArgumentHelp("The client's address.", valueName: "address"))
    var address: String
    @Option(parsing: .unconditional, help: ArgumentHelp("The name the client gave in HELO or EHLO.", valueName: "name"))
    var helo: String
    @Option(
        name: .customLong("mail-from"), parsing: .unconditional,
        help: ArgumentHelp("The reverse-path, without its brackets; may be empty.", valueName: "address"))
    var mailFrom: String
    @Option(
        name: .customLong("authserv-id"), help: ArgumentHelp("Whose results they are.", valueName: "name"))
    var server = "localhost"
    @Option(help: ArgumentHelp("When it is, for expired signatures; 0 is now.", valueName: "unix"))
    var now: UInt64 = 0
    @Option(
        name: .customLong("domain-set"),
        help: ArgumentHelp("A setting of the receiving domain; may be repeated.", valueName: "key=value"))
    var settings: [String] = []
    @OptionGroup var options: CheckOptions
    @Argument(help: "The message, or - for standard input.", completion: .file())
    var file: String

    func run() throws {
        guard let ip = IPAddress(address) else { throw ValidationError("--ip \(address): not an IP address") }
        let policy = try policy()
        let check = try check(ip, try MessageInput.message(file))
        let outcome = try CheckResolver.with(options) { try $0.resolve(check) }
        let results = outcome.verdict
        let disposition = Disposition.decide(results, policy, Disposition.Facts())
        CheckOutput.show(
            results.dmarc?.result.rawValue ?? "none",
            [disposition.action.rawValue, disposition.rule.rawValue, "(\(disposition.reason.escapedText))"],
            json: options.output.json, members: members(results, disposition), facts: outcome.facts)
        guard !options.output.json else { return }
        for override in disposition.overrides {
            Console.print("override \(override.kind.rawValue) (\(override.comment.escapedText))\n")
        }
        Console.print(field(results))
    }

    private func policy() throws -> DomainPolicy {
        var policy = DomainPolicy()
        for setting in settings {
            let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, let field = DomainPolicyField.named(parts[0]), field.write(&policy, parts[1]) else {
                throw ValidationError("--domain-set \(setting): no such setting, or not a value of it")
            }
        }
        return policy
    }

    private func check(_ ip: IPAddress, _ message: [UInt8]) throws -> MessageCheck {
        let header = HeaderIndex(message)
        let dkim = DKIMFields(header)
        let arc = ARCFields(header)
        let hashers = BodyHashers(dkim.bodyKeys + arc.bodyKeys)
        hashers.feed(message.span.extracting(header.bodyStart..<message.count))
        let time = SystemTime().wall()
        let name = Array(helo.utf8)
        let client = MessageCheck.Client(
            iprev: IPRevCheck(ip), helo: SPFCheck(ip: ip, helo: name, receiver: Array(server.utf8), now: time),
            mailFrom: SPFCheck(
                ip: ip, helo: name, mailFrom: Array(mailFrom.utf8), receiver: Array(server.utf8), now: time))
        return MessageCheck(
            client: client, dkim: dkim, arc: arc, bodyHashes: hashers.finish(), author: Author(message: message.span),
            now: MessageInput.time(now))
    }

    private func field(_ results: AuthResults) -> String {
        let text = AuthenticationResults.field(results, servedBy: Array(server.utf8))
        return String(decoding: text.filter { $0 != ASCII.cr }, as: UTF8.self)
    }

    // MARK: JSON

    private func members(_ results: AuthResults, _ disposition: Disposition) -> [JSONMember] {
        var out = [
            JSONMember("disposition", .text(disposition.action.rawValue)),
            JSONMember("rule", .text(disposition.rule.rawValue)),
            JSONMember("reason", .text(disposition.reason.escapedText)),
            JSONMember("reply", disposition.reply.map { .text("\($0.code) \($0.text.escapedText)") } ?? .null),
            JSONMember(
                "overrides",
                .array(
                    disposition.overrides.map {
                        .object([
                            JSONMember("type", .text($0.kind.rawValue)),
                            JSONMember("comment", .text($0.comment.escapedText)),
                        ])
                    })),
            JSONMember("authentication_results", .text(field(results))),
            JSONMember("dkim", .array(results.dkim.map { .object(Self.members($0)) })),
        ]
        if let helo = results.helo { out.append(JSONMember("helo", .object(Self.members(helo)))) }
        if let spf = results.spf { out.append(JSONMember("spf", .object(Self.members(spf)))) }
        if let arc = results.arc { out.append(JSONMember("arc", .object(Self.members(arc)))) }
        if let iprev = results.iprev { out.append(JSONMember("iprev", .object(Self.members(iprev)))) }
        if let dmarc = results.dmarc {
            let result = JSONMember("result", .text(dmarc.result.rawValue))
            out.append(JSONMember("dmarc", .object([result] + CheckDMARCCommand.members(dmarc))))
        }
        return out
    }

    private static func members(_ spf: AuthResults.SPF) -> [JSONMember] {
        [
            JSONMember("result", .text(spf.result.rawValue)), JSONMember("domain", .text(spf.domain.escapedText)),
            JSONMember("identity", .text(spf.identity.escapedText)),
            JSONMember("mechanism", .text(spf.mechanism.escapedText)),
            JSONMember("record", .text(spf.record.escapedText)), JSONMember("lookups", .integer(spf.lookups)),
            JSONMember("reason", .text(spf.reason.escapedText)), JSONMember("secure", .boolean(spf.isSecure)),
        ]
    }

    private static func members(_ dkim: AuthResults.DKIM) -> [JSONMember] {
        [
            JSONMember("result", .text(dkim.result.rawValue)), JSONMember("domain", .text(dkim.domain.escapedText)),
            JSONMember("selector", .text(dkim.selector.escapedText)),
            JSONMember("algorithm", .text(dkim.algorithm.escapedText)),
            JSONMember("key_bits", .integer(dkim.keyBits)), JSONMember("testing", .boolean(dkim.isTesting)),
            JSONMember("covers_body", .boolean(dkim.coversBody)), JSONMember("reason", .text(dkim.reason.escapedText)),
        ]
    }

    private static func members(_ arc: AuthResults.ARC) -> [JSONMember] {
        [
            JSONMember("result", .text(arc.result.rawValue)), JSONMember("reason", .text(arc.reason.escapedText)),
            JSONMember(
                "seals",
                .array(
                    arc.seals.map {
                        .object([
                            JSONMember("instance", .integer($0.instance)),
                            JSONMember("domain", .text($0.domain.escapedText)),
                            JSONMember("dmarc", $0.dmarc.map { .text($0.rawValue) } ?? .null),
                            JSONMember("author", .text($0.author.escapedText)),
                        ])
                    })),
        ]
    }

    private static func members(_ iprev: AuthResults.IPRev) -> [JSONMember] {
        [
            JSONMember("result", .text(iprev.result.rawValue)), JSONMember("address", .text(iprev.address.escapedText)),
            JSONMember("name", .text(iprev.name.escapedText)), JSONMember("reason", .text(iprev.reason.escapedText)),
        ]
    }
}
