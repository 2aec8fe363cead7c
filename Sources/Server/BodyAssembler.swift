import Base
import Protocols
import Store

/// Where a session writes the body it is receiving: in memory while it is small, then chunk by chunk to the spool, so that
/// a connection never holds more than `SpoolBody.chunkMax` of it and the chunks under way.
///
/// Owned by one `SMTPConnection`, on its loop's thread.
struct BodyAssembler: BodySink {
    /// What `take` hands on: the body as the store wants it.
    enum Outcome {
        case body(AcceptRequest.Body)
        /// The store took a chunk badly or has no room.
        case unavailable
    }

    /// Bodies up to here are kept in the message's row.
    let inlineMax: Int
    private let gateway: StoreGateway
    /// Called on a store thread each time a chunk has been written.
    private let chunkDone: @Sendable () -> Void
    private var buffer: [UInt8] = []
    private var spool: SpoolBody?
    private(set) var octets = 0
    /// Of them in memory here.
    var bufferedOctets: Int { buffer.count }
    private(set) var chunksUnderWay = 0
    private var failed = false
    /// The rest is not kept.
    var hasFailed: Bool { failed }
    /// A hint for the first allocation: what MAIL declared, bounded.
    var expectedOctets = 0

    init(gateway: StoreGateway, inlineMax: Int, chunkDone: @escaping @Sendable () -> Void) {
        self.gateway = gateway
        self.inlineMax = inlineMax
        self.chunkDone = chunkDone
    }

    mutating func begin() {
        discard()
        buffer.reserveCapacity(min(max(expectedOctets, Self.firstAllocation), SpoolBody.chunkMax))
    }

    private static let firstAllocation = 4_800

    mutating func append(_ bytes: Span<UInt8>) {
        octets += bytes.count
        if buffer.count + bytes.count <= SpoolBody.chunkMax {
            buffer.append(bytes)
            return
        }
        var offset = 0
        while offset < bytes.count {
            let n = min(SpoolBody.chunkMax - buffer.count, bytes.count - offset)
            buffer.append(bytes.extracting(offset..<(offset + n)))
            offset += n
            if buffer.count == SpoolBody.chunkMax { flushChunk(nextCapacity: SpoolBody.chunkMax) }
        }
    }

    mutating func discard() {
        spool?.abandon()
        spool = nil
        buffer = []
        octets = 0
        failed = false
    }

    /// A chunk was written: one less to wait for.
    mutating func chunkWritten() { chunksUnderWay = max(0, chunksUnderWay - 1) }

    /// The complete body, leaving the assembler empty.
    mutating func take() -> Outcome {
        defer {
            spool = nil
            buffer = []
            octets = 0
            failed = false
        }
        // What was lost at a full disk stays lost, whatever came after it.
        if !failed, spool == nil, buffer.count <= inlineMax { return .body(.inline(buffer)) }
        let size = octets
        if !buffer.isEmpty { flushChunk(nextCapacity: 0) }
        guard !failed, let spool else { return .unavailable }
        return .body(.spooled(spool, size: size))
    }

    private mutating func flushChunk(nextCapacity: Int) {
        let chunk = buffer
        buffer = []
        if nextCapacity > 0, !failed { buffer.reserveCapacity(nextCapacity) }
        if failed { return }
        if spool == nil { spool = gateway.openBody() }
        guard let spool, spool.append(chunk, done: chunkDone) else {
            // The rest is still read to its end and then answered 452; nothing more is kept of it.
            self.spool?.abandon()
            failed = true
            return
        }
        chunksUnderWay += 1
    }
}
