import ArgumentParser
import Ledger
import Policy
import Server

struct PolicyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "policy", abstract: "Try out rules on messages of the past.", subcommands: [Replay.self])

    struct Replay: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Decide recorded messages again under other rules and print those that would change.",
            discussion: """
                Nobody is asked: what DNS said was recorded. The rules are those of `martlet domain set`, and \
                \(PolicyReplay.modeKey). Scores and tarpits are decided from the recorded evidence, greylisting by \
                going through all recorded mail in order; what cannot be known is said so.
                """)
        @Option(
            name: .customLong("set"), parsing: .singleValue,
            help: ArgumentHelp("A rule to change; may be repeated.", valueName: "key=value"))
        var rules: [String]
        @Option(help: "Only what this receiving domain decides.") var domain: String?
        @Option(help: "How far back, such as 12h or 7d.") var since = "7d"
        @Option(help: "Until how long ago, such as 1h; without it, until now.") var until: String?
        @Option(
            name: .customLong("config"),
            help: ArgumentHelp(
                "The configuration file (default: ./config.json, ./config.dev.json or /etc/martlet/config.json).",
                valueName: "file"),
            completion: .file(extensions: ["json"]))
        var path: String?
        @OptionGroup var output: OutputOptions

        func run() throws {
            let settings = try rules.map { rule in
                guard let equals = rule.firstIndex(of: "=") else {
                    throw ValidationError("\"\(rule)\" must be key=value")
                }
                return ControlAssignment(
                    name: String(rule[..<equals]), value: String(rule[rule.index(after: equals)...]))
            }
            guard let seconds = ConfigText.duration(since), seconds > 0 else {
                throw ValidationError("--since is a duration, such as 12h or 7d")
            }
            let end = until.map { ConfigText.duration($0) } ?? 0
            guard let end, end >= 0, end < seconds else {
                throw ValidationError("--until is a duration shorter than --since, such as 1h")
            }
            let replay = ControlReplay(settings: settings, domain: domain?.bytes, seconds: seconds, until: end)
            try ConfigOptions.run(.policyReplay(replay), json: output.json, ConfigOptions.inputs(path: path))
        }
    }
}
