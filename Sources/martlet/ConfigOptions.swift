import ArgumentParser
import Foundation
import Server

/// `--config` and `--set`, the same on every command.
struct ConfigOptions: ParsableArguments {
    static let searched = ["config.json", "config.dev.json", "/etc/martlet/config.json"]

    @Option(
        name: .customLong("config"),
        help: ArgumentHelp(
            "The configuration file (default: ./config.json, ./config.dev.json or /etc/martlet/config.json).",
            valueName: "file"),
        completion: .file(extensions: ["json"]))
    var path: String?

    @Option(
        name: .customLong("set"), parsing: .singleValue,
        help: ArgumentHelp("Overrides a configuration key; may be repeated.", valueName: "key=value"))
    var sets: [String] = []

    var inputs: ConfigInputs { Self.inputs(path: path, sets: sets) }

    /// For commands whose `--set` means something else, too.
    static func inputs(path: String?, sets: [String] = []) -> ConfigInputs {
        let found = path ?? searched.first { access($0, F_OK) == 0 }
        return ConfigInputs(path: found, sets: sets, environment: ProcessInfo.processInfo.environment)
    }

    /// The configuration; says all that is wrong with it and exits with 78 otherwise.
    func load(fileRequired: Bool = true) throws -> LoadedConfiguration {
        try Self.load(inputs, fileRequired: fileRequired)
    }

    static func load(_ inputs: ConfigInputs, fileRequired: Bool = true) throws -> LoadedConfiguration {
        if fileRequired, inputs.path == nil {
            Console.error("no configuration found; name one with --config, or write ./config.json (see docs/config.md)")
            throw ExitCode(ExitStatus.configuration)
        }
        do {
            return try LoadedConfiguration.load(inputs)
        } catch {
            Console.say(error.description)
            throw ExitCode(ExitStatus.configuration)
        }
    }

    /// Sends the request to the daemon or to the store and shows the answer; the command ends with its status.
    func run(_ request: ControlRequest, json: Bool = false) throws {
        try Self.run(request, json: json, inputs)
    }

    static func run(_ request: ControlRequest, json: Bool, _ inputs: ConfigInputs) throws {
        let loaded = try load(inputs)
        let status = ControlCommand.run(request, json ? .json : .text, loaded.configuration, into: Console.sink)
        if status != ExitStatus.success { throw ExitCode(status) }
    }
}

/// `--json`, on every command that shows something.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print JSON.")
    var json = false
}

extension String {
    var bytes: [UInt8] { Array(utf8) }
}
