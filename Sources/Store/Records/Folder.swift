/// A folder of an account. The first six are the same in every account; folders a user makes start at `firstCustom`.
package struct FolderID: Sendable, Hashable, Comparable {
    package let rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }

    package static let inbox = FolderID(rawValue: 1)
    package static let sent = FolderID(rawValue: 2)
    package static let drafts = FolderID(rawValue: 3)
    package static let junk = FolderID(rawValue: 4)
    package static let trash = FolderID(rawValue: 5)
    package static let archive = FolderID(rawValue: 6)
    package static let firstCustom: Int64 = 100

    package static let standard: [(FolderID, String)] = [
        (.inbox, "Inbox"), (.sent, "Sent"), (.drafts, "Drafts"), (.junk, "Junk"), (.trash, "Trash"),
        (.archive, "Archive"),
    ]

    package static func < (a: FolderID, b: FolderID) -> Bool { a.rawValue < b.rawValue }
}

package struct Folder: Sendable, Hashable {
    package let id: FolderID
    package let name: String
    package let messages: Int

    package init(id: FolderID, name: String, messages: Int) {
        self.id = id
        self.name = name
        self.messages = messages
    }
}
