import ArgumentParser
import Base
import Policy
import Server

struct GreylistCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "greylist", abstract: "Senders that are asked to come back later.",
        discussion: """
            Greylisting is a setting of each domain: `martlet domain set example.org greylist=true`. An entry is new when it \
            was seen once, waiting when it came back too early, known when it came back in time.
            """,
        subcommands: [List.self, Release.self, Allow.self, Forget.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List entries, the latest first.")
        @OptionGroup var filter: GreylistFilterOptions
        @Option(help: "Most entries to list.") var limit = 100
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions

        func validate() throws { try DefenseOptions.check(limit: limit) }
        func run() throws {
            try config.run(
                .defense(ControlDefense(.greylist, .list, try filter.made(), limit: limit)), json: output.json)
        }
    }

    struct Release: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let in now: the entries are known from here on.",
            discussion: "--id takes the id at the end of the reply, also as somebody else's bounce has it.")
        @OptionGroup var change: GreylistChangeOptions
        func run() throws { try change.run(.release) }
    }

    struct Forget: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Remove entries: the next mail is new again.")
        @OptionGroup var change: GreylistChangeOptions
        func run() throws { try change.run(.forget) }
    }

    struct Allow: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Never greylist these clients or sender domains.",
            discussion: "Takes addresses, networks and domains; a domain counts when it is proven by SPF.")
        @OptionGroup var options: AllowOptions
        func run() throws { try options.run(.greylist) }
    }
}

/// Which entries are meant; all conditions must hold.
struct GreylistFilterOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The client's address or network, or the domain it proved.", valueName: "address"))
    var client: String?
    @Option(name: .customLong("to-domain"), help: ArgumentHelp("The recipients' domain.", valueName: "domain"))
    var toDomain: String?
    @Option(help: ArgumentHelp("The envelope sender, or its domain; '<>' is the null sender.", valueName: "address"))
    var from: String?
    @Option(help: ArgumentHelp("The recipient.", valueName: "address")) var rcpt: String?
    @Option(help: "new, waiting or known.") var state: String?

    func made() throws -> DefenseFilter {
        var filter = DefenseFilter()
        if let client {
            filter.block = AddressBlock(client)
            if filter.block == nil { filter.identity = try identity(client) }
        }
        filter.domain = toDomain.map { ASCII.lowercased($0.bytes) }
        filter.sender = from.map(DefenseOptions.sender)
        filter.recipient = rcpt.map(DefenseOptions.sender)
        if let state {
            guard ["new", "waiting", "known"].contains(state) else {
                throw DefenseOptions.badValue("--state is new, waiting or known, not \"\(state)\"")
            }
            filter.state = state
        }
        return filter
    }

    /// A client that is known by the domain SPF proved for it.
    private func identity(_ text: String) throws -> [UInt8] {
        guard text.utf8.contains(ASCII.dot), !text.utf8.contains(ASCII.at), !text.utf8.contains(0x2F),
            text.utf8.contains(where: { !ASCII.isDigit($0) && $0 != ASCII.dot })
        else {
            throw DefenseOptions.badValue(
                "\"\(text)\" is no client: an address, a network or a domain, such as 192.0.2.7 or shop.example")
        }
        return ASCII.lowercased(text.bytes)
    }
}

struct GreylistChangeOptions: ParsableArguments {
    @OptionGroup var filter: GreylistFilterOptions
    @Option(help: ArgumentHelp("What was put off under this id.", valueName: "id")) var id: String?
    @Flag(help: "All entries.") var all = false
    @OptionGroup var config: ConfigOptions
    @OptionGroup var output: OutputOptions

    func run(_ verb: ControlDefense.Verb) throws {
        let filter = try filter.made()
        let ways = [!filter.isEmpty, id != nil, all].filter { $0 }.count
        if ways > 1 { throw ValidationError("one of them: conditions such as --client, --id ID or --all, not several") }
        guard ways == 1 else {
            throw ValidationError(
                "say which entries are meant, such as with --client, --from or --id; --all is all of them")
        }
        try config.run(
            .defense(ControlDefense(.greylist, verb, filter, id: try id.map(DefenseOptions.id))), json: output.json)
    }
}
