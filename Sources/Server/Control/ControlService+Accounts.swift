import Base
import Store

extension ControlService {
    func accountWork(_ request: ControlRequest, _ format: ControlFormat) -> ControlWork {
        switch request {
        case .accountAdd(let account):
            guard let address = ControlAddress.mailbox(account.address) else { return Self.badAddress(account.address) }
            return .write { (session) throws(StoreError) in try Self.addAccount(session, account, address, format) }
        case .accountList:
            return .read { (session) throws(StoreError) in try Self.accountList(session, format) }
        case .accountPassword(let text, let credentials):
            return change(text, "set the password of", format) { (session, address) throws(StoreError) in
                try session.setCredentials(address, credentials)
            }
        case .accountDisable(let text):
            return change(text, "disabled", format) { (session, address) throws(StoreError) in
                try session.setDisabled(address, true)
            }
        case .accountEnable(let text):
            return change(text, "enabled", format) { (session, address) throws(StoreError) in
                try session.setDisabled(address, false)
            }
        case .accountRemove(let text):
            return change(text, "removed", format) { (session, address) throws(StoreError) in
                try session.removeAccount(address)
            }
        default: return .done(.failed("not an account request"))
        }
    }

    private func change(
        _ text: [UInt8], _ verb: String, _ format: ControlFormat,
        _ body: @escaping @Sendable (any StoreWriterSession, [UInt8]) throws(StoreError) -> Void
    ) -> ControlWork {
        guard let address = ControlAddress.mailbox(text) else { return Self.badAddress(text) }
        return .write { (session) throws(StoreError) in
            try body(session, address)
            let shown = ControlText.shown(address)
            return Self.changed("\(verb) account \(shown)", [JSONMember("address", .text(shown))], format)
        }
    }

    private static func addAccount(
        _ session: any StoreWriterSession, _ account: ControlAccount, _ address: [UInt8], _ format: ControlFormat
    ) throws(StoreError) -> ControlAnswer {
        let domain = ControlAddress.domainPart(address)
        guard try session.domains().contains(where: { $0.name == domain }) else {
            let name = ControlText.shown(domain)
            return .failed("domain \(name) is not served here; run `martlet domain add \(name)` first")
        }
        _ = try session.addAccount(address, quotaOctets: account.quotaOctets, isAdmin: account.isAdmin)
        try session.setCredentials(address, account.credentials)
        let shown = ControlText.shown(address)
        return changed(
            "added account \(shown)",
            [
                JSONMember("address", .text(shown)), JSONMember("admin", .boolean(account.isAdmin)),
                JSONMember("quota", account.quotaOctets.map { .integer($0) } ?? .null),
            ], format)
    }

    private static func accountList(_ session: any StoreReaderSession, _ format: ControlFormat) throws(StoreError)
        -> ControlAnswer
    {
        let rows = try session.accounts().map { a -> [JSONValue] in
            [
                .text(ControlText.shown(a.address)), .boolean(a.isAdmin), .text(a.isDisabled ? "disabled" : "active"),
                .integer(a.messages), .integer(a.usedOctets), a.quotaOctets.map { .integer($0) } ?? .null,
            ]
        }
        return list(
            ["ADDRESS", "ADMIN", "STATE", "MESSAGES", "OCTETS", "QUOTA"],
            ["address", "admin", "state", "messages", "octets", "quota"], rows,
            empty: "no accounts; add one with `martlet account add ADDRESS`", format)
    }

    // MARK: Aliases

    func aliasWork(_ request: ControlRequest, _ format: ControlFormat) -> ControlWork {
        switch request {
        case .aliasAdd(let text, let targetTexts):
            guard let address = ControlAddress.mailbox(text, catchAll: true) else { return Self.badAddress(text) }
            var targets: [[UInt8]] = []
            for target in targetTexts {
                guard let checked = ControlAddress.mailbox(target) else { return Self.badAddress(target) }
                targets.append(checked)
            }
            return .write { [targets] (session) throws(StoreError) in
                try Self.addAlias(session, address, targets, format)
            }
        case .aliasList:
            return .read { (session) throws(StoreError) in
                let rows = try session.aliases().map { a -> [JSONValue] in
                    [.text(ControlText.shown(a.address)), .array(a.targets.map { .text(ControlText.shown($0)) })]
                }
                return Self.list(
                    ["ALIAS", "TARGETS"], ["address", "targets"], rows,
                    empty: "no aliases; add one with `martlet alias add ADDRESS TARGET`", format)
            }
        case .aliasRemove(let text, let targetText):
            guard let address = ControlAddress.mailbox(text, catchAll: true) else { return Self.badAddress(text) }
            var target: [UInt8]?
            if let targetText {
                guard let checked = ControlAddress.mailbox(targetText) else { return Self.badAddress(targetText) }
                target = checked
            }
            return .write { [target] (session) throws(StoreError) in
                try session.removeAlias(address, target: target)
                let shown = ControlText.shown(address)
                return Self.changed("removed alias \(shown)", [JSONMember("address", .text(shown))], format)
            }
        default: return .done(.failed("not an alias request"))
        }
    }

    private static func addAlias(
        _ session: any StoreWriterSession, _ address: [UInt8], _ targets: [[UInt8]], _ format: ControlFormat
    ) throws(StoreError) -> ControlAnswer {
        let domain = ControlAddress.domainPart(address)
        guard try session.domains().contains(where: { $0.name == domain }) else {
            let name = ControlText.shown(domain)
            return .failed("domain \(name) is not served here; run `martlet domain add \(name)` first")
        }
        try session.addAlias(address, targets: targets)
        let shown = ControlText.shown(address)
        let shownTargets = targets.map(ControlText.shown)
        return changed(
            "alias \(shown) -> \(shownTargets.joined(separator: ", "))",
            [JSONMember("address", .text(shown)), JSONMember("targets", .array(shownTargets.map { .text($0) }))], format
        )
    }
}
