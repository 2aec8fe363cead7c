import ArgumentParser
import Base
import Policy
import Server

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Check and explain the configuration.",
        subcommands: [Check.self, Show.self, Explain.self, Docs.self])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say everything that is wrong with the configuration.",
            discussion: "Exits with 78 and FILE:LINE:COLUMN: what is wrong, one line a problem.")
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            if output.json { return try runJSON() }
            let loaded = try config.load()
            Console.say("\(loaded.inputs.path ?? "configuration"): no problems")
        }

        private func runJSON() throws {
            var problems: [ConfigProblem] = []
            do {
                _ = try LoadedConfiguration.load(config.inputs)
            } catch {
                problems = error.list
            }
            let list = problems.map { problem in
                JSONValue.object([
                    JSONMember("source", .text(problem.source)),
                    JSONMember("line", problem.position.map { .integer($0.line) } ?? .null),
                    JSONMember("column", problem.position.map { .integer($0.column) } ?? .null),
                    JSONMember("message", .text(problem.message)),
                ])
            }
            Console.sink.output(JSONValue.object([JSONMember("problems", .array(list))]).bytes + [ASCII.lf])
            if !problems.isEmpty { throw ExitCode(ExitStatus.configuration) }
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the values in force and where they come from.")
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions
        @Flag(help: "Only values that are not defaults.")
        var changed = false

        func run() throws {
            let loaded = try config.load(fileRequired: false)
            if output.json {
                Console.sink.output(ConfigRendering.showJSON(loaded, changedOnly: changed))
            } else {
                Console.print(ConfigRendering.show(loaded, changedOnly: changed))
            }
        }
    }

    struct Explain: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Say all about one key.")
        @Argument(
            help: "A key such as smtp.max_connections.",
            completion: .list(ConfigSchema.settings.map(\.key)))
        var key: String
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            let loaded = try? LoadedConfiguration.load(config.inputs)
            if let field = DomainPolicyField.named(key) { return domainSetting(field) }
            guard let text = ConfigRendering.explain(key, loaded) else {
                let keys = ConfigSchema.settings.map(\.key)
                let hint = ConfigText.suggestion(for: key, among: keys).map { "; did you mean \"\($0)\"?" }
                Console.error("no key \"\(key)\"" + (hint ?? "; `martlet config show` lists all"))
                throw ExitCode(ExitStatus.usage)
            }
            if output.json, let members = ConfigRendering.explainJSON(key, loaded) {
                Console.sink.output(members.bytes + [ASCII.lf])
            } else {
                Console.print(text)
            }
        }

        private func domainSetting(_ field: DomainPolicyField) {
            guard !output.json else {
                let members = [
                    JSONMember("domain_setting", .text(field.name)), JSONMember("default", .text(field.defaultText)),
                    JSONMember("meaning", .text(field.summary)),
                ]
                return Console.sink.output(JSONValue.object(members).bytes + [ASCII.lf])
            }
            Console.print(
                """
                \(field.name) is a setting of each domain, not a key of the configuration.
                \(field.summary)
                default: \(field.defaultText)
                set it with `martlet domain set NAME \(field.name)=VALUE`, see it with `martlet domain show NAME`

                """)
        }
    }

    struct Docs: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Print docs/config.md.")

        func run() { Console.print(ConfigRendering.documentation) }
    }
}
