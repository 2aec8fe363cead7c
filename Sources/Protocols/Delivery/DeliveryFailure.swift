import Base

/// Why one recipient was not reached by one attempt: what bounces, the queue and `explain` say of it. Texts are octets as
/// they came (a reply's lines parted by LF), bounded by `textMax`; whoever prints them makes them safe.
package struct DeliveryFailure: Sendable, Hashable {
    /// Octets of `text` that are kept.
    package static let textMax = 1_000

    package enum Permanence: String, Sendable, Hashable, CaseIterable {
        /// Trying again may help.
        case temporary
        /// It will not.
        case permanent
    }

    /// What gave the answer.
    package enum Source: String, Sendable, Hashable, CaseIterable {
        /// The remote server's reply.
        case remote
        /// DNS: no answer, or one that says nobody can be reached.
        case dns
        /// The connection: refused, timed out, broken off.
        case network
        /// Transport security that was asked for and not there.
        case tls
        /// This server: expired, too big, loop, not writable.
        case local
    }

    package var permanence: Permanence
    package var source: Source
    /// RFC 3463; its class agrees with `permanence`.
    package var status: EnhancedStatus
    /// The remote's reply code, when it replied.
    package var code: UInt16?
    /// The remote's words, or ours.
    package var text: [UInt8]
    /// The host that said it, when there was one.
    package var host: [UInt8]

    package init(
        _ permanence: Permanence, _ source: Source, _ status: EnhancedStatus, code: UInt16? = nil, text: [UInt8],
        host: [UInt8] = []
    ) {
        self.permanence = permanence
        self.source = source
        self.status = status
        self.code = code
        self.text = Array(text.prefix(Self.textMax))
        self.host = host
    }
}
