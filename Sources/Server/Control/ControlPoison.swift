import Base
package import Protocols

/// What `poison …` asks, and how far it has come.
package struct ControlPoison: Sendable, Equatable {
    package enum Verb: String, Sendable, CaseIterable {
        case list, show, raw, release, delete, forget
    }

    package var verb: Verb
    /// nil for `list`.
    package var id: MessageID?

    // How far it has come; never on the wire.
    /// Of the octets shown.
    var offset = 0
    var stage = Stage.look
    /// Mailboxes and queue rows it was given to.
    var mailboxes = 0
    var rows = 0

    /// Of a release.
    enum Stage: Sendable, Equatable {
        /// Where the message is.
        case look
        /// It is set aside: the store is to get it.
        case accept
        /// It is held in the queue.
        case unhold
        /// The store has it: the files may go, and the queue be told.
        case stored
    }

    package init(_ verb: Verb, _ id: MessageID? = nil) {
        self.verb = verb
        self.id = id
    }
}

// MARK: Wire form

extension ControlPoison {
    var fields: [[UInt8]] { [Array(verb.rawValue.utf8)] + (id.map { [$0.text] } ?? []) }

    init?(_ fields: [[UInt8]]) {
        guard let first = fields.first, let verb = Verb(rawValue: String(decoding: first, as: UTF8.self)),
            fields.count == (verb == .list ? 1 : 2)
        else { return nil }
        self.init(verb)
        if fields.count == 2 {
            guard let id = MessageID(text: fields[1]) else { return nil }
            self.id = id
        }
    }
}
