import ArgumentParser
import Base
import MailAuth
import Server

struct CheckDKIMCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dkim", abstract: "Verify the DKIM signatures of a message.",
        discussion: "Prints pass, fail, permerror, temperror or none, then a line for each signature.")

    @Option(help: ArgumentHelp("When it is, for expired signatures; 0 is now.", valueName: "unix"))
    var now: UInt64 = 0
    @OptionGroup var options: CheckOptions
    @Argument(help: "The message, or - for standard input.", completion: .file())
    var file: String

    func run() throws {
        let message = try MessageInput.message(file)
        let fields = DKIMFields(HeaderIndex(message))
        let hashers = BodyHashers(fields.bodyKeys)
        hashers.feed(message.span.extracting(fields.header.bodyStart..<message.count))
        let check = DKIMCheck(fields, bodyHashes: hashers.finish(), now: MessageInput.time(now))
        let outcome = try CheckResolver.with(options) { try $0.resolve(check) }
        let verdict = outcome.verdict
        CheckOutput.show(
            verdict.status?.rawValue ?? "none", Self.summary(verdict), json: options.output.json,
            members: [JSONMember("signatures", .array(verdict.results.map { .object(Self.members($0)) }))],
            facts: outcome.facts)
        guard !options.output.json else { return }
        for result in verdict.results { Console.print(Self.line(result)) }
    }

    private static func summary(_ verdict: DKIMVerdict) -> [String] {
        guard let best = verdict.best else { return [] }
        return [best.signature?.domain.escapedText ?? "", "(\(best.reason.text))"]
    }

    private static func line(_ result: DKIMResult) -> String {
        var words = ["  " + result.status.rawValue]
        if let signature = result.signature {
            words += [
                "d=" + signature.domain.escapedText, "s=" + signature.selector.escapedText,
                "a=" + signature.algorithm.name, "b=" + result.signatureHead.escapedText,
            ]
        }
        if let bits = result.keyBits { words.append("\(bits)-bit") }
        if result.isTesting { words.append("testing") }
        if result.status == .pass, !result.coversBody { words.append("body-not-covered") }
        return words.joined(separator: " ") + " (\(result.reason.text))\n"
    }

    static func members(_ result: DKIMResult) -> [JSONMember] {
        var members = [
            JSONMember("result", .text(result.status.rawValue)), JSONMember("reason", .text(result.reason.text)),
        ]
        if let signature = result.signature {
            members += [
                JSONMember("domain", .text(signature.domain.escapedText)),
                JSONMember("selector", .text(signature.selector.escapedText)),
                JSONMember("algorithm", .text(signature.algorithm.name)),
                JSONMember("identity", signature.identity.map { .text($0.escapedText) } ?? .null),
                JSONMember("signature_head", .text(result.signatureHead.escapedText)),
            ]
        }
        return members + [
            JSONMember("key_bits", result.keyBits.map { .integer($0) } ?? .null),
            JSONMember("testing", .boolean(result.isTesting)),
            JSONMember("covers_body", .boolean(result.coversBody)),
        ]
    }
}
