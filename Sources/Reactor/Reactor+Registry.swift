extension Reactor {
    /// Calls `body` with each live connection, for instance to drain them. Connections opened by `body` are not visited.
    package func forEachConnection(_ body: (Connection) -> Void) {
        for c in connections.values { body(c) }
    }
}
