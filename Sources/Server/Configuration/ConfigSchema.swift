/// One configuration key: the row that drives parsing, `config show`, `config explain` and docs/config.md.
package struct ConfigSetting: Sendable {
    package let key: String
    package let type: ConfigType
    /// Whether a reload applies a new value; otherwise it takes a restart.
    package let reloadable: Bool
    package let sentence: String
    package let read: @Sendable (Configuration) -> ConfigValue
    /// The value has been checked against `type`.
    package let write: @Sendable (inout Configuration, ConfigValue) -> Void

    /// An empty text is allowed: it means "not set".
    package var acceptsEmpty = false

    package var defaultValue: ConfigValue { read(Configuration()) }

    /// `smtp.max_connections` is `MARTLET_SMTP__MAX_CONNECTIONS`.
    package var environmentName: String { "MARTLET_" + key.uppercased().split(separator: ".").joined(separator: "__") }
}

/// The table of every key. Nothing else knows a key's name, range or meaning.
package enum ConfigSchema {
    package typealias Path<T> = any WritableKeyPath<Configuration, T> & Sendable

    package static func setting(_ key: String) -> ConfigSetting? { settings.first { $0.key == key } }

    package static let settings: [ConfigSetting] =
        serverSettings + smtpSettings + milterSettings + tlsSettings + dnsSettings + storeSettings + deliverySettings
        + otherSettings

    static let serverSettings = [
        text(
            "server.hostname", \.server.hostname, .hostName, empty: true,
            "The name this server gives itself in greetings and in Received fields; empty: the system's host name.")
    ]

    static let smtpSettings = [
        listeners(
            "smtp.listeners", "Where mail is taken in, one object for each address and port or Unix socket."),
        integer(
            "smtp.reactors", \.smtp.reactors, 0...256,
            "Event loops that serve connections; 0: one for each core but one."),
        networks(
            "smtp.relay_networks", \.smtp.relayNetworks, reloadable: true,
            "Clients in these networks may send to anybody without AUTH; nobody by default."),
        networks(
            "smtp.proxy_networks", \.smtp.proxyNetworks, reloadable: true,
            "Proxies whose PROXY headers are believed, on listeners with proxy_protocol; nobody else may connect there."
        ),
        networks(
            "smtp.lmtp_networks", \.smtp.lmtpNetworks, reloadable: true,
            "Front ends that may deliver by LMTP over TCP, besides this machine; what they bring is not checked."),
        integer("smtp.max_connections", \.smtp.maxConnections, 1...1_000_000, "Most connections at once."),
        integer(
            "smtp.max_connections_per_ip", \.smtp.maxConnectionsPerIP, 1...1_000_000, reloadable: true,
            "Most connections at once from one client address (one /64 of IPv6)."),
        integer(
            "smtp.max_connections_per_network", \.smtp.maxConnectionsPerNetwork, 0...1_000_000, reloadable: true,
            "Most connections at once from one network (a /24, a /48 of IPv6); 0: no limit."),
        integer(
            "smtp.max_held_sessions", \.smtp.maxHeldSessions, 0...1_000_000, reloadable: true,
            "Most sessions slowed at once by tarpits; beyond that, and under pressure, nobody is slowed."),
        networks(
            "smtp.trusted_networks", \.smtp.trustedNetworks, reloadable: true,
            "Clients in these networks are held to no limit but smtp.max_connections."),
        size(
            "smtp.max_message_size", \.smtp.maxMessageSize, 1_024...1 << 30, reloadable: true,
            "Most octets of a message; announced as SIZE."),
        integer(
            "smtp.max_recipients", \.smtp.maxRecipients, 100...100_000, reloadable: true,
            "Most recipients of a message. RFC 5321 wants 100 at least."),
        integer(
            "smtp.max_errors", \.smtp.maxErrors, 1...10_000, reloadable: true,
            "Rejected commands after which a session is closed with 421. Refused recipients and senders (550 to 554) count a "
                + "fifth each. Three failed logins end a session whatever this is."),
        integer(
            "smtp.greet_wait_ms", \.smtp.greetWaitMilliseconds, 0...10_000, reloadable: true,
            "Milliseconds that the greeting is kept back from clients that are not known, to see who talks before it; 0: none."
        ),
        duration(
            "smtp.command_timeout", \.smtp.commandTimeoutSeconds, 1...3_600, reloadable: true,
            "How long a client may take for its next command. RFC 5321 wants 5 minutes."),
        duration(
            "smtp.data_timeout", \.smtp.dataTimeoutSeconds, 1...7_200, reloadable: true,
            "How long a client may be silent inside a message."),
        integer(
            "smtp.rate_limit.connections_per_minute", \.smtp.rateLimit.connectionsPerMinute, 0...1_000_000,
            reloadable: true, "New connections a minute from one client address; 0: no limit."),
        integer(
            "smtp.rate_limit.messages_per_minute", \.smtp.rateLimit.messagesPerMinute, 0...1_000_000,
            reloadable: true, "Messages a minute from one client address; 0: no limit."),
        integer(
            "smtp.rate_limit.recipients_per_minute", \.smtp.rateLimit.recipientsPerMinute, 0...1_000_000,
            reloadable: true,
            "Recipients a minute from one client address; 0: no limit."),
        integer(
            "smtp.rate_limit.failed_logins", \.smtp.rateLimit.failedLogins, 0...1_000_000, reloadable: true,
            "Failed logins in ten minutes from one client address, after which no login is tried; 0: no limit."),
        integer(
            "smtp.rate_limit.network_factor", \.smtp.rateLimit.networkFactor, 1...100, reloadable: true,
            "A network (IPv4 /24, IPv6 /48) may reach so many times each smtp.rate_limit of an address."),
        integer(
            "smtp.rate_limit.account_messages_per_hour", \.smtp.rateLimit.accountMessagesPerHour, 0...1_000_000,
            reloadable: true, "Messages an hour that one account may submit, from wherever; 0: no limit."),
        integer(
            "smtp.rate_limit.account_recipients_per_hour", \.smtp.rateLimit.accountRecipientsPerHour, 0...1_000_000,
            reloadable: true, "Recipients an hour of what one account submits; 0: no limit."),
        mailAddresses(
            "smtp.rate_limit.account_exempt", \.smtp.rateLimit.accountExempt, reloadable: true,
            "Accounts that may submit as much as they like, such as one for newsletters."),
    ]

    static let tlsSettings = [
        choice(
            "tls.mode", \.tls.mode,
            reloadable: true, "Where certificates come from: one made at the first start, files, or an ACME authority."),
        certificates(
            "tls.certificates", "Certificate files for tls.mode files, chosen by the name the client asks for."),
        choice(
            "tls.min_version", \.tls.minVersion, reloadable: true, "The oldest TLS version spoken."),
        boolean(
            "tls.session_tickets", \.tls.sessionTickets, reloadable: true,
            "Whether clients may resume TLS sessions."),
        text(
            "tls.acme.directory", \.tls.acme.directory, .httpsURL, "The ACME authority's directory."),
        text("tls.acme.email", \.tls.acme.email, .any, empty: true, "Where the authority writes to; may be empty."),
        texts("tls.acme.names", \.tls.acme.names, .hostName, "Host names to get certificates for."),
        boolean(
            "tls.acme.agree_to_terms", \.tls.acme.agreeToTerms, "Whether you agree to the authority's terms of service."
        ),
    ]

    static let dnsSettings = [
        texts(
            "dns.forward", \.dns.forward, .resolver,
            "Resolvers to ask instead of the root servers. Answers are validated here all the same."),
        text(
            "dns.trust_anchor_file", \.dns.trustAnchorFile, .path, empty: true,
            "DNSSEC trust anchors; empty: the built-in root anchor. A file without any, as /dev/null: nothing is validated."
        ),
        text(
            "dns.root_hints", \.dns.rootHints, .path, empty: true,
            "Root servers of a closed network; empty: the public ones."),
        duration(
            "dns.timeout", \.dns.timeoutSeconds, 1...120, "How long one question may take, all attempts together."),
    ]

    static let storeSettings = [
        text("store.path", \.store.path, .path, "The directory that holds all mail and state; mode 0700."),
        size(
            "store.min_free_bytes", \.store.minFreeBytes, 0...1 << 40, reloadable: true,
            "With less free space on the disk than this, mail is answered 452 and nothing is lost."),
    ]

    static let deliverySettings = [
        integer("delivery.queue_workers", \.delivery.queueWorkers, 1...64, "Threads that send mail to other servers."),
        durations(
            "delivery.retry_intervals", \.delivery.retryIntervalSeconds, 1...604_800, reloadable: true,
            "Waits between attempts; after the last one they double, up to 48 hours, until delivery.max_age."),
        duration(
            "delivery.max_age", \.delivery.maxAgeSeconds, 60...30 * 86_400,
            reloadable: true, "After this time a message that cannot be delivered goes back to its sender."),
        duration(
            "delivery.delay_warning", \.delivery.delayWarningSeconds, 0...30 * 86_400,
            reloadable: true, "After this time the sender is told once that the message waits; 0: never."),
        routes("delivery.routes", "Destinations that are not found by MX, first match first."),
        integer("delivery.port", \.delivery.port, 1...65_535, reloadable: true, "The port of other servers."),
        texts(
            "delivery.local_addresses", \.delivery.localAddresses, .address,
            reloadable: true, "Source addresses of outbound connections; empty: the system chooses."),
        integer(
            "delivery.max_connections_per_destination", \.delivery.maxConnectionsPerDestination, 1...4_096,
            reloadable: true, "Most messages on their way to one destination at once."),
        integer(
            "delivery.max_messages_per_minute", \.delivery.maxMessagesPerMinute, 0...1_000_000, reloadable: true,
            "Most messages a minute to one destination; 0: no limit."),
        text(
            "delivery.ca_file", \.delivery.caFile, .path, empty: true,
            reloadable: true, "Root certificates (PEM) that other servers are checked against; empty: the system's."),
        integer(
            "mta_sts.port", \.mtaSTS.port, 1...65_535,
            reloadable: true, "Where policies are fetched; another port is for closed networks."),
        boolean(
            "mta_sts.allow_private", \.mtaSTS.allowPrivate,
            reloadable: true, "Whether policies may be fetched from addresses that are not public; for closed networks."
        ),
    ]

    static let otherSettings = [
        listen("web.listen", \.web.listen, "Where the web pages are served; empty: nowhere."),
        listen("metrics.listen", \.metrics.listen, "Where /metrics, /healthz and /readyz are served; empty: nowhere."),
        text(
            "control.socket", \.control.socket, .path, empty: true,
            "The Unix socket commands talk to the daemon by; empty: control.sock in store.path."),
        boolean(
            "auth.enabled", \.auth.enabled,
            reloadable: true,
            "Whether mail from elsewhere is checked (SPF, DKIM, ARC, DMARC, reverse DNS) and treated accordingly."),
        duration(
            "auth.timeout", \.auth.timeoutSeconds, 1...60,
            reloadable: true,
            "How long all checks of one message may wait for DNS; what is unknown then counts as a temporary error."),
        integer(
            "auth.max_questions", \.auth.maxQuestions, 32...1_024, reloadable: true,
            "Most DNS questions for one message."),
        boolean(
            "auth.bimi", \.auth.bimi, reloadable: true,
            "Whether brand indicators (BIMI) are looked up for mail that DMARC proved."),
        boolean(
            "ledger.enabled", \.ledger.enabled,
            "Whether decisions are recorded, for `martlet explain` and `martlet policy replay`."),
        size(
            "ledger.max_size", \.ledger.maxSizeBytes, 1 << 20...1 << 40,
            reloadable: true, "Most octets of the record of decisions; the oldest go first."),
        duration(
            "ledger.max_age", \.ledger.maxAgeSeconds, 3_600...3_650 * 86_400, reloadable: true,
            "How long decisions are kept."),
        choice(
            "dmarc.mode", \.dmarc.mode,
            reloadable: true, "Which DMARC: rfc9989 (tree walk, no pct), or the older rfc7489 with pct sampling."),
        boolean("dmarc.send_reports", \.dmarc.sendReports, "Whether aggregate reports are sent."),
        boolean("tlsrpt.send_reports", \.tlsrpt.sendReports, "Whether TLS reports are sent."),
        boolean(
            "pressure.enabled", \.pressure.enabled, reloadable: true,
            "Whether work is turned away when descriptors, memory, disk, commits, DNS or connections run short."),
        size(
            "pressure.memory_limit", \.pressure.memoryLimitBytes, 0...1 << 50, reloadable: true,
            "Memory the server should stay below; 0: the limit of its control group, or the machine's memory."),
        integer(
            "pressure.commit_latency_ms", \.pressure.commitLatencyMilliseconds, 10...60_000, reloadable: true,
            "Milliseconds that one commit may take before the store counts as slow."),
        choice("logging.level", \.logging.level, reloadable: true, "The least important event that is logged."),
        choice("logging.format", \.logging.format, reloadable: true, "Lines for people, or one JSON object a line."),
    ]
}
