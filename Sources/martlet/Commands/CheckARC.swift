import ArgumentParser
import Base
import MailAuth
import Server

struct CheckARCCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "arc", abstract: "Validate the ARC chain of a message.",
        discussion: "Prints pass, fail or none, and why.")

    @OptionGroup var options: CheckOptions
    @Argument(help: "The message, or - for standard input.", completion: .file())
    var file: String

    func run() throws {
        let message = try MessageInput.message(file)
        let fields = ARCFields(HeaderIndex(message))
        let hashers = BodyHashers(fields.bodyKeys)
        hashers.feed(message.span.extracting(fields.header.bodyStart..<message.count))
        let check = ARCCheck(fields, bodyHashes: hashers.finish())
        let outcome = try CheckResolver.with(options) { try $0.resolve(check) }
        let verdict = outcome.verdict
        let sealers = verdict.sealers.map(\.escapedText)
        CheckOutput.show(
            verdict.status.rawValue,
            (sealers.isEmpty ? [] : ["sealers=" + sealers.joined(separator: ",")]) + ["(\(verdict.reason.text))"],
            json: options.output.json,
            members: [
                JSONMember("reason", .text(verdict.reason.text)),
                JSONMember("sets", .integer(verdict.setCount)),
                JSONMember("oldest_pass", verdict.oldestPass.map { .integer($0) } ?? .null),
                JSONMember("sealers", .array(sealers.map { .text($0) })),
                JSONMember("temporary", .boolean(verdict.isTemporary)),
            ], facts: outcome.facts)
    }
}
