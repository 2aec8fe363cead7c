import ArgumentParser
import Server

struct TarpitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tarpit", abstract: "Clients that are answered late.",
        discussion: """
            Slowing clients that keep failing is a setting of each domain: `martlet domain set example.org tarpit=true`. \
            What counts against a client is forgotten an hour after its last failure.
            """,
        subcommands: [List.self, Release.self, Allow.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List clients with failures, the slowest first.")
        @OptionGroup var options: ClientListOptions
        func run() throws { try options.run(.tarpit) }
    }

    struct Release: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Forget what a client did.")
        @OptionGroup var options: ClientReleaseOptions
        func run() throws { try options.run(.tarpit) }
    }

    struct Allow: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Never slow these clients.")
        @OptionGroup var options: AllowOptions
        func run() throws { try options.run(.tarpit) }
    }
}
