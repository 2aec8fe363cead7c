import Handoff
import Store

/// Waits for one answer of a store thread. For threads that may block, and never for the store's own.
final class StoreAwait<Value: Sendable>: Sendable {
    private let inbox = Mailbox<Result<Value, StoreError>>(capacity: 2)

    func give(_ result: Result<Value, StoreError>) { _ = inbox.post(result) }

    func wait() -> Result<Value, StoreError> {
        while true {
            if let result = inbox.next() { return result }
            inbox.wait()
        }
    }
}
