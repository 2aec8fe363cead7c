import ArgumentParser
import Protocols
import Server

struct MailboxCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mailbox", abstract: "What has been delivered.", subcommands: [List.self, Read.self, Export.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List a mailbox, newest first.")
        @Argument(help: "The account's address.") var address: String
        @Option(help: "The folder.") var folder = "Inbox"
        @Option(help: "Most messages to list.") var limit = 100
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions

        func validate() throws {
            guard (1...10_000).contains(limit) else { throw ValidationError("--limit is 1 to 10000") }
        }

        func run() throws {
            try config.run(.mailboxList(address.bytes, folder: folder.bytes, limit: limit), json: output.json)
        }
    }

    struct Read: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print a message.",
            discussion: "With --raw the octets as stored: Return-Path, trace fields, message.")
        @Argument(help: "The account's address.") var address: String
        @Argument(help: "The message's id, as in `mailbox list`.") var id: String
        @Flag(help: "Print the exact octets.") var raw = false
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            guard let message = MessageID(text: id.bytes) else {
                throw ValidationError("\"\(id)\" is not a message id; `martlet mailbox list \(address)` shows them")
            }
            let form = raw ? ControlMessageForm.raw : .readable
            try config.run(.mailboxRead(address.bytes, message, form: form, offset: 0), json: output.json)
        }
    }

    struct Export: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print every message of a folder.",
            discussion:
                "Each as a line `MESSAGE ID LENGTH`, LENGTH octets as `mailbox read --raw` prints them, and a line end."
        )
        @Argument(help: "The account's address.") var address: String
        @Option(help: "The folder.") var folder = "Inbox"
        @OptionGroup var config: ConfigOptions

        func run() throws {
            try config.run(.mailboxExport(address.bytes, folder: folder.bytes, ControlExportState()), json: false)
        }
    }
}
