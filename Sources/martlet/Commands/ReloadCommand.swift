import ArgumentParser
import Server

struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload", abstract: "Let the running server read its configuration again.",
        discussion: """
            Prints each key that has changed: in force, or in need of a restart. A configuration with problems changes \
            nothing: they are shown, and the exit status is 78.
            """)
    @OptionGroup var config: ConfigOptions
    @OptionGroup var output: OutputOptions
    func run() throws { try config.run(.reload, json: output.json) }
}
