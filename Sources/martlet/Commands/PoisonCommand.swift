import ArgumentParser
import Protocols
import Server

struct PoisonCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "poison", abstract: "Mail that ended the server, set aside or held.",
        discussion: """
            A message during whose work the server died twice is not worked on again: one that arrives is taken unread \
            into the store's folder `poison`, one in the queue is held. Postmaster is told of each.
            """,
        subcommands: [List.self, Show.self, Release.self, Delete.self, Forget.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List what was set aside or held.")
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions

        func run() throws { try config.run(.poison(ControlPoison(.list)), json: output.json) }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show a message's envelope, or its octets.")
        @Argument(help: "The message's id.") var id: String
        @Flag(help: "The octets as they came; do not send them to a terminal.") var raw = false
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            let id = try PoisonCommand.message(id)
            try config.run(.poison(ControlPoison(raw ? .raw : .show, id)), json: output.json && !raw)
        }
    }

    struct Release: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give a message to its recipients, unread and unchecked, or let a held one go.")
        @Argument(help: "The message's id.") var id: String
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            try config.run(.poison(ControlPoison(.release, try PoisonCommand.message(id))), json: output.json)
        }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Throw away a message that was set aside, without telling anybody.")
        @Argument(help: "The message's id.") var id: String
        @Flag(help: "Do not ask.") var yes = false
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            let message = try PoisonCommand.message(id)
            if !yes {
                guard Console.inputIsTerminal else {
                    throw ValidationError("without a terminal to ask on this needs --yes")
                }
                guard Console.confirm("Delete this message?") else {
                    Console.say("nothing was changed")
                    throw ExitCode(ExitStatus.failure)
                }
            }
            try config.run(.poison(ControlPoison(.delete, message)), json: output.json)
        }
    }

    struct Forget: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Work on mail like this again, such as after an upgrade that mends the fault.")
        @Argument(help: "The message's id.") var id: String
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            try config.run(.poison(ControlPoison(.forget, try PoisonCommand.message(id))), json: output.json)
        }
    }

    private static func message(_ text: String) throws -> MessageID {
        guard let id = MessageID(text: text.bytes) else {
            throw ValidationError("\"\(text)\" is not a message id; `martlet poison list` shows them")
        }
        return id
    }
}
