import ArgumentParser
import Server

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show what the running server does.",
        discussion: "Exits with 69 when no server is running.")
    @OptionGroup var config: ConfigOptions
    @OptionGroup var output: OutputOptions
    func run() throws { try config.run(.status, json: output.json) }
}
