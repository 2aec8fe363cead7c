import Handoff
import Store

/// Waits for one answer of a store thread. For threads that may block, and never for the store's own.
final class StoreAwait<Value: Sendable>: Sendable {
    private let reply = Awaited<Result<Value, StoreError>>()

    func give(_ result: Result<Value, StoreError>) { reply.give(result) }

    func wait() -> Result<Value, StoreError> { reply.wait() ?? .failure(.unavailable(.stopped)) }
}
