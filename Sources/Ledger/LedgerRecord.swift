package import Base
package import Protocols

/// One entry of the ledger.
package enum LedgerRecord: Sendable {
    case decision(DecisionRecord)
    case connection(ConnectionRecord)
    case attempt(AttemptRecord)

    /// The message or session it belongs to; a message has one decision and any number of attempts.
    package var id: MessageID {
        switch self {
        case .decision(let record): record.id
        case .connection(let record): record.id
        case .attempt(let record): record.message
        }
    }

    package var time: WallTime {
        switch self {
        case .decision(let record): record.time
        case .connection(let record): record.time
        case .attempt(let record): record.began
        }
    }
}
