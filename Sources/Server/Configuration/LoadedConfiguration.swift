import Base
import CEpoll

/// One thing wrong with a configuration. Prints as `FILE:LINE:COL: what is wrong`.
package struct ConfigProblem: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file, `--set KEY` or the environment variable.
    package let source: String
    package let position: ConfigPosition?
    package let message: String

    package var description: String {
        position.map { "\(source):\($0.line):\($0.column): \(message)" } ?? "\(source): \(message)"
    }
}

/// All that is wrong with a configuration; never empty.
package struct ConfigProblems: Error, Sendable, Equatable, CustomStringConvertible {
    package let list: [ConfigProblem]
    package var description: String { list.map(\.description).joined(separator: "\n") }
}

/// Where a value came from; later ones win.
package enum ConfigOrigin: String, Sendable, Equatable {
    case builtIn = "default"
    case file
    case environment
    case commandLine = "command line"
}

/// A configuration with where each value came from and how to read it again.
package struct LoadedConfiguration: Sendable {
    package let configuration: Configuration
    /// Only keys that are not defaults.
    package let origins: [String: ConfigOrigin]
    package let inputs: ConfigInputs

    package func origin(of key: String) -> ConfigOrigin { origins[key] ?? .builtIn }

    /// Reads the file, then the environment, then `--set`; every problem found is in the error.
    package static func load(_ inputs: ConfigInputs) throws(ConfigProblems) -> LoadedConfiguration {
        var loader = ConfigLoader(inputs: inputs)
        return try loader.load()
    }

    /// The same inputs read again, for SIGHUP. On a problem the caller keeps what it has.
    package func reloaded() throws(ConfigProblems) -> LoadedConfiguration { try Self.load(inputs) }

    /// What is in force once `fresh` has been read: its values where a reload applies them, ours where only a restart does.
    /// So each later reload names again what still waits for the restart. Throws where the two do not go together.
    package func followed(by fresh: LoadedConfiguration) throws(ConfigProblems) -> LoadedConfiguration {
        var next = fresh.configuration
        for setting in ConfigSchema.settings where !setting.reloadable {
            setting.write(&next, setting.read(configuration))
        }
        let problems = ConfigLoader.problems(of: next, inputs)
        guard problems.isEmpty else {
            throw ConfigProblems(
                list: problems.map {
                    ConfigProblem(
                        source: "with what only a restart changes, \($0.source)", position: nil, message: $0.message)
                })
        }
        return LoadedConfiguration(configuration: next, origins: fresh.origins, inputs: inputs)
    }

    /// Keys whose values differ, with whether a reload may apply them.
    package func changes(to other: LoadedConfiguration) -> [(key: String, reloadable: Bool)] {
        ConfigSchema.settings.filter { $0.read(configuration) != $0.read(other.configuration) }
            .map { ($0.key, $0.reloadable) }
    }
}

/// What a configuration is made from.
package struct ConfigInputs: Sendable {
    /// nil: no file, defaults only.
    package var path: String?
    /// `key=value` texts of `--set`, in order.
    package var sets: [String]
    package var environment: [String: String]

    package init(path: String?, sets: [String] = [], environment: [String: String] = [:]) {
        self.path = path
        self.sets = sets
        self.environment = environment
    }
}
