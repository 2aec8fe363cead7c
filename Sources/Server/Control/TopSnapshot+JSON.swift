extension TopSnapshot {
    /// Keys are the members' names in snake case: documented, and what the command decodes.
    package var json: JSONValue { .object(members) }

    var members: [JSONMember] { about + sums + figures }

    private var about: [JSONMember] {
        [
            JSONMember("monotonic", .integer(monotonic)), JSONMember("time", .integer(time)),
            JSONMember("uptime_seconds", .integer(uptimeSeconds)), JSONMember("version", .text(version)),
            JSONMember("hostname", .text(hostname)),
        ]
    }

    private var sums: [JSONMember] {
        [
            JSONMember("connections", .integer(connections)),
            JSONMember("messages_accepted", .integer(messagesAccepted)),
            JSONMember("messages_refused", .integer(messagesRefused)),
            JSONMember("messages_deferred", .integer(messagesDeferred)),
            JSONMember("recipients_accepted", .integer(recipientsAccepted)),
            JSONMember("recipients_refused", .integer(recipientsRefused)), JSONMember("octets", .integer(octets)),
            JSONMember("delivered", .integer(delivered)), JSONMember("delivery_deferred", .integer(deliveryDeferred)),
            JSONMember("delivery_failed", .integer(deliveryFailed)), JSONMember("commits", .integer(commits)),
            JSONMember("commit_microseconds", .integer(commitMicroseconds)),
            JSONMember("dns_queries", .integer(dnsQueries)), JSONMember("turns", .integer(turns)),
            JSONMember("turn_microseconds", .integer(turnMicroseconds)),
            JSONMember(
                "refusals",
                .array(
                    refusals.map {
                        .object([
                            JSONMember("control", .text($0.control)), JSONMember("effect", .text($0.effect)),
                            JSONMember("count", .integer($0.count)),
                        ])
                    })),
        ]
    }

    private var figures: [JSONMember] {
        [
            JSONMember(
                "sessions",
                .array(
                    sessions.map {
                        .object([JSONMember("listener", .text($0.listener)), JSONMember("open", .integer($0.open))])
                    })), JSONMember("sessions_max", .integer(sessionsMax)), JSONMember("held", .integer(held)),
            JSONMember("in_flight", .integer(inFlight)), JSONMember("queued", .integer(queued)),
            JSONMember("due", .integer(due)), JSONMember("store_queue", .integer(storeQueue)),
            JSONMember("dns_in_flight", .integer(dnsInFlight)), JSONMember("disk_free", .integer(diskFree)),
            JSONMember(
                "pressure",
                .array(
                    pressure.map {
                        .object([
                            JSONMember("name", .text($0.name)), JSONMember("level", .text($0.level)),
                            JSONMember("figures", .text($0.figures)),
                        ])
                    })), JSONMember("limiting", .text(limiting)),
            JSONMember("slowed", .array(slowed.prefix(Self.slowedMax).map(Self.slowed))),
        ]
    }

    private static func slowed(_ client: Slowed) -> JSONValue {
        .object([
            JSONMember("client", .text(client.client)), JSONMember("open", .integer(client.open)),
            JSONMember("failures", .integer(client.failures)), JSONMember("refused", .integer(client.refused)),
            JSONMember("milliseconds", .integer(client.milliseconds)),
        ])
    }
}
