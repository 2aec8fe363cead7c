import Base
import MailAuth
import Store

/// A body that a filter made, on its way to the store: a chunk at a time, as the spool takes them, each hashed for our own
/// signatures as it goes. Owned by the message's session, on its loop's thread; counted among what the loop keeps for
/// filters as long as it lives.
final class ReplacedBody {
    private let bytes: [UInt8]
    private var taken = 0
    private let context: MilterContext
    private let hashers: BodyHashers?

    /// `wanted`: what is hashed of it; nil: nothing.
    init(_ bytes: [UInt8], hashing wanted: [BodyHashKey]?, _ context: MilterContext) {
        self.bytes = bytes
        self.context = context
        hashers = wanted.map { BodyHashers($0) }
        context.keptOctets += bytes.count
    }

    deinit { context.keptOctets -= bytes.count }

    /// Hands on what the spool has room for. True: all of it is handed over, or the rest will not be kept.
    func advance(into store: inout BodyAssembler, chunksMax: Int) -> Bool {
        let bytes = self.bytes
        while taken < bytes.count, !store.hasFailed {
            guard store.chunksUnderWay < chunksMax else { return false }
            let n = min(SpoolBody.chunkMax, bytes.count - taken)
            let span = bytes.span
            hashers?.feed(span.extracting(taken..<taken + n))
            store.append(span.extracting(taken..<taken + n))
            taken += n
        }
        return true
    }

    func hashes() -> [BodyHashKey: BodyHash]? { hashers?.finish() }
}
