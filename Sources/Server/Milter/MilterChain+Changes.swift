import Base
import Ledger
import Policy
import Protocols
import Telemetry

/// A filter's wishes, done to the message in the order they were made. What goes beyond a bound undoes all of them.
extension MilterChain {
    func apply(_ message: MilterLinkMessage, of link: MilterLink) -> Bool {
        guard !message.changes.isEmpty || message.newBody != nil else { return true }
        var made = MadeChanges(header, modifications, mailFacts?.sender ?? [], link)
        var view = message.view ?? made.header.view()
        for change in message.changes { make(change, &made, &view) }
        guard made.header.octets <= context.limits.headerMax,
            made.wanted.addedRecipients.count <= context.limits.recipientsMax
        else { return false }
        if let body = message.newBody {
            made.note(.bodyReplaced, after: Array("\(body.count) octets".utf8))
            made.wanted.body = body
            // Those that come after see the new one.
            if isKept, content.isComplete { content.replace(with: body) }
        }
        header = made.header
        modifications = made.wanted
        changes += made.changes.prefix(max(0, FilterChange.changesMax - changes.count))
        changeCount += made.count
        noteChanges(message, made.fields, of: link)
        return true
    }

    private func make(_ change: MilterChange, _ made: inout MadeChanges, _ view: inout MilterHeader.View) {
        switch change {
        case .addHeader(let name, let value):
            made.header.add(name, value, hasLeadingSpace: made.isSpaced, &view)
            made.noteField(.fieldAdded, name, after: value)
        case .insertHeader(let index, let name, let value):
            made.header.insert(index, name, value, hasLeadingSpace: made.isSpaced, &view)
            made.noteField(.fieldInserted, name, index, after: value)
        case .changeHeader(let index, let name, let value):
            switch made.header.change(index, name, value, hasLeadingSpace: made.isSpaced, &view) {
            case .added: made.noteField(.fieldAdded, name, after: value)
            case .changed(let was): made.noteField(.fieldChanged, name, index, before: was, after: value)
            case .removed(let was): made.noteField(.fieldRemoved, name, index, before: was)
            case .nothing: made.note(.notDone, name: name, index: index)
            }
        case .addRecipient(let recipient):
            add(recipient, to: &made.wanted)
            made.note(.recipientAdded, name: recipient.address.wire, after: recipient.shownParameters)
        case .removeRecipient(let address):
            remove(address, from: &made.wanted)
            made.note(.recipientRemoved, name: address.wire)
        case .changeSender(let sender):
            let before = made.wanted.sender.map { $0.address?.wire ?? [] } ?? made.sender
            made.wanted.sender = sender
            made.note(
                .senderChanged, name: sender.address?.wire ?? [], before: before, after: sender.shownParameters)
        case .quarantine(let reason):
            made.note(.quarantined, after: reason)
            // Said once or a thousand times: the recipients are gone through once for a filter.
            guard !made.hasQuarantined else { return }
            made.hasQuarantined = true
            let spared = domainsSpared(made.recipients)
            guard made.wanted.quarantine == nil else { return made.wanted.quarantineSpares.formIntersection(spared) }
            made.wanted.quarantineSpares = spared
            made.wanted.quarantine = Array("quarantined by ".utf8) + made.filter + Array(": ".utf8) + reason
        case .unusable, .notNegotiated: made.note(.notDone)
        case .replaceBody: break
        }
    }

    /// Domains with accepted recipients of which the filter was told of none; `told` are its own, by number.
    private func domainsSpared(_ told: Set<Int>) -> Set<[UInt8]> {
        guard told.count < accepted.count else { return [] }
        var (spared, heard): (Set<[UInt8]>, Set<[UInt8]>) = ([], [])
        for (i, address) in accepted.enumerated() {
            let domain = MailAddress(parsing: address)?.domain ?? []
            if told.contains(i) { heard.insert(domain) } else { spared.insert(domain) }
        }
        return spared.subtracting(heard)
    }

    /// One that was removed before stays on both lists: it is there, with new parameters.
    private func add(_ recipient: MilterRecipient, to wanted: inout MilterModifications) {
        if let i = wanted.addedRecipients.firstIndex(where: { $0.address.isSameRecipient(as: recipient.address) }) {
            wanted.addedRecipients[i] = recipient
        } else {
            wanted.addedRecipients.append(recipient)
        }
    }

    func remove(_ address: MailAddress, from wanted: inout MilterModifications) {
        wanted.addedRecipients.removeAll { $0.address.isSameRecipient(as: address) }
        if !wanted.removedRecipients.contains(where: { $0.isSameRecipient(as: address) }) {
            wanted.removedRecipients.append(address)
        }
    }

