import ArgumentParser
import Server

@main
struct Martlet: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "martlet",
        abstract: "A mail server.",
        discussion: """
            A command finds its configuration by --config FILE, or else in ./config.json, ./config.dev.json or \
            /etc/martlet/config.json. With a server running on it, commands go through the server's control socket.

            Exit status: 0 done, 1 failed, 2 a check found problems, 64 usage, 65 bad data, 69 no server is running, \
            75 try again later, 77 not permitted, 78 the configuration is wrong.
            """,
        version: Application.version,
        subcommands: [
            ServeCommand.self, SuperviseCommand.self, InitCommand.self, ConfigCommand.self, DomainCommand.self,
            AccountCommand.self,
            AliasCommand.self, MailboxCommand.self, StoreCommand.self, StatusCommand.self, ReloadCommand.self,
            CheckCommand.self, ExplainCommand.self, PolicyCommand.self, QueueCommand.self, PoisonCommand.self,
            TLSCommand.self,
            DKIMCommand.self, ARCCommand.self, GreylistCommand.self, TarpitCommand.self, LimitsCommand.self,
            TopCommand.self,
        ])
}
