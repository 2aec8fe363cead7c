import ArgumentParser
import Base
import Handoff
import Protocols
import Server
import Store

struct QueueCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue", abstract: "Mail on its way to other servers.",
        discussion: """
            Every verb takes the same conditions, all of which must hold. Texts may have * for anything and match without \
            regard to case. Changes are shown first with --dry-run.
            """,
        subcommands: [
            Summary.self, List.self, Show.self, Hold.self, Release.self, Retry.self, Bounce.self, Delete.self,
        ])

    struct Summary: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "What waits for each destination, what limits it, and when it will be done.")
        @Option(help: "Most destinations to list, those with most mail first.") var limit = 100
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions

        func validate() throws { try QueueCommand.check(limit) }
        func run() throws { try config.run(.queue(ControlQueue(.summary, limit: limit)), json: output.json) }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List queued recipients, oldest first.")
        @OptionGroup var filter: QueueFilterOptions
        @Option(help: "Most recipients to list.") var limit = 100
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions

        func validate() throws { try QueueCommand.check(limit) }
        func run() throws {
            try config.run(.queue(ControlQueue(.list, try filter.made(), limit: limit)), json: output.json)
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show a queued message and its recipients.")
        @Argument(help: "The message's id.") var id: String
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            var filter = QueueFilter()
            filter.message = try QueueFilterOptions.message(id)
            try config.run(.queue(ControlQueue(.show, filter, limit: 10_000)), json: output.json)
        }
    }

    struct Hold: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Keep mail from being sent.",
            discussion: "With --to-domain alone: all mail of that destination, also what comes, until it is released.")
        @OptionGroup var change: QueueChangeOptions
        func run() throws { try change.run(.hold) }
    }

    struct Release: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Let held mail go.")
        @OptionGroup var change: QueueChangeOptions
        func run() throws { try change.run(.release) }
    }

    struct Retry: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Try mail now instead of at its time.")
        @OptionGroup var change: QueueChangeOptions
        func run() throws { try change.run(.retry) }
    }

    struct Bounce: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Give mail back to its senders as failed.")
        @OptionGroup var change: QueueChangeOptions
        func run() throws { try change.run(.bounce, asks: "Return these recipients' mail to its senders?") }
    }

    struct Delete: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Remove mail without telling anybody.")
        @OptionGroup var change: QueueChangeOptions
        func run() throws { try change.run(.delete, asks: "Delete these recipients' mail?") }
    }

    static func check(_ limit: Int) throws {
        guard (1...10_000).contains(limit) else { throw ValidationError("--limit is 1 to 10000") }
    }
}

/// Which queued recipients are meant.
struct QueueFilterOptions: ParsableArguments {
    @Option(name: .customLong("to-domain"), help: ArgumentHelp("The recipients' domain.", valueName: "domain"))
    var toDomain: String?
    @Option(help: ArgumentHelp("The envelope sender; <> is the null sender.", valueName: "address")) var from: String?
    @Option(help: ArgumentHelp("The recipient.", valueName: "address")) var rcpt: String?
    @Option(help: ArgumentHelp("How long ago it was accepted: >1h, <30m, 2d (the same as >2d).", valueName: "age"))
    var age: [String] = []
    @Option(
        help: ArgumentHelp("The last answer: the beginning of its status (4.7) or a part of it.", valueName: "text"))
    var status: String?
    @Option(help: ArgumentHelp("The host that gave the last answer.", valueName: "host")) var mx: String?
    @Option(name: .customLong("id"), help: ArgumentHelp("One message.", valueName: "id")) var id: String?
    @Flag(help: "Only what is held.") var held = false

    static func message(_ text: String) throws -> MessageID {
        guard let id = MessageID(text: text.bytes) else {
            throw ValidationError("\"\(text)\" is not a message id; `martlet queue list` shows them")
        }
        return id
    }

    func made() throws -> QueueFilter {
        var filter = QueueFilter()
        filter.site = toDomain.map { ASCII.lowercased($0.bytes) }
        filter.sender = from.map { $0 == "<>" ? [] : $0.bytes }
        filter.recipient = rcpt?.bytes
        filter.status = status?.bytes
        filter.host = mx?.bytes
        if let id { filter.message = try Self.message(id) }
        if held { filter.isHeld = true }
        for text in age { try take(age: text, &filter) }
        return filter
    }

    private func take(age text: String, _ filter: inout QueueFilter) throws {
        let isYounger = text.hasPrefix("<")
        let number = text.hasPrefix("<") || text.hasPrefix(">") ? String(text.dropFirst()) : text
        guard let seconds = Self.seconds(number) else {
            throw ValidationError("--age \(text) is not an age, such as '>1h', '<30m' or '>2d'")
        }
        let then = WallTime(seconds: SystemTime().wall().seconds - seconds)
        if isYounger { filter.acceptedAfter = then } else { filter.acceptedBefore = then }
    }

    /// `90s`, `30m`, `1h`, `2d`, `1w`.
    static func seconds(_ text: String) -> Int64? {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800]
        guard let last = text.last, let unit = units[last], let number = Int64(text.dropLast()), number >= 0,
            number <= 1_000_000
        else { return nil }
        return number * unit
    }
}

/// What the changing verbs take besides.
struct QueueChangeOptions: ParsableArguments {
    @OptionGroup var filter: QueueFilterOptions
    @Flag(help: "All queued recipients.") var all = false
    @Flag(name: .customLong("dry-run"), help: "Show what would be done.") var isDryRun = false
    @Flag(help: "Do not ask.") var yes = false
    @OptionGroup var config: ConfigOptions
    @OptionGroup var output: OutputOptions

    func run(_ verb: ControlQueue.Verb, asks question: String? = nil) throws {
        let wanted = try filter.made()
        guard all || wanted != QueueFilter() else {
            throw ValidationError("say which mail is meant, such as with --to-domain or --id; --all is all of it")
        }
        if let question, !isDryRun, !yes {
            guard Console.inputIsTerminal else {
                throw ValidationError("without a terminal to ask on this needs --yes; see it first with --dry-run")
            }
            guard Console.confirm(question) else {
                Console.say("nothing was changed")
                throw ExitCode(ExitStatus.failure)
            }
        }
        try config.run(.queue(ControlQueue(verb, wanted, isDryRun: isDryRun)), json: output.json)
    }
}
