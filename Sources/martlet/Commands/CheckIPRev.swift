import ArgumentParser
import Base
import MailAuth
import Protocols
import Server

struct CheckIPRevCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "iprev", abstract: "Whether an address has a name that leads back to it.",
        discussion: "Prints pass, fail, permerror (no name) or temperror, the address and the name.")

    @Option(name: .customLong("ip"), help: ArgumentHelp("The address.", valueName: "address"))
    var address: String
    @OptionGroup var options: CheckOptions

    func run() throws {
        guard let ip = IPAddress(address) else { throw ValidationError("--ip \(address): not an IP address") }
        let outcome = try CheckResolver.with(options) { try $0.resolve(IPRevCheck(ip)) }
        let verdict = outcome.verdict
        CheckOutput.show(
            verdict.result.rawValue,
            [verdict.address.escapedText, verdict.name.escapedText, Self.bracketed(verdict.reason)],
            json: options.output.json,
            members: [
                JSONMember("address", .text(verdict.address.escapedText)),
                JSONMember("name", .text(verdict.name.escapedText)),
                JSONMember("secure", .boolean(verdict.isSecure)),
                JSONMember("reason", .text(verdict.reason.escapedText)),
            ], facts: outcome.facts)
    }

    private static func bracketed(_ reason: [UInt8]) -> String { reason.isEmpty ? "" : "(\(reason.escapedText))" }
}
