package import Handoff
import Synchronization

/// Where a piece of a spooled body lies.
package struct SpoolExtent: Sendable, Hashable {
    package let segment: Int64
    package let offset: Int64
    package let length: Int64

    package init(segment: Int64, offset: Int64, length: Int64) {
        self.segment = segment
        self.offset = offset
        self.length = length
    }
}

/// A large body on its way to disk. The connection appends chunks; the spool thread writes them and keeps the extents
/// here. Letting go of the last reference abandons the body: its octets are dead and get swept.
///
/// Shareable because all that changes is behind the mutex. Bounded by the caller: it counts `append`s whose `done` has not
/// come and stops reading from its peer at a handful.
package final class SpoolBody: Sendable {
    /// Most octets of a chunk; larger ones are refused.
    package static let chunkMax = 1 << 16

    private struct State {
        var extents: [SpoolExtent] = []
        var holds: [any AnyObject & Sendable] = []
        var failure: StoreError?
        var isDurable = false
    }

    private let state = Mutex(State())
    private let inbox: Mailbox<SpoolMessage>

    package init(inbox: Mailbox<SpoolMessage>) { self.inbox = inbox }

    /// Hands a chunk to the spool thread, which calls `done` when it is written (or the body has failed: then accept
    /// answers so). False: the spool's inbox is full or the chunk too large; nothing was kept, try again later.
    package func append(_ chunk: [UInt8], done: @escaping @Sendable () -> Void) -> Bool {
        guard chunk.count <= Self.chunkMax else { return false }
        return inbox.post(.append(self, chunk, done))
    }

    /// Nobody will ask for this body: later chunks are not even written.
    package func abandon() { fail(.unavailable(.stopped)) }

    // For the back-end's spool thread and writer.

    package var extents: [SpoolExtent] { state.withLock { $0.extents } }
    package var failure: StoreError? { state.withLock { $0.failure } }
    /// Whether every octet has been synced: only then may a row name it.
    package var isDurable: Bool { state.withLock { $0.isDurable && $0.failure == nil } }
    package var holds: [any AnyObject & Sendable] { state.withLock { $0.holds } }
    package var octets: Int { state.withLock { $0.extents.reduce(0) { $0 + Int($1.length) } } }

    package func fail(_ error: StoreError) {
        state.withLock { if $0.failure == nil { $0.failure = error } }
    }

    package func markDurable() { state.withLock { $0.isDurable = true } }

    /// Notes a written piece; `hold`, unless nil, lives as long as this body does.
    package func record(_ extent: SpoolExtent, hold: (any AnyObject & Sendable)?) {
        state.withLock { state in
            if let hold { state.holds.append(hold) }
            if let last = state.extents.last, last.segment == extent.segment,
                last.offset + last.length == extent.offset
            {
                state.extents[state.extents.count - 1] = SpoolExtent(
                    segment: last.segment, offset: last.offset, length: last.length + extent.length)
            } else {
                state.extents.append(extent)
            }
        }
    }
}
