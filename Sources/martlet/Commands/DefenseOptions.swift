import ArgumentParser
import Base
import Policy
import Protocols
import Server

/// What the commands of greylisting, the tarpit and the limits have in common.
enum DefenseOptions {
    static func block(_ text: String) throws -> AddressBlock {
        guard let block = AddressBlock(text) else {
            throw badValue("\"\(text)\" is not an address or a network, such as 192.0.2.7 or 2001:db8::/64")
        }
        return block
    }

    /// A value that is not one; the command itself is in order. Says so.
    static func badValue(_ text: String) -> ExitCode {
        Console.error(text)
        return ExitCode(ExitStatus.data)
    }

    /// An envelope sender as it stands in MAIL or as lists show it, or a domain; `<>` is the null sender.
    static func sender(_ text: String) -> [UInt8] {
        var bytes = ASCII.lowercased(text.bytes)
        if bytes.first == ASCII.less, bytes.last == ASCII.greater, bytes.count >= 2 {
            bytes = Array(bytes.dropFirst().dropLast())
        }
        return bytes
    }

    /// A client, or where `kind` counts them an account.
    static func filter(_ text: String?, _ kind: ControlDefense.Kind) throws -> DefenseFilter {
        var filter = DefenseFilter()
        guard let text else { return filter }
        if kind == .limits, text.utf8.contains(0x40) {
            filter.sender = text.lowercased().bytes
        } else {
            filter.block = try block(text)
        }
        return filter
    }

    static func id(_ text: String) throws -> MessageID {
        guard let id = MessageID(text: text.bytes) else {
            throw badValue("\"\(text)\" is not an id; it stands at the end of the reply")
        }
        return id
    }

    static func check(limit: Int) throws {
        guard (1...ControlDefense.limitMax).contains(limit) else {
            throw ValidationError("--limit is 1 to \(ControlDefense.limitMax)")
        }
    }
}

/// `list` of the tarpit and of the limits.
struct ClientListOptions: ParsableArguments {
    @Argument(help: ArgumentHelp("Only clients in this network, or (limits) this account.", valueName: "network"))
    var network: String?
    @Option(help: "Most clients to list.") var limit = 100
    @OptionGroup var config: ConfigOptions
    @OptionGroup var output: OutputOptions

    func validate() throws { try DefenseOptions.check(limit: limit) }

    func run(_ kind: ControlDefense.Kind) throws {
        let filter = try DefenseOptions.filter(network, kind)
        try config.run(.defense(ControlDefense(kind, .list, filter, limit: limit)), json: output.json)
    }
}

/// `release` of the tarpit and of the limits.
struct ClientReleaseOptions: ParsableArguments {
    @Argument(help: ArgumentHelp("The client, all of a network, or (limits) an account.", valueName: "address"))
    var client: String?
    @Option(help: ArgumentHelp("The client of this session or message.", valueName: "id")) var id: String?
    @Flag(help: "All clients.") var all = false
    @OptionGroup var config: ConfigOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        let ways = [client != nil, id != nil, all].filter { $0 }.count
        if ways > 1 { throw ValidationError("one of them: a client, --id ID or --all, not several") }
        guard ways == 1 else {
            throw ValidationError("say which client is meant: its address, a network, an account, --id ID, or --all")
        }
    }

    func run(_ kind: ControlDefense.Kind) throws {
        let filter = try DefenseOptions.filter(client, kind)
        try config.run(
            .defense(ControlDefense(kind, .release, filter, id: try id.map(DefenseOptions.id))), json: output.json)
    }
}

/// `allow` of all three.
struct AllowOptions: ParsableArguments {
    @Argument(help: ArgumentHelp("Whom to exempt; nobody: show who is.", valueName: "client")) var subjects: [String] =
        []
    @Flag(help: "Do not exempt them any more.") var remove = false
    @OptionGroup var config: ConfigOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard subjects.count <= ControlDefense.subjectsMax else {
            throw ValidationError("at most \(ControlDefense.subjectsMax) at once")
        }
        guard !remove || !subjects.isEmpty else { throw ValidationError("say who is not to be exempt any more") }
    }

    func run(_ kind: ControlDefense.Kind) throws {
        try config.run(
            .defense(ControlDefense(kind, .allow, subjects: subjects.map(\.bytes), isRemoval: remove)),
            json: output.json)
    }
}
