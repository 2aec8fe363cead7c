import ArgumentParser
import Base
import Crypto
import Delivery
import MailAuth
import Protocols
import Server

struct CheckDANECommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dane", abstract: "Which TLSA records hold for a mail host.",
        discussion: """
            Prints usable (the host must match one of the records), unusable (TLS with any certificate), none (proven, or \
            not signed), temperror (no answer that can be believed: the host gets no mail) or nohost (no address). \
            Nothing is connected to.
            """)

    @Option(help: ArgumentHelp("The port that mail would go to.", valueName: "port"))
    var port: UInt16 = 25
    @OptionGroup var options: CheckOptions
    @Argument(help: "The host's name, as an MX record gives it.")
    var host: String

    func run() throws {
        guard let ascii = IDNA.toASCII(host.bytes) ?? Optional(ASCII.lowercased(host.bytes)),
            let name = DNSName(dotted: ascii)
        else { throw ValidationError("\(host): not a host name") }
        let outcome = try CheckResolver.with(options) { try $0.resolve(DANECheck(host: name, port: port)) }
        let (result, reason) = Self.result(outcome.verdict)
        let verdict = outcome.verdict
        let records = verdict.records.map { TLSACheck.text($0).escapedText }
        CheckOutput.show(
            result, (verdict.base.isEmpty ? [] : [verdict.base.escapedText]) + ["(\(reason))"],
            json: options.output.json,
            members: [
                JSONMember("reason", .text(reason)),
                JSONMember("base", .text(verdict.base.escapedText)),
                JSONMember(
                    "records",
                    .array(
                        verdict.records.map {
                            .object([
                                JSONMember("record", .text(TLSACheck.text($0).escapedText)),
                                JSONMember("usable", .boolean(TLSACheck.isUsable($0))),
                            ])
                        })),
            ], facts: outcome.facts)
        guard !options.output.json else { return }
        for (text, record) in zip(records, verdict.records) {
            Console.print("  \(text)\(TLSACheck.isUsable(record) ? "" : " (unusable)")\n")
        }
    }

    private static func result(_ verdict: DANECheck.Verdict) -> (String, String) {
        switch verdict.addresses {
        case .absent: return ("nohost", "the host has no address")
        case .unknown(let detail): return ("temperror", detail.escapedText)
        case .known(_, let isSecure):
            switch verdict.finding {
            case .failed(let detail): return ("temperror", detail.escapedText)
            case .usable(let records, _): return ("usable", "\(records.count) of \(verdict.records.count) records")
            case .unusable: return ("unusable", "TLS with any certificate")
            case .absent: return ("none", isSecure ? "no signed records" : "the host's addresses are not signed")
            }
        }
    }
}
