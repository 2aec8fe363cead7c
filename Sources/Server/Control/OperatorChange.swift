import Base
import Protocols
package import Telemetry

/// A command that changed something, for the log: which, of what, how much, and by whom. Has no secrets: of passwords and
/// keys only whose they are.
package struct OperatorChange: Sendable, Equatable {
    private static let subjectOctetsMax = 500

    package let command: String
    /// At most `subjectOctetsMax` of it.
    package let subject: [UInt8]
    /// How much; of a request that goes on where another ended, what that one did.
    package var count = 0
    /// The user id of who asked.
    package var user: UInt32 = 0

    private init(_ command: String, _ subject: [UInt8]...) {
        self.command = command
        self.subject = Array(subject.joined(separator: [ASCII.space]).prefix(Self.subjectOctetsMax))
    }

    /// nil: the request only looks, or (a reload) has its own line.
    package init?(_ request: ControlRequest) {
        switch request {
        case .domainAdd(let name): self.init("domain add", name)
        case .domainRemove(let name): self.init("domain remove", name)
        case .domainSet(let name, let list):
            let settings = list.map { Array("\($0.name)=\($0.value)".utf8) }
            self.init("domain set", name, Array(settings.joined(separator: [ASCII.space])))
        case .dkimAdd(let key): self.init("dkim add", key.domain, key.selector)
        case .dkimActivate(let name, let selector): self.init("dkim activate", name, selector)
        case .dkimRetire(let name, let selector): self.init("dkim retire", name, selector)
        case .dkimRemove(let name, let selector): self.init("dkim remove", name, selector)
        case .accountAdd(let account): self.init("account add", account.address)
        case .accountPassword(let address, _): self.init("account passwd", address)
        case .accountDisable(let address): self.init("account disable", address)
        case .accountEnable(let address): self.init("account enable", address)
        case .accountRemove(let address): self.init("account remove", address)
        case .aliasAdd(let address, let targets):
            self.init("alias add", address, Array(targets.joined(separator: [ASCII.space])))
        case .aliasRemove(let address, let target): self.init("alias remove", address, target ?? [])
        case .queue(let queue):
            guard queue.isChange, !queue.isDryRun else { return nil }
            self.init("queue \(queue.verb.rawValue)", Self.conditions(queue.fields.dropFirst()))
            count = queue.count
        case .poison(let poison):
            switch poison.verb {
            case .list, .show, .raw: return nil
            case .release, .delete, .forget: self.init("poison \(poison.verb.rawValue)", poison.id?.text ?? [])
            }
        case .defense(let defense):
            if defense.verb == .list || defense.verb == .allow && defense.subjects.isEmpty { return nil }
            self.init(
                "\(defense.kind.rawValue) \(defense.verb.rawValue)", Self.conditions(defense.fields.dropFirst(2)))
        case .domainList, .domainShow, .domainDNS, .dkimList, .accountList, .aliasList, .mailboxList, .mailboxRead,
            .mailboxExport, .storeVerify, .tlsPeers, .explain, .policyReplay, .top, .status, .reload:
            return nil
        }
    }

    /// `name value` by turns, without what only shapes the answer.
    private static func conditions(_ fields: ArraySlice<[UInt8]>) -> [UInt8] {
        var out: [[UInt8]] = []
        for at in stride(from: fields.startIndex, to: fields.endIndex - 1, by: 2)
        where !fields[at].elementsEqual("limit".utf8) {
            out.append(fields[at] + [ASCII.equals] + fields[at + 1])
        }
        return out.isEmpty ? Array("all".utf8) : Array(out.joined(separator: [ASCII.space]))
    }

    package func write(to log: Log) {
        log.notice("operator_change") {
            $0.add("command", command)
            $0.add("what", subject)
            $0.add("count", count)
            $0.add("uid", Int(user))
        }
    }
}
