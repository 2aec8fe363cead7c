import Base

/// Replies in the order of their commands. A slot whose answer is not known holds back all behind it; only RCPT makes
/// such slots, because only RCPT may be overtaken (RFC 2920 §3.1). Bound: `SMTPLimits.heldReplies`.
struct ReplyQueue {
    enum Slot {
        case ready(Reply)
        case waiting(Ticket, EnvelopeRecipient)
        case accepted(EnvelopeRecipient)
    }

    private var slots: [Slot] = []
    private(set) var waitingCount = 0

    var isEmpty: Bool { slots.isEmpty }
    var count: Int { slots.count }

    mutating func hold(_ reply: Reply) { slots.append(.ready(reply)) }

    mutating func wait(for ticket: Ticket, recipient: EnvelopeRecipient) {
        slots.append(.waiting(ticket, recipient))
        waitingCount += 1
    }

    /// The recipient in question under `ticket`.
    func recipient(of ticket: Ticket) -> EnvelopeRecipient? {
        for case .waiting(ticket, let recipient) in slots { return recipient }
        return nil
    }

    /// False when no slot waits for `ticket`.
    mutating func fill(_ ticket: Ticket, refusal: Reply?) -> Bool {
        for i in slots.indices {
            guard case .waiting(let waiting, let recipient) = slots[i], waiting == ticket else { continue }
            slots[i] = refusal.map { .ready($0) } ?? .accepted(recipient)
            waitingCount -= 1
            return true
        }
        return false
    }

    /// Takes out the ready prefix, in order.
    mutating func takeReady() -> [Slot] {
        var n = 0
        scan: while n < slots.count {
            switch slots[n] {
            case .waiting: break scan
            case .ready, .accepted: n += 1
            }
        }
        if n == slots.count {
            let all = slots
            slots = []
            return all
        }
        let ready = Array(slots[..<n])
        slots.removeFirst(n)
        return ready
    }

    mutating func removeAll() {
        slots = []
        waitingCount = 0
    }
}
