import ArgumentParser
import Server

struct StoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "store", abstract: "The store on disk.", subcommands: [Verify.self])

    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Read everything back and say what is damaged.",
            discussion: """
                With a server running, every message of every mailbox is read; without one the database is checked too. \
                Exits with 2 when something is damaged.
                """)
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions
        func run() throws { try config.run(.storeVerify(ControlVerifyState()), json: output.json) }
    }
}
