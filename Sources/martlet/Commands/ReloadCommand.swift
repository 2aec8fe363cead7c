import ArgumentParser
import Server

struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload", abstract: "Let the running server read its configuration again.",
        discussion: "A configuration with problems changes nothing: they are shown, and the exit status is 78.")
    @OptionGroup var config: ConfigOptions
    func run() throws { try config.run(.reload) }
}
