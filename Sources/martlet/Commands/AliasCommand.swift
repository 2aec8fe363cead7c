import ArgumentParser
import Server

struct AliasCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "alias", abstract: "Addresses that lead to others; @domain is a domain's catch-all.",
        subcommands: [Add.self, List.self, Remove.self])

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add targets to an alias, here or elsewhere; makes the alias if it is new.")
        @Argument(help: "The alias: an address, or @domain.") var address: String
        @Argument(help: "Where its mail goes.") var targets: [String]
        @OptionGroup var config: ConfigOptions
        func run() throws { try config.run(.aliasAdd(address.bytes, targets.map(\.bytes))) }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the aliases.")
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions
        func run() throws { try config.run(.aliasList, json: output.json) }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Remove an alias, or one target of it.")
        @Argument(help: "The alias.") var address: String
        @Argument(help: "The target; default: the whole alias.") var target: String?
        @OptionGroup var config: ConfigOptions
        func run() throws { try config.run(.aliasRemove(address.bytes, target: target?.bytes)) }
    }
}
