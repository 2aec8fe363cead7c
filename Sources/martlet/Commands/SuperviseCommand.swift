import ArgumentParser
import Foundation
import Server

struct SuperviseCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "supervise", abstract: "Run the server under a parent that keeps its sockets.",
        discussion: """
            The parent opens the SMTP listeners and starts `martlet serve` with them. When the server dies it is started \
            again at once (after five deaths in ten seconds it waits five seconds); who connects meanwhile waits and is \
            not refused. SIGTERM, SIGINT and SIGHUP are passed on, and so is the server's exit status. Listeners that \
            are added to the configuration need a restart of the parent. Swift's report of a crash is off, for it takes \
            seconds: SWIFT_BACKTRACE=enable=yes in the environment brings it back.
            """)

    @OptionGroup var config: ConfigOptions

    func run() throws {
        let inputs = config.inputs
        let loaded = try config.load()
        var arguments = [CommandLine.arguments.first ?? "martlet", "serve"]
        if let path = inputs.path { arguments += ["--config", path] }
        for setting in config.sets { arguments += ["--set", setting] }
        let environment = ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
        let status = Supervisor.run(loaded, arguments: arguments, environment: environment)
        if status != ExitStatus.success { throw ExitCode(status) }
    }
}
