import ArgumentParser
import Base
import Handoff
import MailAuth
import Protocols
import Server

struct CheckSPFCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "spf", abstract: "Whether a client may send in the name of a domain.",
        discussion: """
            Prints none, neutral, pass, fail, softfail, temperror or permerror, the domain, and what decided. \
            Without --mail-from the HELO name itself is checked; with an empty one, postmaster at the HELO name.
            """)

    @Option(name: .customLong("ip"), help: ArgumentHelp("The client's address.", valueName: "address"))
    var address: String

    @Option(parsing: .unconditional, help: ArgumentHelp("The name the client gave in HELO or EHLO.", valueName: "name"))
    var helo: String = ""

    @Option(
        name: .customLong("mail-from"), parsing: .unconditional,
        help: ArgumentHelp("The reverse-path, without its brackets.", valueName: "address"))
    var mailFrom: String?

    @Option(
        parsing: .unconditional, help: ArgumentHelp("Our own name, for texts that mention it.", valueName: "name"))
    var receiver: String = ""

    @OptionGroup var options: CheckOptions

    func run() throws {
        guard let ip = IPAddress(address) else { throw ValidationError("--ip \(address): not an IP address") }
        let check = check(ip, SystemTime().wall())
        let outcome = try CheckResolver.with(options) { try $0.resolve(check) }
        let verdict = outcome.verdict
        CheckOutput.show(
            verdict.result.rawValue, Self.words(verdict), json: options.output.json, members: Self.members(verdict),
            facts: outcome.facts)
    }

    private func check(_ ip: IPAddress, _ now: WallTime) -> SPFCheck {
        let name = Array(helo.utf8)
        let receiver = Array(receiver.utf8)
        guard let mailFrom else { return SPFCheck(ip: ip, helo: name, receiver: receiver, now: now) }
        return SPFCheck(ip: ip, helo: name, mailFrom: Array(mailFrom.utf8), receiver: receiver, now: now)
    }

    private static func words(_ verdict: SPFVerdict) -> [String] {
        var words = [verdict.domain.escapedText]
        if !verdict.path.isEmpty { words.append("by " + verdict.path.map(\.term.escapedText).joined(separator: " > ")) }
        words.append("lookups=\(verdict.lookups)")
        if let problem = verdict.problem { words.append("(\(problem))") }
        if let text = verdict.explanation { words.append("\"\(text.escapedText)\"") }
        return words
    }

    private static func members(_ verdict: SPFVerdict) -> [JSONMember] {
        var members = [
            JSONMember("identity", .text(verdict.identity.rawValue)),
            JSONMember("sender", .text(verdict.sender.escapedText)),
            JSONMember("domain", .text(verdict.domain.escapedText)),
            JSONMember("record", .text(verdict.record.escapedText)),
            JSONMember("mechanism", .text(verdict.mechanism.escapedText)),
            JSONMember(
                "path",
                .array(
                    verdict.path.map {
                        .object([
                            JSONMember("domain", .text($0.domain.escapedText)),
                            JSONMember("term", .text($0.term.escapedText)),
                        ])
                    })),
            JSONMember("lookups", .integer(verdict.lookups)),
            JSONMember("void_lookups", .integer(verdict.voidLookups)),
            JSONMember("secure", .boolean(verdict.isSecure)),
        ]
        if let text = verdict.explanation { members.append(JSONMember("explanation", .text(text.escapedText))) }
        if let problem = verdict.problem { members.append(JSONMember("problem", .text(problem))) }
        return members
    }
}
