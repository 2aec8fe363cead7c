/// What went on between two snapshots, in tenths a second; with one snapshot: on average since the start.
package struct TopRates: Sendable, Equatable {
    package private(set) var seconds = 0.0
    package private(set) var connections = 0
    package private(set) var messagesAccepted = 0
    package private(set) var messagesRefused = 0
    package private(set) var messagesDeferred = 0
    package private(set) var recipientsAccepted = 0
    package private(set) var recipientsRefused = 0
    package private(set) var octets = 0
    package private(set) var delivered = 0
    package private(set) var deliveryDeferred = 0
    package private(set) var deliveryFailed = 0
    package private(set) var dnsQueries = 0
    /// Microseconds of one commit, of one turn of a reactor; nil: there was none.
    package private(set) var commit: Int?
    package private(set) var turn: Int?
    /// By control and effect, as in `TopSnapshot.refusals`.
    package private(set) var refusals: [TopSnapshot.Refusal] = []

    package init(now: TopSnapshot, before: TopSnapshot?) {
        // A server that was started in between counts from nothing.
        let usable = before.flatMap { $0.monotonic < now.monotonic && $0.uptimeSeconds <= now.uptimeSeconds ? $0 : nil }
        let old = usable ?? TopSnapshot()
        seconds = usable == nil ? Double(max(now.uptimeSeconds, 1)) : Double(now.monotonic - old.monotonic) / 1e6
        connections = rate(now.connections, old.connections)
        messagesAccepted = rate(now.messagesAccepted, old.messagesAccepted)
        messagesRefused = rate(now.messagesRefused, old.messagesRefused)
        messagesDeferred = rate(now.messagesDeferred, old.messagesDeferred)
        recipientsAccepted = rate(now.recipientsAccepted, old.recipientsAccepted)
        recipientsRefused = rate(now.recipientsRefused, old.recipientsRefused)
        octets = rate(now.octets, old.octets)
        delivered = rate(now.delivered, old.delivered)
        deliveryDeferred = rate(now.deliveryDeferred, old.deliveryDeferred)
        deliveryFailed = rate(now.deliveryFailed, old.deliveryFailed)
        dnsQueries = rate(now.dnsQueries, old.dnsQueries)
        commit = Self.average(
            now.commitMicroseconds - old.commitMicroseconds, of: now.commits - old.commits)
        turn = Self.average(now.turnMicroseconds - old.turnMicroseconds, of: now.turns - old.turns)
        refusals = now.refusals.map { refusal in
            let earlier = old.refusals.first { $0.control == refusal.control && $0.effect == refusal.effect }
            return TopSnapshot.Refusal(
                control: refusal.control, effect: refusal.effect, count: rate(refusal.count, earlier?.count ?? 0))
        }
    }

    private func rate(_ now: Int, _ before: Int) -> Int {
        let tenths = Double(max(0, now - before)) * 10 / seconds
        return tenths < 1e15 ? Int(tenths.rounded()) : 0
    }

    private static func average(_ sum: Int, of count: Int) -> Int? { count > 0 ? max(0, sum) / count : nil }

    /// For `martlet top --json`, beside the snapshot.
    package var json: JSONValue {
        .object([
            JSONMember("interval_ms", .integer(Int(seconds * 1_000))), JSONMember("connections", .tenths(connections)),
            JSONMember("messages_accepted", .tenths(messagesAccepted)),
            JSONMember("messages_refused", .tenths(messagesRefused)),
            JSONMember("messages_deferred", .tenths(messagesDeferred)),
            JSONMember("recipients_accepted", .tenths(recipientsAccepted)),
            JSONMember("recipients_refused", .tenths(recipientsRefused)), JSONMember("octets", .tenths(octets)),
            JSONMember("delivered", .tenths(delivered)), JSONMember("delivery_deferred", .tenths(deliveryDeferred)),
            JSONMember("delivery_failed", .tenths(deliveryFailed)), JSONMember("dns_queries", .tenths(dnsQueries)),
            JSONMember("commit_us", commit.map { .integer($0) } ?? .null),
            JSONMember("turn_us", turn.map { .integer($0) } ?? .null),
            JSONMember(
                "refusals",
                .array(
                    refusals.map {
                        .object([
                            JSONMember("control", .text($0.control)), JSONMember("effect", .text($0.effect)),
                            JSONMember("rate", .tenths($0.count)),
                        ])
                    })),
        ])
    }
}
