package import Telemetry

/// Every metric of the daemon: the handles drivers count with. Made once at start, before any thread that counts.
///
/// Shareable because a handle is only a reference to atomics. One line a metric; the table is docs/metrics.md.
package final class ServerMetrics: Sendable {
    package let connections: PairCounter<ListenerLabel, ConnectionResult>
    package let sessions: LabeledGauge<ListenerLabel>
    package let commands: PairCounter<VerbLabel, ReplyClass>
    package let messages: PairCounter<ListenerLabel, MessageResult>
    package let recipients: LabeledCounter<RecipientResult>
    package let bytesReceived: Counter
    package let acceptDuration: Histogram
    package let tlsSessions: PairCounter<TLSVersionLabel, TLSResultLabel>
    package let authAttempts: PairCounter<AuthMechanismLabel, AuthResultLabel>
    package let commitBatch: Histogram
    package let commitDuration: Histogram
    package let bodySyncDuration: Histogram
    package let reactorLag: Histogram
    package let reactorTurn: Histogram
    package let mailboxFull: LabeledCounter<MailboxLabel>
    package let configReloads: LabeledCounter<ReloadResult>
    package let controlRequests: LabeledCounter<ControlResult>
    package let dns: DNSMetrics
    package let auth: AuthMetrics
    package let ledger: LedgerMetrics
    package let queue: QueueMetrics
    package let delivery: OutboundMetrics
    package let defense: DefenseMetrics
    package let greylist: GreylistMetrics
    package let milter: MilterMetrics
    package let pressure: PressureMetrics
    package let poison: PoisonMetrics
    package let startTime: Gauge

    package init(_ r: Registry) {
        connections = r.counter(
            "martlet_smtp_connections_total", "SMTP connections by listener and how they began.",
            by: ListenerLabel.self, ConnectionResult.self)
        sessions = r.gauge("martlet_smtp_sessions", "SMTP sessions open now.", by: ListenerLabel.self)
        commands = r.counter(
            "martlet_smtp_commands_total", "SMTP commands by verb and class of reply.",
            by: VerbLabel.self, ReplyClass.self)
        messages = r.counter(
            "martlet_messages_received_total", "Messages by listener and what was decided at the end of data.",
            by: ListenerLabel.self, MessageResult.self)
        recipients = r.counter(
            "martlet_recipients_total", "RCPT commands by what was decided.", by: RecipientResult.self)
        bytesReceived = r.counter(
            "martlet_message_received_bytes_total", "Bytes of message data received.", unit: .bytes)
        acceptDuration = r.histogram(
            "martlet_message_accept_duration_seconds", "Time from the last byte of a message to its 250.",
            unit: .seconds, bounds: Buckets.durations)
        tlsSessions = r.counter(
            "martlet_tls_sessions_total", "TLS handshakes of peers by version and result.",
            by: TLSVersionLabel.self, TLSResultLabel.self)
        authAttempts = r.counter(
            "martlet_auth_attempts_total", "AUTH exchanges by mechanism and result.",
            by: AuthMechanismLabel.self, AuthResultLabel.self)
        commitBatch = r.histogram(
            "martlet_commit_batch_messages", "Messages that shared one commit.", unit: .items,
            bounds: Buckets.batches)
        commitDuration = r.histogram(
            "martlet_commit_duration_seconds", "Time of one database commit, its fsync included.",
            unit: .seconds, bounds: Buckets.durations)
        bodySyncDuration = r.histogram(
            "martlet_body_sync_duration_seconds", "Time of one fdatasync of a body segment.",
            unit: .seconds, bounds: Buckets.durations)
        reactorLag = r.histogram(
            "martlet_reactor_lag_seconds", "How long the last event of a turn waited for the others of it.",
            unit: .seconds, bounds: Buckets.durations)
        reactorTurn = r.histogram(
            "martlet_reactor_turn_seconds", "Time a reactor works between two waits.",
            unit: .seconds, bounds: Buckets.durations)
        mailboxFull = r.counter(
            "martlet_mailbox_full_total", "Messages a thread could not take because its mailbox was full.",
            by: MailboxLabel.self)
        configReloads = r.counter(
            "martlet_config_reloads_total", "Configuration reloads by result.", by: ReloadResult.self)
        controlRequests = r.counter(
            "martlet_control_requests_total", "Requests on the control socket by result.", by: ControlResult.self)
        dns = DNSMetrics(r)
        auth = AuthMetrics(r)
        ledger = LedgerMetrics(r)
        queue = QueueMetrics(r)
        delivery = OutboundMetrics(r)
        defense = DefenseMetrics(r)
        greylist = GreylistMetrics(r)
        milter = MilterMetrics(r)
        pressure = PressureMetrics(r)
        poison = PoisonMetrics(r)
        startTime = r.gauge(
            "process_start_time_seconds", "When the process started, in seconds since 1970.", unit: .seconds)
    }

    /// The metrics that are read from their owners when scraped. Each closure runs on the scraping thread.
    package struct Readings: Sendable {
        package var storeQueueDepth: @Sendable () -> Int = { 0 }
        package var reactorMailboxDepth: @Sendable () -> Int = { 0 }
        package var diskFreeBytes: @Sendable () -> Int = { 0 }

        package init() {}
    }

    /// Defines the families that ask `readings` and `log`, and `martlet_build_info`.
    package static func define(_ r: Registry, version: String, log: Log, readings: Readings) {
        r.gauge("martlet_store_queue_depth", "Requests waiting for the store writer.") {
            Double(readings.storeQueueDepth())
        }
        r.gauge("martlet_reactor_mailbox_depth", "Messages waiting in the mailboxes of all reactors.") {
            Double(readings.reactorMailboxDepth())
        }
        r.gauge("martlet_disk_free_bytes", "Bytes still free where the store lives.", unit: .bytes) {
            Double(readings.diskFreeBytes())
        }
        r.counter("martlet_log_lines_dropped_total", "Log lines lost because the log thread was behind.") {
            Double(log.dropped)
        }
        r.info("martlet_build_info", "Always 1; the labels say what runs.", [("version", version)])
    }
}
