/// One change that a mail filter made to a message, or wanted and did not get. Made by the filters' driver; texts are cut to
/// `textMax`, a record holds `changesMax` of them.
package struct FilterChange: Sendable, Hashable {
    package static let changesMax = 64
    package static let textMax = 256

    package enum Kind: String, Sendable, Hashable, CaseIterable {
        case fieldAdded = "field_added"
        case fieldInserted = "field_inserted"
        case fieldChanged = "field_changed"
        case fieldRemoved = "field_removed"
        case bodyReplaced = "body_replaced"
        case recipientAdded = "recipient_added"
        case recipientRemoved = "recipient_removed"
        case senderChanged = "sender_changed"
        case quarantined
        /// A wish that cannot be done.
        case notDone = "not_done"
    }

    /// The filter's name.
    package var filter: [UInt8]
    package var kind: Kind
    /// The field's name; the recipient; the new sender.
    package var name: [UInt8]
    /// Where a field was put, or which of its name it was, as the filter counts; 0: not said.
    package var index: Int
    /// The field's value, or the sender, as it was.
    package var before: [UInt8]
    /// The field's value now; the ESMTP parameters of an address; the reason of a quarantine; the size of a body.
    package var after: [UInt8]

    package init(
        filter: [UInt8], kind: Kind, name: [UInt8] = [], index: Int = 0, before: [UInt8] = [], after: [UInt8] = []
    ) {
        self.filter = filter
        self.kind = kind
        self.name = Self.cut(name)
        self.index = max(0, index)
        self.before = Self.cut(before)
        self.after = Self.cut(after)
    }

    private static func cut(_ text: [UInt8]) -> [UInt8] { text.count <= textMax ? text : Array(text.prefix(textMax)) }
}
