import Base
import Policy
import Protocols

/// A RCPT command on its way to its answer. What it waits for may take time, so the commands behind it wait in line:
/// answers, and the recipients they accept, keep their order.
struct RecipientCase {
    enum Stage {
        case arrived
        /// Known to the directory; what speaks against the client is being gathered.
        case known(ResolvedRecipient)
        /// The client may deliver; whether it has to come back later depends on who it is.
        case weighed(ResolvedRecipient, score: Int?)
        /// The filters of the listener are to be asked.
        case filtering(ResolvedRecipient)
        case asked
        case filtered(ResolvedRecipient, MilterVerdict)
        /// The answer is made and kept back for a while.
        case held(Answer)
    }

    let ticket: Ticket
    let address: MailAddress
    var stage = Stage.arrived
    /// When it began to wait for DNS.
    var waitsSince: Instant?

    init(ticket: Ticket, address: MailAddress) {
        self.ticket = ticket
        self.address = address
    }

    // RFC 5321 §4.5.1: postmaster is always reachable.
    var isPostmaster: Bool { Self.isPostmaster(address) }

    static func isPostmaster(_ address: MailAddress) -> Bool {
        address.localpart.count == postmaster.count
            && zip(address.localpart, postmaster).allSatisfy { $0 | 0x20 == $1 }
    }

    private static let postmaster = Array("postmaster".utf8)
}
