import Base
package import Policy
package import Protocols

/// What `greylist|tarpit|limits …` asks: of which defence, a verb, and which entries.
package struct ControlDefense: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable { case greylist, tarpit, limits }

    package enum Verb: String, Sendable, CaseIterable {
        case list
        /// Treat what is meant as if it had done nothing: let in now, counts at zero.
        case release
        /// Exempt for good, or with `isRemoval` not any more; without subjects: show who is.
        case allow
        /// Know nothing of it any more.
        case forget
    }

    package var kind: Kind
    package var verb: Verb
    package var filter: DefenseFilter
    /// Entries shown.
    package var limit: Int
    /// For `allow`: addresses, networks and (of greylisting) domains, as typed.
    package var subjects: [[UInt8]]
    package var isRemoval: Bool
    /// A message or session whose ledger record says who is meant, for `release`.
    package var id: MessageID?

    package static let subjectsMax = 1_000
    package static let limitMax = 10_000

    package init(
        _ kind: Kind, _ verb: Verb, _ filter: DefenseFilter = DefenseFilter(), limit: Int = 100,
        subjects: [[UInt8]] = [], isRemoval: Bool = false, id: MessageID? = nil
    ) {
        self.kind = kind
        self.verb = verb
        self.filter = filter
        self.limit = limit
        self.subjects = subjects
        self.isRemoval = isRemoval
        self.id = id
    }
}

/// Which entries of a defence are meant: all conditions hold, none means all.
package struct DefenseFilter: Sendable, Equatable {
    /// Entries of clients in it, and of networks that lie in it or around it.
    package var block: AddressBlock?
    /// Of greylisting: the domain that SPF proved for the client; lower case.
    package var identity: [UInt8]?
    /// The receiving domain; lower case.
    package var domain: [UInt8]?
    /// Of limits the account; of greylisting the envelope sender or its domain, and the recipient, as far as an entry keeps them; lower case.
    package var sender: [UInt8]?
    package var recipient: [UInt8]?
    /// `new`, `waiting`, `known`.
    package var state: String?

    package init() {}

    package var isEmpty: Bool { self == DefenseFilter() }

    /// Whether `block` and what is kept of `other` have addresses in common; true without a condition.
    package func concerns(_ other: AddressBlock) -> Bool {
        guard let block else { return true }
        return block.prefix <= other.prefix ? block.contains(other.address) : other.contains(block.address)
    }
}

/// One triplet of greylisting, for people.
package struct GreylistLine: Sendable, Equatable {
    /// The network of the client, or the proven domain.
    package var client: String
    package var sender: [UInt8] = []
    /// Empty: any of its domain.
    package var recipient: [UInt8] = []
    package var domain: [UInt8] = []
    /// `new`, `waiting`, `known`.
    package var state: String
    /// Seconds since 1970; 0: none.
    package var firstSeen: Int64 = 0
    package var lastSeen: Int64 = 0
    /// When a client that waits is let in; 0: it is.
    package var passesAt: Int64 = 0
    /// When the entry goes away by itself; 0: never.
    package var expires: Int64 = 0
    package var attempts = 0
    package var messages = 0

    package init(client: String, state: String) {
        self.client = client
        self.state = state
    }
}

/// One address or network of the client table, for people.
package struct ClientLine: Sendable, Equatable {
    package var client: String
    /// Connections open.
    package var open = 0
    /// Of the last minute, as far as they are counted.
    package var connections = 0
    package var messages = 0
    package var recipients = 0
    package var failedLogins = 0
    /// What counts for the tarpit.
    package var failures = 0
    /// Seconds until the answer that is held now goes out; 0: none is.
    package var slowedSeconds = 0.0
    /// Refused since the entry is kept.
    package var refused = 0
    package var isKnownGood = false
    /// Of an account, which has nothing of the rest but `refused`; nil: it is a client.
    package var hourly: Hourly?

    /// Used up of what an account may send in an hour.
    package struct Hourly: Sendable, Equatable {
        package var messages: Int
        package var recipients: Int

        package init(messages: Int, recipients: Int) {
            self.messages = messages
            self.recipients = recipients
        }
    }

    package init(client: String) { self.client = client }
}

/// What became of a change.
package enum DefenseAnswer: Sendable, Equatable {
    /// Entries changed, and kept for good where such things are kept.
    case done(Int)
    /// For people: why not.
    case failed(String)
}

