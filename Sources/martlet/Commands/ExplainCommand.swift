import ArgumentParser
import Protocols
import Server

struct ExplainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Tell what was decided of a message or session, why, and what would help.",
        discussion: "The id stands in the reply to the client, in the Received field and in the log.")
    @Argument(help: "The id, such as 01NVG2T6G0000.") var id: String
    @OptionGroup var config: ConfigOptions
    @OptionGroup var output: OutputOptions

    func run() throws {
        guard let message = MessageID(text: id.bytes) else {
            throw ValidationError(
                "\"\(id)\" is not an id; it has 13 characters and stands in the reply and in Received")
        }
        try config.run(.explain(message), json: output.json)
    }
}
