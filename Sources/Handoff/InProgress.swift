import CEpoll

/// What the running thread works on, noted where it outlives the process: when one dies of a fault of its own, the message
/// it was at is known at the next start. Set and cleared by the drivers; costs a copy of 80 octets and takes no lock. Does
/// nothing until `InProgressTable` has mapped the file.
package enum InProgress {
    /// What a fingerprint is of.
    package enum Kind: UInt32, Sendable, CaseIterable {
        /// A message that is being received: its sender and header.
        case inbound = 1
        /// A queued message that is being sent: its id.
        case delivery
        /// A stored message that is being read for a report about it: its id.
        case report
        /// A transaction before its message: the client's network, its HELO name and the sender.
        case envelope
    }

    package static func begin(_ kind: Kind, _ fingerprint: Fingerprint, label: [UInt8]) {
        withUnsafeBytes(of: fingerprint.words) { bytes in
            guard let start = bytes.baseAddress else { return }
            _ = mt_slot_begin(kind.rawValue, start.assumingMemoryBound(to: UInt8.self), label, label.count)
        }
    }

    /// The thread is done with it, or leaves it until something comes. A reactor says so after every event.
    package static func end() { mt_slot_end() }
}

/// What a thread will have to note when it goes on with a message: the kind, the name and a word for people.
package struct ProgressMark: Sendable {
    package let kind: InProgress.Kind
    package let fingerprint: Fingerprint
    package let label: [UInt8]

    package init(_ kind: InProgress.Kind, _ fingerprint: Fingerprint, label: [UInt8]) {
        self.kind = kind
        self.fingerprint = fingerprint
        self.label = label
    }

    package func begin() { InProgress.begin(kind, fingerprint, label: label) }
}

/// 32 octets that name a message by what came of it, without any of its parts being looked at.
package struct Fingerprint: Sendable, Hashable {
    package static let octets = 32
    var words: (UInt64, UInt64, UInt64, UInt64)

    /// What is missing to 32 octets is zero, what is beyond is left out.
    package init(_ bytes: [UInt8]) {
        words = (0, 0, 0, 0)
        withUnsafeMutableBytes(of: &words) { $0.copyBytes(from: bytes.prefix(Self.octets)) }
    }

    package var bytes: [UInt8] { withUnsafeBytes(of: words) { Array($0) } }

    package static func == (a: Fingerprint, b: Fingerprint) -> Bool {
        a.words.0 == b.words.0 && a.words.1 == b.words.1 && a.words.2 == b.words.2 && a.words.3 == b.words.3
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
    }
}