/// What the commands of the defences need of the running process. Called on a thread that may block.
/// The defaults are those of a command without a server, which never gets this far.
package struct ControlDefenseHooks: Sendable {
    /// Runs what may block, one at a time. False: no room.
    package var perform: @Sendable (@escaping @Sendable () -> Void) -> Bool = {
        $0()
        return true
    }
    package var greylist: @Sendable (DefenseFilter, _ limit: Int) -> [GreylistLine] = { _, _ in [] }
    package var clients: @Sendable (ControlDefense.Kind, DefenseFilter, _ limit: Int) -> [ClientLine] = { _, _, _ in []
    }
    /// What fits one of the filters, in one go.
    package var release: @Sendable (ControlDefense.Kind, [DefenseFilter]) -> DefenseAnswer = { _, _ in .done(0) }
    package var forget: @Sendable (ControlDefense.Kind, [DefenseFilter]) -> DefenseAnswer = { _, _ in .done(0) }
    /// The longest that any domain keeps an answer back; 0: none does.
    package var tarpitSeconds: @Sendable () -> Int = { 0 }
    /// The filters of the configuration, lower case; nil: not known here.
    package var filterNames: @Sendable () -> [[UInt8]]? = { nil }
    package var exceptions: @Sendable () -> DefenseExceptions = { DefenseExceptions() }
    /// Makes the change to the exceptions and returns when it is kept; `.done` counts the entries that changed.
    package var changeExceptions: @Sendable (ExceptionsChange) -> DefenseAnswer = { _ in .done(0) }
    /// nil: not known yet.
    package var top: @Sendable () -> TopSnapshot? = { nil }

    package init() {}
}

/// Additions to one list of exceptions, or removals from it.
package struct ExceptionsChange: Sendable, Equatable {
    package var kind: ControlDefense.Kind
    package var blocks: [AddressBlock] = []
    /// Of greylisting only; lower case.
    package var domains: [[UInt8]] = []
    package var isRemoval = false

    package init(_ kind: ControlDefense.Kind) { self.kind = kind }
}

// MARK: Wire form

extension ControlDefense {
    /// Kind and verb, then `name value` pairs, only those that say something.
    var fields: [[UInt8]] {
        var out: [[UInt8]] = [Array(kind.rawValue.utf8), Array(verb.rawValue.utf8)]
        func put(_ name: String, _ value: [UInt8]?) {
            guard let value else { return }
            out += [Array(name.utf8), value]
        }
        put("client", filter.block.map { Array("\($0)".utf8) })
        put("identity", filter.identity)
        put("domain", filter.domain)
        put("sender", filter.sender)
        put("recipient", filter.recipient)
        put("state", filter.state.map { Array($0.utf8) })
        put("limit", Array(String(limit).utf8))
        put("id", id?.text)
        if isRemoval { put("remove", []) }
        for subject in subjects { put("subject", subject) }
        return out
    }

    init?(_ fields: [[UInt8]]) {
        guard fields.count >= 2, fields.count % 2 == 0,
            let kind = Kind(rawValue: String(decoding: fields[0], as: UTF8.self)),
            let verb = Verb(rawValue: String(decoding: fields[1], as: UTF8.self))
        else { return nil }
        self.init(kind, verb)
        for at in stride(from: 2, to: fields.count, by: 2) {
            guard take(String(decoding: fields[at], as: UTF8.self), fields[at + 1]) else { return nil }
        }
    }

    private mutating func take(_ name: String, _ value: [UInt8]) -> Bool {
        switch name {
        case "client":
            filter.block = AddressBlock(String(decoding: value, as: UTF8.self))
            return filter.block != nil
        case "identity": filter.identity = value
        case "domain": filter.domain = value
        case "sender": filter.sender = value
        case "recipient": filter.recipient = value
        case "state": filter.state = String(decoding: value, as: UTF8.self)
        case "limit":
            guard let n = Decimal.parse(value.span), n <= UInt64(Self.limitMax) else { return false }
            limit = Int(n)
        case "id":
            id = MessageID(text: value)
            return id != nil
        case "remove": isRemoval = true
        case "subject":
            guard subjects.count < Self.subjectsMax else { return false }
            subjects.append(value)
        default: return false
        }
        return true
    }
}
