import ArgumentParser
import Policy
import Server

struct DomainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "domain", abstract: "The domains this server takes mail for, and their rules.",
        subcommands: [Add.self, Remove.self, List.self, Show.self, Set.self, DNS.self])

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Take mail for a domain.")
        @Argument(help: "The domain, such as example.org.") var name: String
        @OptionGroup var config: ConfigOptions
        func run() throws { try config.run(.domainAdd(name.bytes)) }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop taking mail for a domain; its aliases go with it, its accounts must be gone.")
        @Argument(help: "The domain.") var name: String
        @OptionGroup var config: ConfigOptions
        func run() throws { try config.run(.domainRemove(name.bytes)) }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the domains.")
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions
        func run() throws { try config.run(.domainList, json: output.json) }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show a domain's rules.")
        @Argument(help: "The domain.") var name: String
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions
        func run() throws { try config.run(.domainShow(name.bytes), json: output.json) }
    }

    struct Set: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change a domain's rules; they apply to the next message.",
            discussion: DomainPolicyField.all.map { "\($0.name) (\($0.defaultText)): \($0.summary)" }
                .joined(separator: "\n"))
        @Argument(help: "The domain.") var name: String
        @Argument(help: ArgumentHelp("Rules to set.", valueName: "key=value")) var rules: [String]
        @OptionGroup var config: ConfigOptions

        func run() throws {
            let assignments = try rules.map { rule in
                guard let equals = rule.firstIndex(of: "=") else {
                    throw ValidationError("\"\(rule)\" must be key=value")
                }
                return ControlAssignment(
                    name: String(rule[..<equals]), value: String(rule[rule.index(after: equals)...]))
            }
            try config.run(.domainSet(name.bytes, assignments))
        }
    }

    struct DNS: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "dns",
            abstract: "Print the DNS records to publish for a domain, or compare them with the DNS.",
            discussion: """
                With --check every record is asked for: ok, missing, differs or unknown (no answer), with what is there \
                and what should be. Exit status 2 when something ought to be changed.
                """)
        @Argument(help: "The domain.") var name: String
        @Flag(help: "Compare with what the DNS says.") var check = false
        @OptionGroup var options: CheckOptions

        func run() throws {
            guard check else {
                return try options.config.run(.domainDNS(name.bytes), json: options.output.json)
            }
            try DomainRecordCheck(options: options).all(name)
        }
    }
}
