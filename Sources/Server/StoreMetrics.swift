import Store
import Telemetry

/// Turns what the store's threads report into metrics and log lines.
final class StoreMetrics: StoreObserver {
    private let metrics: ServerMetrics
    private let log: Log
    private let health: Health
    private let commits: CommitClock

    init(metrics: ServerMetrics, log: Log, health: Health, commits: CommitClock = CommitClock()) {
        self.commits = commits
        self.health = health
        self.metrics = metrics
        self.log = log
    }

    func commitBegan() { commits.began() }

    func batchCommitted(_ batch: StoreBatch) {
        commits.ended(batch.commitSeconds)
        metrics.commitBatch.observe(UInt64(batch.requests))
        metrics.commitDuration.observe(seconds: batch.commitSeconds)
    }

    func writeFailed(_ error: StoreError, requests: Int, detail: String) {
        commits.failed()
        log.error("store_write_failed") {
            $0.add("error", "\(error)")
            $0.add("requests", requests)
            $0.add("detail", detail)
        }
    }

    func bodiesSynced(bodies: Int, octets: Int, seconds: Double) {
        commits.ended(seconds, underWay: false)
        metrics.bodySyncDuration.observe(seconds: seconds)
    }

    func checkpointed(pages: Int, seconds: Double) {
        log.debug("store_checkpoint") {
            $0.add("pages", pages)
            $0.add("duration", seconds: seconds)
        }
    }

    func availabilityChanged(_ available: Bool) {
        health.setStoreWritable(available)
        log.write(available ? .notice : .error, "store_availability") { $0.add("available", available) }
    }
}
