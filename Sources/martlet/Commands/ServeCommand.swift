import ArgumentParser
import Server

struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run the server in the foreground.",
        discussion: "SIGTERM ends it after transactions under way, SIGHUP reads the configuration again.")

    @OptionGroup var config: ConfigOptions

    func run() throws {
        let status = Application.serve(try config.load())
        if status != ExitStatus.success { throw ExitCode(status) }
    }
}
