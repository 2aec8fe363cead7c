package import Protocols

extension DecisionRecord {
    /// Most recipients kept.
    package static let recipientsMax = 100

    /// For `LedgerWriter.record`. A few microseconds; on the loop that made it.
    package func encoded() -> [UInt8] { [] }
}

extension ConnectionRecord {
    package func encoded() -> [UInt8] { [] }
}

extension AttemptRecord {
    /// For `LedgerWriter.record`.
    package func encoded() -> [UInt8] { [] }
}
