package import Base
package import Protocols
package import Store

/// How answers are written.
package enum ControlFormat: String, Sendable { case text, json }

/// Everything a command can ask of a store, be it through the daemon or directly. Addresses and names are as typed; the
/// service checks them.
package enum ControlRequest: Sendable, Equatable {
    case domainAdd([UInt8])
    case domainRemove([UInt8])
    case domainList
    case domainShow([UInt8])
    case domainSet([UInt8], [ControlAssignment])
    case domainDNS([UInt8])
    case dkimAdd(ControlDKIMKey)
    /// nil: of all domains.
    case dkimList([UInt8]?)
    case dkimActivate([UInt8], selector: [UInt8])
    case dkimRetire([UInt8], selector: [UInt8])
    case dkimRemove([UInt8], selector: [UInt8])
    case accountAdd(ControlAccount)
    case accountList
    case accountPassword([UInt8], Credentials)
    case accountDisable([UInt8])
    case accountEnable([UInt8])
    case accountRemove([UInt8])
    case aliasAdd([UInt8], [[UInt8]])
    case aliasList
    case aliasRemove([UInt8], target: [UInt8]?)
    case mailboxList([UInt8], folder: [UInt8], limit: Int)
    case mailboxRead([UInt8], MessageID, form: ControlMessageForm, offset: Int)
    case mailboxExport([UInt8], folder: [UInt8], ControlExportState)
    case storeVerify(ControlVerifyState)
    case queue(ControlQueue)
    case poison(ControlPoison)
    case tlsPeers(ControlTLSPeers)
    case explain(MessageID)
    case policyReplay(ControlReplay)
    case defense(ControlDefense)
    case top
    case status
    case reload
}

