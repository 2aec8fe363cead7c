import Base
import Protocols
import Reactor
import Store

/// How a body goes out: in one write when it is at hand and small, else slice by slice as the peer takes them.
extension OutboundConnection {
    static let unreadable = DeliveryFailure(
        .temporary, .local, EnhancedStatus(4, 3, 0), text: Array("the message could not be read".utf8))

    /// Octets written at once at most.
    private static let wholeMax = 196_608

    func writeBody(_ c: Connection) {
        guard let run else { return }
        var stuffer = DotStuffer()
        worker.scratch.removeAll(keepingCapacity: true)
        stuffer.append(run.content.head.span, to: &worker.scratch)
        if case .memory(let bytes) = run.content.body, run.content.size <= Self.wholeMax {
            stuffer.append(bytes.span, to: &worker.scratch)
            stuffer.finish(to: &worker.scratch)
            c.write(worker.scratch)
            return session.bodyWritten()
        }
        c.write(worker.scratch)
        pump = BodyPump(stuffer: stuffer)
        pumpBody(c)
    }

    /// Writes the next slice when the one before has left; asks for the one after it.
    func pumpBody(_ c: Connection) {
        guard let run, pump != nil, pendingChunk == nil else { return }
        switch run.content.body {
        case .memory(let bytes): pumpMemory(bytes, c)
        case .stored(let id, let size): pumpStored(run, id, size, c)
        }
    }

    private func pumpMemory(_ bytes: [UInt8], _ c: Connection) {
        guard let current = pump, current.isDrained else { return }
        let end = min(bytes.count, current.offset + worker.options.sliceBytes)
        write(bytes.span.extracting(current.offset..<end), isLast: end == bytes.count, c)
    }

    private func pumpStored(_ run: OutboundJob, _ id: MessageID, _ size: Int, _ c: Connection) {
        if let slice = pump?.slice, pump?.isDrained == true {
            pump?.slice = nil
            write(slice.span, isLast: (pump?.offset ?? 0) + slice.count >= size, c)
        }
        guard let current = pump, current.slice == nil, !current.isReading else { return }
        pump?.isReading = true
        askSlice(run, id, current.offset, min(worker.options.sliceBytes, size - current.offset))
    }

    private func write(_ slice: Span<UInt8>, isLast: Bool, _ c: Connection) {
        worker.scratch.removeAll(keepingCapacity: true)
        pump?.stuffer.append(slice, to: &worker.scratch)
        if isLast { pump?.stuffer.finish(to: &worker.scratch) }
        c.write(worker.scratch)
        pump?.offset += slice.count
        pump?.isDrained = false
        guard isLast else { return }
        pump = nil
        session.bodyWritten()
        serve(c)
    }

    private func askSlice(_ run: OutboundJob, _ id: MessageID, _ offset: Int, _ most: Int) {
        guard let token = connection?.token else { return }
        worker.read(run, id, from: offset, most: most) { worker, run, bytes in
            guard let c = worker.reactor.connection(for: token), let driver = c.driver as? OutboundConnection,
                driver.run === run
            else { return }
            driver.tookSlice(bytes, most, c)
        }
    }

    /// The store answered while a body is being sent.
    private func tookSlice(_ bytes: [UInt8]?, _ wanted: Int, _ c: Connection) {
        guard c.isOpen else { return }
        guard let bytes, bytes.count == wanted else {
            // Half a message must not get its final dot.
            ownFailure = Self.unreadable
            return c.close()
        }
        if let range = pendingChunk { return finishChunk(range, bytes, c) }
        pump?.isReading = false
        pump?.slice = bytes
        pumpBody(c)
    }

    // MARK: BDAT

    /// RFC 3030 §2: the octets as they are.
    func writeChunk(_ range: Range<Int>, _ c: Connection) {
        guard let run else { return }
        // What is under way is bounded by a chunk, not by the message.
        guard isChunkDrained else {
            waitingChunk = range
            return
        }
        isChunkDrained = range.isEmpty
        let head = run.content.head
        if range.lowerBound < head.count {
            c.write(head.span.extracting(range.lowerBound..<min(range.upperBound, head.count)))
        }
        let from = max(0, range.lowerBound - head.count)
        let to = max(0, range.upperBound - head.count)
        switch run.content.body {
        case .memory(let bytes):
            if from < to { c.write(bytes.span.extracting(from..<min(to, bytes.count))) }
            session.bodyWritten()
        case .stored(let id, _):
            guard from < to else { return session.bodyWritten() }
            pendingChunk = range
            askSlice(run, id, from, to - from)
        }
    }

    private func finishChunk(_ range: Range<Int>, _ bytes: [UInt8], _ c: Connection) {
        pendingChunk = nil
        isChunkDrained = bytes.isEmpty
        c.write(bytes)
        session.bodyWritten()
        serve(c)
    }

    /// What was written has left: the chunk that waited for it goes.
    func chunkDrained(_ c: Connection) {
        isChunkDrained = true
        guard let range = waitingChunk else { return }
        waitingChunk = nil
        writeChunk(range, c)
        serve(c)
    }
}
