package import Protocols

/// What the writer thread is asked.
package enum WriterMessage: Sendable {
    case accept(AcceptRequest, @Sendable (Result<MessageID, StoreError>) -> Void)
    case job(WriterJob)
    /// Look at the flags.
    case wake
}

/// What the spool thread is asked.
package enum SpoolMessage: Sendable {
    case append(SpoolBody, [UInt8], @Sendable () -> Void)
    /// Make the body durable, then hand the request on to the writer.
    case finish(AcceptRequest, @Sendable (Result<MessageID, StoreError>) -> Void)
    case wake
}

/// What a reader thread is asked.
package enum ReaderMessage: Sendable {
    case job(ReaderJob)
    case wake
}

/// A change that runs in the writer's group commit. `run` may run twice (a batch in which another request failed is done
/// again), so it must have no effect outside the session it is given.
package struct WriterJob: Sendable {
    /// Applies the change; what it returns tells the asker so, after the commit.
    package let run: @Sendable (any StoreWriterSession) throws(StoreError) -> (@Sendable () -> Void)
    package let fail: @Sendable (StoreError) -> Void
}

/// A question to a reader; answers by itself.
package struct ReaderJob: Sendable {
    package let run: @Sendable (any StoreReaderSession) -> Void
    package let fail: @Sendable (StoreError) -> Void
}
