import Base
import Handoff
package import Policy
import Protocols
package import Store
import Synchronization

/// A store that keeps everything in memory and passes the same contract as the real ones.
///
/// Either `start` its thread, or drive it with `turn` (simulations). Never both. Faults: while `failing` is set every write
/// is answered with it.
package final class MemoryStore: Sendable {
    package let gateway: StoreGateway
    private let session = Mutex(MemorySession())
    private let failure = Mutex<StoreError?>(nil)
    private let stopping = Atomic<Bool>(false)
    private let thread = Mutex<ThreadHandle?>(nil)
    private let onDirectoryChanged: (@Sendable (DirectorySnapshot) -> Void)?

    package init(onDirectoryChanged: (@Sendable (DirectorySnapshot) -> Void)? = nil) {
        gateway = StoreGateway()
        self.onDirectoryChanged = onDirectoryChanged
    }

    /// What writes are answered with; nil: they work.
    package var failing: StoreError? {
        get { failure.withLock { $0 } }
        set { failure.withLock { $0 = newValue } }
    }

    package func start() {
        let handle = LoopThread.spawn("memory-store") { [self] in
            while true {
                if turn() { continue }
                if stopping.load(ordering: .acquiring) { break }
                // Three mailboxes, one thread: looks again now and then.
                gateway.writer.wait(timeoutMilliseconds: 1)
            }
        }
        thread.withLock { $0 = handle }
    }

    package func stop() {
        gateway.close()
        stopping.store(true, ordering: .releasing)
        thread.withLock {
            $0?.join()
            $0 = nil
        }
    }

    /// Does what is waiting. False: nothing was.
    package func turn() -> Bool {
        var worked = false
        while let message = gateway.spool.next() {
            worked = true
            spool(message)
        }
        while let message = gateway.writer.next() {
            worked = true
            write(message)
        }
        for inbox in gateway.readers {
            while let message = inbox.next() {
                worked = true
                if case .job(let job) = message { session.withLock { job.run($0) } }
            }
        }
        return worked
    }

    private func spool(_ message: SpoolMessage) {
        switch message {
        case .append(let body, let chunk, let done):
            body.record(
                SpoolExtent(segment: 1, offset: Int64(body.octets), length: Int64(chunk.count)),
                hold: MemoryChunk(chunk))
            done()
        case .finish(let request, let completion):
            if case .spooled(let body, _) = request.body { body.markDurable() }
            write(.accept(request, completion))
        case .wake: break
        }
    }

    private func write(_ message: WriterMessage) {
        let (answer, snapshot) = session.withLock { session -> (@Sendable () -> Void, DirectorySnapshot?) in
            let before = session.state
            let version = before.version
            do throws(StoreError) {
                if let failing { throw failing }
                let answer: @Sendable () -> Void
                switch message {
                case .accept(let request, let completion):
                    try session.accept(request)
                    answer = { completion(.success(request.id)) }
                case .job(let job): answer = try job.run(session)
                case .wake: answer = {}
                }
                session.publishUsage()
                return (answer, session.state.version == version ? nil : try session.loadSnapshot())
            } catch {
                session.state = before
                switch message {
                case .accept(_, let completion): return ({ completion(.failure(error)) }, nil)
                case .job(let job): return ({ job.fail(error) }, nil)
                case .wake: return ({}, nil)
                }
            }
        }
        if let snapshot { onDirectoryChanged?(snapshot) }
        answer()
    }
}

/// A chunk of a large body, kept by the body itself.
final class MemoryChunk: Sendable {
    let bytes: [UInt8]
    init(_ bytes: [UInt8]) { self.bytes = bytes }
}
