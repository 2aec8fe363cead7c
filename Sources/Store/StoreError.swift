/// Why the store did not do what it was asked. Everything a caller must tell apart, nothing of the back-end's own codes.
package enum StoreError: Error, Sendable, Hashable {
    /// The store cannot write (or read) now and will recover by itself: 451 or 452 on the wire.
    case unavailable(Reason)
    /// The thing is there already, or others depend on it.
    case conflict
    case notFound
    /// The request can never succeed; the text says why.
    case invalid(String)
    /// What is stored cannot be read back; the text says where.
    case corrupt(String)

    package enum Reason: Sendable, Hashable {
        case diskFull
        case inputOutput
        /// Somebody else holds the database, or an inbox is full.
        case busy
        /// The store has been stopped or was never started.
        case stopped
    }

    /// Whether trying again later may succeed.
    package var isTemporary: Bool {
        if case .unavailable = self { return true }
        return false
    }
}
