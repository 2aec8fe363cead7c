import Ledger
package import Telemetry

/// What the record of decisions holds and loses.
package struct LedgerMetrics: LedgerObserver {
    private let records: Counter
    private let octets: Counter
    private let lost: Counter
    private let segments: Gauge
    private let size: Gauge

    package init(_ r: Registry) {
        records = r.counter("martlet_ledger_records_total", "Decisions and attempts recorded.")
        octets = r.counter("martlet_ledger_written_bytes_total", "Bytes of records written.", unit: .bytes)
        lost = r.counter(
            "martlet_ledger_dropped_total", "Records lost because their thread was behind or the disk full.")
        segments = r.gauge("martlet_ledger_segments", "Files that hold records.")
        size = r.gauge("martlet_ledger_size_bytes", "Bytes of all records and their indexes.", unit: .bytes)
    }

    package func wrote(records: Int, octets: Int) {
        self.records.add(records)
        self.octets.add(octets)
    }

    package func dropped(records: Int) { lost.add(records) }

    package func holds(segments: Int, octets: Int) {
        self.segments.set(segments)
        size.set(octets)
    }
}
