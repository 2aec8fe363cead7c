import Base
import Policy
import Protocols

/// Who gets a message after its filters took recipients away and added others. A value made at the end of the message;
/// bounded by the session's recipients and `MilterLimits.recipientsMax`.
struct FilteredRecipients {
    /// An added recipient that cannot be had. Nothing of the message may be taken then: it would be lost where the filter
    /// sends it.
    struct Failure: Equatable {
        let address: [UInt8]
        let reply: Reply
        /// For `explain`.
        let why: String
    }

    private(set) var envelope: [EnvelopeRecipient]
    private(set) var resolved: [ResolvedRecipient]
    /// The first one; the rest was not looked at.
    private(set) var failure: Failure?

    init(_ envelope: [EnvelopeRecipient], _ resolved: [ResolvedRecipient]) {
        self.envelope = envelope
        self.resolved = resolved
    }

    /// `size`: what came, for front ends, which are told by how much a mailbox is too small.
    mutating func apply(
        _ changes: MilterModifications, _ directory: DirectorySnapshot, isFrontEnd: Bool, size: Int
    ) {
        let removed = Set(changes.removedRecipients.map(\.key))
        remove(removed.subtracting(changes.addedRecipients.map(\.address.key)))
        var places: [[UInt8]: Int] = [:]
        for (i, recipient) in envelope.enumerated() where places[recipient.address.key] == nil {
            places[recipient.address.key] = i
        }
        for wish in changes.addedRecipients {
            if let i = places[wish.address.key] {
                replace(i, with: wish.recipient, isFresh: removed.contains(wish.address.key))
                continue
            }
            switch Self.look(up: wish.address, directory, isFrontEnd: isFrontEnd, size: size) {
            case .success(let found):
                places[wish.address.key] = envelope.count
                envelope.append(wish.recipient)
                resolved.append(found)
            case .failure(let failure):
                self.failure = failure
                return
            }
        }
    }

    private mutating func remove(_ gone: Set<[UInt8]>) {
        guard !gone.isEmpty else { return }
        let kept = envelope.indices.filter { !gone.contains(envelope[$0].address.key) }
        resolved = kept.filter { $0 < resolved.count }.map { resolved[$0] }
        envelope = kept.map { envelope[$0] }
    }

    /// One that is there already has the parameters of the wish: those it came with when it gives none, unless it was taken
    /// away first.
    private mutating func replace(_ i: Int, with recipient: EnvelopeRecipient, isFresh: Bool) {
        guard isFresh || !recipient.notify.isEmpty || recipient.orcpt != nil else { return }
        envelope[i].notify = recipient.notify
        envelope[i].orcpt = recipient.orcpt
    }

    private enum Found {
        case success(ResolvedRecipient)
        case failure(Failure)
    }

    /// A filter of ours may send a copy anywhere, but where it may not arrive.
    private static func look(
        up address: MailAddress, _ directory: DirectorySnapshot, isFrontEnd: Bool, size: Int
    ) -> Found {
        func fails(_ reply: Reply, _ why: String) -> Found {
            .failure(Failure(address: address.wire, reply: reply, why: why))
        }
        switch directory.resolve(
            localpart: address.localpart, domain: address.domain, declaredSize: isFrontEnd ? size : 0)
        {
        case .deliver(let accounts, let forwards):
            // RFC 2033 §1: no queue.
            if isFrontEnd, !forwards.isEmpty || accounts.isEmpty {
                return fails(StoreReplies.filterLeadsElsewhere, "it leads to other servers, where LMTP sends nothing")
            }
            return .success(ResolvedRecipient(accounts: accounts, forwards: forwards))
        case .notLocal:
            guard !isFrontEnd else {
                return fails(StoreReplies.filterLeadsElsewhere, "it is on another server, where LMTP sends nothing")
            }
            return .success(ResolvedRecipient(isRemote: true))
        case .unknown: return fails(StoreReplies.filterTargetUnknown, "there is no such mailbox here")
        case .disabled: return fails(StoreReplies.filterTargetDisabled, "the account is disabled")
        case .overQuota(let how): return fails(StoreReplies.filterTargetFull(how), "its mailbox is full")
        case .aliasLoop:
            return fails(StoreReplies.filterTargetLoops, "aliases lead to each other, or through too many others")
        }
    }
}

extension MailAddress {
    /// Under which two spellings of one recipient are the same.
    fileprivate var key: [UInt8] { ASCII.lowercased(wire) }

    /// Whether filters mean the same recipient by both: case does not count, as in the directory.
    func isSameRecipient(as other: MailAddress) -> Bool {
        ASCII.equalIgnoringCase(localpart, other.localpart) && ASCII.equalIgnoringCase(domain, other.domain)
    }
}
