import CEpoll
import Handoff
import Protocols
import Store
import Synchronization

/// The spool thread: appends chunks of large bodies to the current segment and makes finished bodies durable, many with one
/// sync, before their rows go to the writer. Confined to its thread.
final class SpoolCore {
    private struct Open {
        let segment: SpoolSegment
        let file: any SpoolFile
        var length: Int64 = 0
        var isDirty = false
    }

    private struct Finish {
        let request: AcceptRequest
        let body: SpoolBody
        let completion: @Sendable (Result<MessageID, StoreError>) -> Void
    }

    private let shared: StoreShared
    private var current: Open?
    /// Full segments with octets no sync has covered yet.
    private var full: [Open] = []
    private var finished: [Finish] = []

    init(shared: StoreShared) { self.shared = shared }

    func run() {
        let inbox = shared.gateway.spool
        while true {
            let octets = turn()
            if !finished.isEmpty { syncAndForward() }
            if octets > 0 { continue }
            if shared.spoolStopping.load(ordering: .acquiring), inbox.depth == 0 { break }
            inbox.wait()
        }
        current?.segment.seal()
        current = nil
    }

    /// Takes in what is waiting, up to a bound, so that finished bodies get their sync. How much it took, in octets and
    /// messages.
    private func turn() -> Int {
        var taken = 0
        while taken < shared.options.spoolTurnOctetsMax, let message = shared.gateway.spool.next() {
            switch message {
            case .append(let body, let chunk, let done):
                append(chunk, to: body)
                taken += chunk.count + 1
                done()
            case .finish(let request, let completion):
                taken += 1
                if case .spooled(let body, _) = request.body {
                    finished.append(Finish(request: request, body: body, completion: completion))
                } else {
                    completion(.failure(.invalid("not a spooled body")))
                }
            case .wake: taken += 1
            }
        }
        return taken
    }

    private func append(_ chunk: [UInt8], to body: SpoolBody) {
        guard body.failure == nil, !chunk.isEmpty else { return }
        if shared.isDiskLow() { return body.fail(.unavailable(.diskFull)) }
        do throws(StoreError) {
            try openIfNeeded()
            guard let open = current else { return body.fail(.unavailable(.inputOutput)) }
            try open.file.write(chunk, at: open.length)
            let known = body.holds.contains { ($0 as? SpoolPin)?.segment === open.segment }
            body.record(
                SpoolExtent(segment: open.segment.number, offset: open.length, length: Int64(chunk.count)),
                hold: known ? nil : SpoolPin(open.segment))
            current?.length += Int64(chunk.count)
            current?.isDirty = true
            if open.length + Int64(chunk.count) >= Int64(shared.options.segmentOctetsMax) { retire() }
        } catch {
            body.fail(error)
            shared.observer?.writeFailed(error, requests: 1, detail: "spool append")
            // Its tail is in doubt. An empty segment has none: keep it, or a full disk would fill with empty files.
            if let open = current, open.length > 0 { retire() }
        }
    }

    private func openIfNeeded() throws(StoreError) {
        if current != nil { return }
        let segment = shared.spool.makeSegment()
        do throws(StoreError) {
            let file = try shared.options.openSegment(segment.path).get()
            try shared.spool.syncFolder()
            current = Open(segment: segment, file: file)
        } catch {
            segment.seal()
            throw error
        }
    }

    /// No more appends to the current segment; it stays open until a sync has covered it.
    private func retire() {
        guard let open = current else { return }
        open.segment.seal()
        if open.isDirty { full.append(open) }
        current = nil
    }

    /// One sync a segment for every body that is finished. A sync that fails fails every body that lies in the segment, now
    /// and later: the kernel reports a lost write only once.
    private func syncAndForward() {
        let start = mt_monotonic_ns()
        syncAll()
        var bodies = 0
        var octets = 0
        for finish in finished {
            if let error = failure(of: finish.body) {
                finish.body.fail(error)
                finish.completion(.failure(error))
                continue
            }
            finish.body.markDurable()
            bodies += 1
            octets += finish.request.size
            if !shared.gateway.writer.post(.accept(finish.request, finish.completion)) {
                finish.completion(.failure(.unavailable(.busy)))
            }
        }
        finished.removeAll(keepingCapacity: true)
        shared.observer?.bodiesSynced(
            bodies: bodies, octets: octets, seconds: StoreShared.seconds(from: start, to: mt_monotonic_ns()))
    }

    private func failure(of body: SpoolBody) -> StoreError? {
        if let known = body.failure { return known }
        let poisoned = body.holds.contains { ($0 as? SpoolPin)?.segment.isPoisoned ?? false }
        return poisoned ? .unavailable(.inputOutput) : nil
    }

    private func syncAll() {
        for open in full where !sync(open) { open.segment.poison() }
        full.removeAll()
        guard let open = current, open.isDirty else { return }
        if sync(open) {
            current?.isDirty = false
        } else {
            open.segment.poison()
            open.segment.seal()
            current = nil
        }
    }

    private func sync(_ open: Open) -> Bool {
        do throws(StoreError) {
            try open.file.sync()
            return true
        } catch {
            shared.observer?.writeFailed(error, requests: finished.count, detail: "spool sync")
            return false
        }
    }
}