    private func noteChanges(_ message: MilterLinkMessage, _ fields: Int, of link: MilterLink) {
        var parts: [String] = []
        func count(_ what: String, _ isIt: (MilterChange) -> Bool) {
            let n = message.changes.count { isIt($0) }
            if n > 0 { parts.append("\(n) \(what)") }
        }
        if fields > 0 { parts.append("\(fields) header changes") }
        if let body = message.newBody { parts.append("a new body of \(body.count) octets") }
        count("recipients added") { if case .addRecipient = $0 { true } else { false } }
        count("recipients removed") { if case .removeRecipient = $0 { true } else { false } }
        count("change of the sender") { if case .changeSender = $0 { true } else { false } }
        count("wishes that cannot be done") { $0 == .unusable }
        count("wishes of kinds it did not negotiate, which are ignored") { $0 == .notNegotiated }
        if !parts.isEmpty {
            context.metrics.results.add(.modify)
            note(.modified, link, "changed the message: " + parts.joined(separator: ", "))
        }
        noteIgnored(message, of: link)
        for case .quarantine(let reason) in message.changes {
            context.metrics.results.add(.quarantine)
            note(.quarantined, link, "asks for quarantine: " + String(decoding: reason, as: UTF8.self))
            break
        }
    }

    /// Parameters of a wish that mean nothing here, or are none.
    private func noteIgnored(_ message: MilterLinkMessage, of link: MilterLink) {
        for change in message.changes {
            let (ignored, subject): ([UInt8], [UInt8])
            switch change {
            case .addRecipient(let wish): (ignored, subject) = (wish.ignored, wish.address.wire)
            case .changeSender(let wish): (ignored, subject) = (wish.ignored, wish.address?.wire ?? [])
            case .quarantine, .addHeader, .insertHeader, .changeHeader, .replaceBody, .removeRecipient, .unusable,
                .notNegotiated:
                continue
            }
            guard !ignored.isEmpty else { continue }
            let words = String(decoding: ignored, as: UTF8.self)
            note(.noted, link, "gave parameters that are not honoured: \(words)", subject: subject)
        }
    }
}

/// One filter's wishes as they are being done.
private struct MadeChanges {
    var header: MilterHeader
    var wanted: MilterModifications
    /// The sender as the client gave it.
    let sender: [UInt8]
    let filter: [UInt8]
    /// The accepted recipients it was told of.
    let recipients: Set<Int>
    /// It wants the message in quarantine.
    var hasQuarantined = false
    let isSpaced: Bool
    /// Of the header.
    private(set) var fields = 0
    private(set) var changes: [FilterChange] = []
    private(set) var count = 0

    init(_ header: MilterHeader, _ wanted: MilterModifications, _ sender: [UInt8], _ link: MilterLink) {
        self.header = header
        self.wanted = wanted
        self.sender = sender
        filter = link.server.name
        recipients = Set(link.recipients)
        isSpaced = link.session.keepsLeadingSpace
    }

    mutating func noteField(
        _ kind: FilterChange.Kind, _ name: [UInt8], _ index: Int = 0, before: [UInt8] = [], after: [UInt8] = []
    ) {
        fields += 1
        note(kind, name: name, index: index, before: before, after: after)
    }

    mutating func note(
        _ kind: FilterChange.Kind, name: [UInt8] = [], index: Int = 0, before: [UInt8] = [], after: [UInt8] = []
    ) {
        count += 1
        guard changes.count < FilterChange.changesMax else { return }
        changes.append(
            FilterChange(filter: filter, kind: kind, name: name, index: index, before: before, after: after))
    }
}

extension MilterRecipient {
    /// As a client would have written them.
    fileprivate var shownParameters: [UInt8] {
        var words: [String] = []
        if !recipient.notify.isEmpty { words.append("NOTIFY=" + recipient.notify.text) }
        if let orcpt = recipient.orcpt { words.append("ORCPT=" + String(decoding: orcpt, as: UTF8.self)) }
        return Array(words.joined(separator: " ").utf8)
    }
}

extension MilterSender {
    fileprivate var shownParameters: [UInt8] {
        var words: [String] = []
        if let ret { words.append(ret == .full ? "RET=FULL" : "RET=HDRS") }
        if let envid { words.append("ENVID=" + String(decoding: envid, as: UTF8.self)) }
        if isEightBit { words.append("BODY=8BITMIME") }
        if smtpUTF8 { words.append("SMTPUTF8") }
        if requireTLS { words.append("REQUIRETLS") }
        return Array(words.joined(separator: " ").utf8)
    }
}
