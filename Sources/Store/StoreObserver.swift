/// What one group commit did.
package struct StoreBatch: Sendable {
    package let requests: Int
    package let octets: Int
    /// Requests still waiting when the batch was closed.
    package let queueDepth: Int
    /// From the first statement to the commit's start.
    package let applySeconds: Double
    /// The commit with its fsync.
    package let commitSeconds: Double

    package init(requests: Int, octets: Int, queueDepth: Int, applySeconds: Double, commitSeconds: Double) {
        self.requests = requests
        self.octets = octets
        self.queueDepth = queueDepth
        self.applySeconds = applySeconds
        self.commitSeconds = commitSeconds
    }
}

/// Told on the store's own threads what they do; must not block. The server connects it to metrics and log.
package protocol StoreObserver: AnyObject, Sendable {
    /// A commit begins; `batchCommitted` or `writeFailed` ends it. What takes long is seen while it does.
    func commitBegan()
    func batchCommitted(_ batch: StoreBatch)
    /// A batch (or a body) of `requests` was not kept; each was answered with the error.
    func writeFailed(_ error: StoreError, requests: Int, detail: String)
    func bodiesSynced(bodies: Int, octets: Int, seconds: Double)
    func checkpointed(pages: Int, seconds: Double)
    /// The store stopped or started taking mail.
    func availabilityChanged(_ available: Bool)
}

extension StoreObserver {
    package func commitBegan() {}
    package func batchCommitted(_ batch: StoreBatch) {}
    package func writeFailed(_ error: StoreError, requests: Int, detail: String) {}
    package func bodiesSynced(bodies: Int, octets: Int, seconds: Double) {}
    package func checkpointed(pages: Int, seconds: Double) {}
    package func availabilityChanged(_ available: Bool) {}
}
