import Base
import Policy
import Protocols
import Store

/// The message that tells postmaster what was set aside or held, how to look at it and what to do. Plain text, made here
/// from ids and addresses only: nothing of the message itself is in it.
enum PoisonReport {
    case setAside(PoisonedMessage)
    /// Queued mail: its id and its sender, and how many recipients wait.
    case held(MessageID, sender: [UInt8], recipients: Int, DeathRegister.Entry)
    /// Transactions that are put off at MAIL, and the name by which that can be ended.
    case refused(MessageID, DeathRegister.Entry)

    private static let recipientsShown = 20

    private var id: MessageID {
        switch self {
        case .setAside(let message): message.id
        case .held(let id, _, _, _), .refused(let id, _): id
        }
    }

    /// nil: no mailbox here is postmaster's.
    func request(
        id: MessageID, hostname: [UInt8], directory: DirectorySnapshot, now: WallTime
    ) -> AcceptRequest? {
        // RFC 5321 §4.5.1: somebody reads it.
        let postmaster = Array("postmaster".utf8)
        guard
            case .deliver(let accounts, let forwards) = directory.resolve(
                localpart: postmaster, domain: [], declaredSize: 0)
        else { return nil }
        let address = postmaster + [ASCII.at] + hostname
        return AcceptRequest(
            id: id, received: now, sender: [], trace: [],
            body: .inline(text(id, hostname, now)), envelope: EnvelopeRecord().encoded(),
            local: accounts.map { LocalDelivery(account: $0, recipient: address) },
            remote: forwards.map { RemoteRecipient(address: $0) })
    }

    private func text(_ own: MessageID, _ hostname: [UInt8], _ now: WallTime) -> [UInt8] {
        let host = ControlText.shown(hostname)
        let name = String(decoding: id.text, as: UTF8.self)
        var out = Array("Date: ".utf8)
        DateTime(now).append(to: &out)
        let head = [
            "", "From: Martlet <postmaster@\(host)>", "To: <postmaster@\(host)>", "Subject: \(subject) (\(name))",
            // RFC 3834 §5
            "Message-ID: <poison.\(String(decoding: own.text, as: UTF8.self))@\(host)>",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", "", "",
        ]
        out += Array((head + lines(name)).joined(separator: "\r\n").utf8)
        return out + [ASCII.cr, ASCII.lf]
    }

    private var subject: String {
        switch self {
        case .setAside: "A message was set aside: it ends the server"
        case .held: "Queued mail is held: sending it ends the server"
        case .refused: "A sender is put off: its mail ends the server"
        }
    }

    private func lines(_ name: String) -> [String] {
        switch self {
        case .setAside(let message):
            let shown = message.recipients.prefix(Self.recipientsShown).map { "  <\(ControlText.shown($0.address))>" }
            let more = message.recipients.count - shown.count
            return [
                "The server process died \(message.deaths) times (\(SignalName.of(message.signal))) while it worked on a",
                "message with the sender and the header of this one. It was taken unread and is kept as",
                "it came. Its recipients do not have it; its sender believes that they do.", "", "id:      \(name)",
                "from:    <\(ControlText.shown(message.sender))>", "client:  \(ControlText.shown(message.peer))",
                "octets:  \(message.octets)", "to:",
            ] + shown + (more > 0 ? ["  and \(more) more"] : []) + [
                "", "Look at it:           martlet poison show \(name)",
                "See its octets:       martlet poison show \(name) --raw",
                "Give it to them all:  martlet poison release \(name)",
                "Throw it away:        martlet poison delete \(name) --yes", "",
                "It is a fault of the server that a message can do this. Please report it, if you may",
                "with the message.",
            ]
        case .refused(_, let entry):
            return [
                "The server process died \(entry.deaths) times (\(SignalName.of(entry.signal))) while a client introduced this",
                "sender or was looked up in DNS. The sender's mail from that client's network is put off", "with 451.",
                "",
                "id:      \(name)", "from:    <\(ControlText.shown(entry.label))>", "",
                "Let it in again:  martlet poison forget \(name)", "",
                "It is a fault of the server that a client can do this. Please report it.",
            ]
        case .held(_, let sender, let recipients, let entry):
            return [
                "The server process died \(entry.deaths) times (\(SignalName.of(entry.signal))) while it sent this message,",
                "or wrote a report about it. Everything else in the queue goes on; this message is held.", "",
                "id:         \(name)", "from:       <\(ControlText.shown(sender))>", "recipients: \(recipients)", "",
                "Look at it:     martlet queue show \(name)", "Try it again:   martlet poison release \(name)",
                "Throw it away:  martlet queue delete --id \(name)", "",
                "It is a fault of the server that a message can do this. Please report it, if you may",
                "with the message.",
            ]
        }
    }
}
