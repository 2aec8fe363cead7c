import ArgumentParser

/// Load generator, ledger check, sink and micro-benchmarks.
@main
struct MartletBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "martlet-bench",
        abstract: "Loads an SMTP server, checks what it acknowledged, plays a server, measures parts.",
        subcommands: [LoadCommand.self, VerifyCommand.self, SinkCommand.self, MicroCommand.self])
}
