import Protocols

/// Bounds of the conversation with filters.
package struct MilterLimits: Sendable {
    /// Octets of a body that wait for a filter before the client is made to wait.
    package var bufferMax = 256 << 10
    /// Octets of one body kept for the filters that come after the first, so that they see what it changed; a larger body
    /// goes to all of them at once, as it came.
    package var keptMax = 1 << 20
    /// The same for all sessions of a loop together, with the bodies that filters make.
    package var keptByLoopMax = 64 << 20
    /// Octets of a header with all changes.
    package var headerMax = 1 << 20
    /// Octets of a replaced body.
    package var bodyMax = 50 << 20
    package var recipientsMax = 1_000
    /// Changes one filter may ask for in one message: each field of it, and many more.
    package var changesMax = MilterHeader.fieldsMax + 2_000
    /// Of them fields put between others: each moves all that follow.
    package var insertsMax = 1_000
    /// A filter that failed this often in a row is left alone for a while.
    package var failuresMax = 3
    package var restSeconds = 5.0
    package var restSecondsMax = 60.0
    /// One answer, however often a filter reports progress.
    package var endSecondsMax = 300.0
    /// All filters together, from the end of the message on: less than a session waits for what it is owed.
    package var chainSecondsMax = 540.0

    package init() {}
}
