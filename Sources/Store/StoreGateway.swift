package import Handoff
package import Protocols
import Synchronization

/// What reactors hold of the store. Every call only posts to a mailbox and returns; answers come by the completion, on a
/// store thread, which must do no more than post to its owner's mailbox.
///
/// Shareable: mailboxes and atomics. Bounded by the mailboxes' capacities; a full one is answered with false.
package final class StoreGateway: Sendable {
    package let writer: Mailbox<WriterMessage>
    package let spool: Mailbox<SpoolMessage>
    package let readers: [Mailbox<ReaderMessage>]
    private let nextReader = Atomic<Int>(0)
    private let closed = Atomic<Bool>(false)
    private let full = Atomic<Bool>(false)

    package static let writerCapacityUsual = 8_192

    package init(
        writerCapacity: Int = writerCapacityUsual, spoolCapacity: Int = 4096, readerCapacity: Int = 4096,
        readers: Int = 1
    ) {
        writer = Mailbox(capacity: writerCapacity)
        spool = Mailbox(capacity: spoolCapacity)
        self.readers = (0..<max(1, readers)).map { _ in Mailbox(capacity: readerCapacity) }
    }

    /// Keeps a message; the completion comes after it is on disk. False: the inbox is full (452 4.3.1), no completion
    /// will come.
    package func accept(
        _ request: AcceptRequest, completion: @escaping @Sendable (Result<MessageID, StoreError>) -> Void
    ) -> Bool {
        guard !isClosed else { return false }
        if case .spooled = request.body { return spool.post(.finish(request, completion)) }
        return writer.post(.accept(request, completion))
    }

    /// A new large body, or nil when the disk is short or the store stopped.
    package func openBody() -> SpoolBody? {
        isClosed || isDiskLow ? nil : SpoolBody(inbox: spool)
    }

    /// Runs a change in the writer's group commit. See `WriterJob.run` for what `job` must not do.
    package func write<T: Sendable>(
        _ job: @escaping @Sendable (any StoreWriterSession) throws(StoreError) -> T,
        completion: @escaping @Sendable (Result<T, StoreError>) -> Void
    ) -> Bool {
        guard !isClosed else { return false }
        return writer.post(
            .job(
                WriterJob(
                    run: { (session) throws(StoreError) in
                        let value = try job(session)
                        return { completion(.success(value)) }
                    },
                    fail: { completion(.failure($0)) })))
    }

    /// Runs a question on a reader thread.
    package func read<T: Sendable>(
        _ job: @escaping @Sendable (any StoreReaderSession) throws(StoreError) -> T,
        completion: @escaping @Sendable (Result<T, StoreError>) -> Void
    ) -> Bool {
        guard !isClosed else { return false }
        let index = readers.count == 1 ? 0 : nextReader.add(1, ordering: .relaxed).oldValue % readers.count
        return readers[index].post(
            .job(
                ReaderJob(
                    run: { session in
                        do throws(StoreError) {
                            completion(.success(try job(session)))
                        } catch {
                            completion(.failure(error))
                        }
                    },
                    fail: { completion(.failure($0)) })))
    }

    /// Whether the last look at the disk found less free space than the store wants.
    package var isDiskLow: Bool { full.load(ordering: .relaxed) }

    // For the back-end.

    package var isClosed: Bool { closed.load(ordering: .acquiring) }
    package func close() { closed.store(true, ordering: .releasing) }
    package func setDiskLow(_ low: Bool) { full.store(low, ordering: .relaxed) }
}
