import Protocols

/// The enhanced status of a reply, its class agreeing with what the failure is treated as. Pure; `FailureClassifier`
/// calls it.
enum StatusDerivation {
    static func status(
        of reply: ServerReply, at stage: ClientStage, _ permanence: DeliveryFailure.Permanence
    ) -> EnhancedStatus {
        let category: UInt8 = permanence == .permanent ? 5 : 4
        // RFC 2034 §4: the class of the status agrees with the code's first digit; where we downgrade, we downgrade both.
        if let given = reply.status, given.statusClass != 2 {
            return EnhancedStatus(category, given.subject, given.detail)
        }
        let (subject, detail) = derived(reply.code, stage)
        return EnhancedStatus(category, subject, detail)
    }

    /// For servers without RFC 2034: what their codes mean where they were said; x.0.0 where that is open.
    // RFC 3463 §3
    private static func derived(_ code: UInt16, _ stage: ClientStage) -> (UInt16, UInt16) {
        let isRecipient = stage == .recipient
        switch code {
        case 421: return (3, 2)
        case 450 where isRecipient: return (2, 0)
        case 451: return (3, 0)
        case 452: return isRecipient ? (5, 3) : (3, 1)
        case 500: return (5, 2)
        case 501: return isRecipient ? (1, 3) : stage == .sender ? (1, 7) : (5, 4)
        case 502, 503: return (5, 1)
        case 504, 555: return (5, 4)
        // RFC 7504 §3: the host takes no mail.
        case 521: return (3, 2)
        case 530: return (7, 0)
        case 535: return (7, 8)
        case 550 where isRecipient: return (1, 1)
        case 551 where isRecipient: return (1, 6)
        case 552: return isRecipient ? (5, 3) : (3, 4)
        case 553: return isRecipient ? (1, 3) : stage == .sender ? (1, 7) : (0, 0)
        // RFC 7504 §4: the domain takes no mail.
        case 556: return (1, 10)
        default: return (0, 0)
        }
    }
}
