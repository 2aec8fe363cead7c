import ArgumentParser
import Server

struct ServeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run the server in the foreground.",
        discussion: "SIGTERM ends it after transactions under way, SIGHUP reads the configuration again.")

    @OptionGroup var config: ConfigOptions

    func run() throws {
        // Started by `supervise`, which has ended since.
        guard Supervisor.follow() else { throw ExitCode(ExitStatus.unavailable) }
        let status = Application.serve(try config.load())
        if status != ExitStatus.success { throw ExitCode(status) }
    }
}
