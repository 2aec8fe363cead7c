package import Base
package import Protocols

/// One entry of the ledger.
package enum LedgerRecord: Sendable {
    case decision(DecisionRecord)
    case connection(ConnectionRecord)
    case attempt(AttemptRecord)

    /// Octets of a record.
    package static let octetsMax = LedgerBounds.octets

    /// What `encoded()` of one of the three made. nil: something else; never more than that, whatever the bytes are.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count <= LedgerBounds.octets, let head = LedgerHead(bytes) else { return nil }
        let record: LedgerRecord? =
            switch head.kind {
            case .decision: DecisionRecord(head, bytes).map { .decision($0) }
            case .connection: ConnectionRecord(head, bytes).map { .connection($0) }
            case .attempt: AttemptRecord(head, bytes).map { .attempt($0) }
            }
        guard let record else { return nil }
        self = record
    }

    package func encoded() -> [UInt8] {
        switch self {
        case .decision(let record): record.encoded()
        case .connection(let record): record.encoded()
        case .attempt(let record): record.encoded()
        }
    }

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
