import ArgumentParser

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Run one check by itself; needs no server and no store.",
        discussion: "The first word printed is the result. Exits with 0 whatever the result is.",
        subcommands: [
            CheckSPFCommand.self, CheckIPRevCommand.self, CheckDKIMCommand.self, CheckARCCommand.self,
            CheckDMARCCommand.self, CheckMessageCommand.self, CheckRouteCommand.self, CheckMTASTSCommand.self,
            CheckDANECommand.self, CheckListsCommand.self,
        ])
}