package struct ControlAssignment: Sendable, Equatable {
    package let name: String
    package let value: String

    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

package struct ControlAccount: Sendable, Equatable {
    package var address: [UInt8]
    package var isAdmin: Bool
    package var quotaOctets: Int?
    package var credentials: Credentials

    package init(address: [UInt8], isAdmin: Bool, quotaOctets: Int?, credentials: Credentials) {
        self.address = address
        self.isAdmin = isAdmin
        self.quotaOctets = quotaOctets
        self.credentials = credentials
    }
}

/// A private key for a domain. Made by the command: that takes too long for the server's threads.
package struct ControlDKIMKey: Sendable, Equatable {
    package let domain: [UInt8]
    /// Empty: one made of the date and the algorithm.
    package let selector: [UInt8]
    /// PEM.
    package let privateKey: Secret

    package init(domain: [UInt8], selector: [UInt8], privateKey: Secret) {
        self.domain = domain
        self.selector = selector
        self.privateKey = privateKey
    }

    package static func == (a: ControlDKIMKey, b: ControlDKIMKey) -> Bool {
        a.domain == b.domain && a.selector == b.selector && a.privateKey.bytes == b.privateKey.bytes
    }
}

package enum ControlMessageForm: String, Sendable {
    /// For a terminal: control characters escaped, lines end in LF.
    case readable
    /// The octets.
    case raw
}

/// How far a verification has come.
package struct ControlVerifyState: Sendable, Equatable {
    var account = Int64.min
    var folder = Int64.min
    var before: Int64?
    var messages = 0
    var octets = 0
    var problems = 0

    package init() {}
}

// MARK: Wire form

extension ControlRequest {
    private static let version: [UInt8] = Array("1".utf8)

    package func frame(_ format: ControlFormat) -> ControlFrame {
        ControlFrame(.request, ControlFields.encode([Self.version, Array(format.rawValue.utf8)] + fields))
    }

    /// nil: not a request this version knows.
    package static func decode(_ payload: [UInt8]) -> (request: ControlRequest, format: ControlFormat)? {
        guard let fields = ControlFields.decode(payload), fields.count >= 3, fields[0] == version,
            let format = ControlFormat(rawValue: String(decoding: fields[1], as: UTF8.self)),
            let request = ControlRequest(command: String(decoding: fields[2], as: UTF8.self), Array(fields[3...]))
        else { return nil }
        return (request, format)
    }

    private var fields: [[UInt8]] {
        func command(_ text: String, _ arguments: [UInt8]...) -> [[UInt8]] { [Array(text.utf8)] + arguments }
        switch self {
        case .domainAdd(let name): return command("domain add", name)
        case .domainRemove(let name): return command("domain remove", name)
        case .domainList: return command("domain list")
        case .domainShow(let name): return command("domain show", name)
        case .domainSet(let name, let list):
            return command("domain set", name) + list.flatMap { [Array($0.name.utf8), Array($0.value.utf8)] }
        case .domainDNS(let name): return command("domain dns", name)
        case .dkimAdd(let key): return command("dkim add", key.domain, key.selector, key.privateKey.bytes)
        case .dkimList(let name): return command("dkim list") + (name.map { [$0] } ?? [])
        case .dkimActivate(let name, let selector): return command("dkim activate", name, selector)
        case .dkimRetire(let name, let selector): return command("dkim retire", name, selector)
        case .dkimRemove(let name, let selector): return command("dkim remove", name, selector)
        case .accountAdd(let a):
            return command("account add", a.address, Self.bytes(a.isAdmin ? 1 : 0), a.quotaOctets.map(Self.bytes) ?? [])
                + Self.fields(a.credentials)
        case .accountList: return command("account list")
        case .accountPassword(let address, let c): return command("account passwd", address) + Self.fields(c)
        case .accountDisable(let address): return command("account disable", address)
        case .accountEnable(let address): return command("account enable", address)
        case .accountRemove(let address): return command("account remove", address)
        case .aliasAdd(let address, let targets): return command("alias add", address) + targets
        case .aliasList: return command("alias list")
        case .aliasRemove(let address, let target):
            return command("alias remove", address) + (target.map { [$0] } ?? [])
        case .mailboxList(let address, let folder, let limit):
            return command("mailbox list", address, folder, Self.bytes(limit))
        case .mailboxRead(let address, let id, let form, let offset):
            return command("mailbox read", address, id.text, Array(form.rawValue.utf8), Self.bytes(offset))
        case .mailboxExport(let address, let folder, _): return command("mailbox export", address, folder)
        case .storeVerify: return command("store verify")
        case .queue(let queue): return command("queue") + queue.fields
        case .poison(let poison): return command("poison") + poison.fields
        case .tlsPeers(let peers):
            return command("tls peers", Array(peers.requirement.rawValue.utf8), Self.bytes(peers.days))
        case .explain(let id): return command("explain", id.text)
        case .policyReplay(let replay):
            return command("policy replay", Self.bytes(replay.seconds), Self.bytes(replay.until), replay.domain ?? [])
                + replay.settings.flatMap { [Array($0.name.utf8), Array($0.value.utf8)] }
        case .defense(let defense): return command("defense") + defense.fields
        case .top: return command("top")
        case .status: return command("status")
        case .reload: return command("reload")
        }
    }

    private init?(command: String, _ a: [[UInt8]]) {
        switch (command, a.count) {
        case ("domain add", 1): self = .domainAdd(a[0])
        case ("domain remove", 1): self = .domainRemove(a[0])
        case ("domain list", 0): self = .domainList
        case ("domain show", 1): self = .domainShow(a[0])
        case ("domain set", 3...):
            guard a.count % 2 == 1 else { return nil }
            self = .domainSet(a[0], Self.assignments(a[1...]))
        case ("domain dns", 1): self = .domainDNS(a[0])
        case ("dkim add", 3):
            self = .dkimAdd(ControlDKIMKey(domain: a[0], selector: a[1], privateKey: Secret(a[2])))
        case ("dkim list", 0): self = .dkimList(nil)
        case ("dkim list", 1): self = .dkimList(a[0])
        case ("dkim activate", 2): self = .dkimActivate(a[0], selector: a[1])
        case ("dkim retire", 2): self = .dkimRetire(a[0], selector: a[1])
        case ("dkim remove", 2): self = .dkimRemove(a[0], selector: a[1])
        case ("account add", 8):
            guard let credentials = Self.credentials(a[3...]), let admin = Self.integer(a[1]) else { return nil }
            let quota = a[2].isEmpty ? nil : Self.integer(a[2])
            guard a[2].isEmpty || quota != nil else { return nil }
            self = .accountAdd(
                ControlAccount(address: a[0], isAdmin: admin != 0, quotaOctets: quota, credentials: credentials))
        case ("account list", 0): self = .accountList
        case ("account passwd", 6):
            guard let credentials = Self.credentials(a[1...]) else { return nil }
            self = .accountPassword(a[0], credentials)
        case ("account disable", 1): self = .accountDisable(a[0])
        case ("account enable", 1): self = .accountEnable(a[0])
        case ("account remove", 1): self = .accountRemove(a[0])
        case ("alias add", 2...): self = .aliasAdd(a[0], Array(a[1...]))
        case ("alias list", 0): self = .aliasList
        case ("alias remove", 1): self = .aliasRemove(a[0], target: nil)
        case ("alias remove", 2): self = .aliasRemove(a[0], target: a[1])
        case ("mailbox list", 3):
            guard let limit = Self.integer(a[2]) else { return nil }
            self = .mailboxList(a[0], folder: a[1], limit: limit)
        case ("mailbox read", 4):
            guard let id = MessageID(text: a[1]), let offset = Self.integer(a[3]),
                let form = ControlMessageForm(rawValue: String(decoding: a[2], as: UTF8.self))
            else { return nil }
            self = .mailboxRead(a[0], id, form: form, offset: offset)
        case ("mailbox export", 2): self = .mailboxExport(a[0], folder: a[1], ControlExportState())
        case ("store verify", 0): self = .storeVerify(ControlVerifyState())
        case ("queue", 1...):
            guard let queue = ControlQueue(a) else { return nil }
            self = .queue(queue)
        case ("poison", 1...):
            guard let poison = ControlPoison(a) else { return nil }
            self = .poison(poison)
        case ("tls peers", 2):
            guard let days = Self.integer(a[1]),
                let requirement = ControlTLSPeers.Requirement(rawValue: String(decoding: a[0], as: UTF8.self))
            else { return nil }
            self = .tlsPeers(ControlTLSPeers(requirement: requirement, days: days))
        case ("explain", 1):
            guard let id = MessageID(text: a[0]) else { return nil }
            self = .explain(id)
        case ("policy replay", 5...):
            guard a.count % 2 == 1, let seconds = Self.integer(a[0]), let until = Self.integer(a[1]) else { return nil }
            self = .policyReplay(
                ControlReplay(
                    settings: Self.assignments(a[3...]), domain: a[2].isEmpty ? nil : a[2], seconds: seconds,
                    until: until))
        case ("defense", 2...):
            guard let defense = ControlDefense(a) else { return nil }
            self = .defense(defense)
        case ("top", 0): self = .top
        case ("status", 0): self = .status
        case ("reload", 0): self = .reload
        default: return nil
        }
    }

    /// Names and values by turns.
    private static func assignments(_ f: ArraySlice<[UInt8]>) -> [ControlAssignment] {
        stride(from: f.startIndex, to: f.endIndex - 1, by: 2).map {
            ControlAssignment(
                name: String(decoding: f[$0], as: UTF8.self), value: String(decoding: f[$0 + 1], as: UTF8.self))
        }
    }

    private static func bytes(_ n: Int) -> [UInt8] { Array(String(n).utf8) }

    private static func integer(_ text: [UInt8]) -> Int? {
        Decimal.parse(text.span).flatMap { Int(exactly: $0) }
    }

    private static func fields(_ c: Credentials) -> [[UInt8]] {
        let s = c.scram
        return [c.passwordHash ?? [], s?.salt ?? [], bytes(s?.iterations ?? 0), s?.storedKey ?? [], s?.serverKey ?? []]
    }

    private static func credentials(_ f: ArraySlice<[UInt8]>) -> Credentials? {
        let a = Array(f)
        guard a.count == 5, let iterations = integer(a[2]) else { return nil }
        let scram = ScramVerifier(salt: a[1], iterations: iterations, storedKey: a[3], serverKey: a[4])
        return Credentials(
            passwordHash: a[0].isEmpty ? nil : a[0], scram: iterations == 0 || a[1].isEmpty ? nil : scram)
    }
}
