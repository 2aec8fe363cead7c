import Base
import Policy
import Protocols
import Telemetry

/// A filter's wishes, done to the message in the order they were made. What goes beyond a bound undoes all of them.
extension MilterChain {
    func apply(_ message: MilterLinkMessage, of link: MilterLink) -> Bool {
        guard !message.changes.isEmpty || message.newBody != nil else { return true }
        var made = header
        var wanted = modifications
        var view = message.view ?? made.view()
        let spaced = link.session.keepsLeadingSpace
        var fields = 0
        for change in message.changes {
            switch change {
            case .addHeader(let name, let value):
                made.add(name, value, hasLeadingSpace: spaced, &view)
                fields += 1
            case .insertHeader(let index, let name, let value):
                made.insert(index, name, value, hasLeadingSpace: spaced, &view)
                fields += 1
            case .changeHeader(let index, let name, let value):
                made.change(index, name, value, hasLeadingSpace: spaced, &view)
                fields += 1
            case .addRecipient(let address): add(address, to: &wanted)
            case .removeRecipient(let address): remove(address, from: &wanted)
            case .changeSender(let address): wanted.sender = address.map { .mailbox($0) } ?? .null
            case .quarantine(let reason): wanted.quarantine = wanted.quarantine ?? reason
            case .replaceBody, .unusable: break
            }
        }
        guard made.octets <= context.limits.headerMax, wanted.addedRecipients.count <= context.limits.recipientsMax
        else {
            return false
        }
        if let body = message.newBody {
            wanted.body = body
            // Those that come after see the new one.
            if isKept, content.isComplete {
                content.replace(with: body)
                keep(body.count)
            }
        }
        header = made
        modifications = wanted
        noteChanges(message, fields, of: link)
        return true
    }

    private func add(_ address: MailAddress, to wanted: inout MilterModifications) {
        wanted.removedRecipients.removeAll { $0 == address }
        if !wanted.addedRecipients.contains(address) { wanted.addedRecipients.append(address) }
    }

    func remove(_ address: MailAddress, from wanted: inout MilterModifications) {
        wanted.addedRecipients.removeAll { $0 == address }
        if !wanted.removedRecipients.contains(address) { wanted.removedRecipients.append(address) }
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
        if !parts.isEmpty {
            context.metrics.results.add(.modify)
            note(.modified, link, "changed the message: " + parts.joined(separator: ", "))
        }
        for case .quarantine(let reason) in message.changes {
            context.metrics.results.add(.quarantine)
            note(.quarantined, link, "asks for quarantine: " + String(decoding: reason, as: UTF8.self))
            break
        }
    }
}
