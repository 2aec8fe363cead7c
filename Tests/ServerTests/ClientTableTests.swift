import Base
import Handoff
import Policy
import Protocols
import Server
import Synchronization
import Testing

@Suite struct ClientTableTests {
    private let now = Instant(nanoseconds: 1_000_000_000)

    private func settings(_ edit: (inout LimitSettings) -> Void = { _ in }) -> LimitSettings {
        var settings = LimitSettings()
        edit(&settings)
        return settings
    }

    private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

    private func v4(_ n: Int) -> IPAddress {
        IPAddress(
            v4: 10, UInt8(truncatingIfNeeded: n >> 16), UInt8(truncatingIfNeeded: n >> 8), UInt8(truncatingIfNeeded: n))
    }

    private func enter(
        _ table: ClientTable, _ address: IPAddress?, _ settings: LimitSettings, exempt: Bool = false,
        shedUnknown: Bool = false, _ now: Instant? = nil
    ) -> AdmissionVerdict {
        table.enter(address, settings, exempt: exempt, shedUnknown: shedUnknown, now: now ?? self.now)
    }

    // MARK: Connections

    @Test func countsInAllByAddressAndByNetwork() throws {
        let table = ClientTable()
        let limits = settings {
            $0.maxConnections = 5
            $0.maxConnectionsPerIP = 2
            $0.maxConnectionsPerNetwork = 3
        }
        let (a, b, c, other) = try (
            address("192.0.2.1"), address("192.0.2.2"), address("192.0.2.3"), address("198.51.100.1")
        )
        #expect(enter(table, a, limits) == .admitted)
        #expect(enter(table, a, limits) == .admitted)
        #expect(enter(table, a, limits) == .fullForPeer)
        #expect(enter(table, b, limits) == .admitted)
        #expect(enter(table, b, limits) == .fullForNetwork)
        #expect(enter(table, c, limits) == .fullForNetwork)
        #expect(enter(table, other, limits) == .admitted)
        #expect(enter(table, nil, limits) == .admitted)
        #expect(enter(table, nil, limits) == .full)
        #expect(table.open == 5)
        table.leave(a)
        #expect(enter(table, b, limits) == .admitted)
        for peer in [a, b, b, other, nil] { table.leave(peer) }
        #expect(table.isEmpty)
        #expect(table.rows(.limits, limit: 100, limits, now: now).allSatisfy { $0.open == 0 })
    }

    /// Who has one IPv6 address has its /64; a site has a /48.
    @Test func sixtyFourBitsAreOneClient() throws {
        let table = ClientTable()
        let limits = settings {
            $0.maxConnectionsPerIP = 1
            $0.maxConnectionsPerNetwork = 2
        }
        #expect(enter(table, try address("2001:db8:0:1::1"), limits) == .admitted)
        #expect(enter(table, try address("2001:db8:0:1:ffff::2"), limits) == .fullForPeer)
        #expect(enter(table, try address("2001:db8:0:2::1"), limits) == .admitted)
        #expect(enter(table, try address("2001:db8:0:3::1"), limits) == .fullForNetwork)
        #expect(enter(table, try address("2001:db8:1:1::1"), limits) == .admitted)
        // Not one client though the first bits are alike.
        #expect(enter(table, try address("0:0:c000:201::1"), limits) == .admitted)
        #expect(enter(table, try address("192.0.2.1"), limits) == .admitted)
    }

    @Test func theLastTenthIsForKnownClients() throws {
        let table = ClientTable()
        let limits = settings {
            $0.maxConnections = 20
            $0.trusted = [AddressBlock(v4(0x20000), prefix: 16)]
        }
        let good = v4(0x10000)
        table.delivered(good, now: now)
        for n in 0..<18 { #expect(enter(table, v4(n), limits) == .admitted) }
        #expect(enter(table, v4(18), limits) == .full)
        #expect(enter(table, good, limits) == .admitted)
        #expect(enter(table, v4(0x20001), limits) == .admitted)
        #expect(enter(table, good, limits) == .full)
        #expect(table.open == 20)
    }

    @Test func underPressureOnlyKnownClientsGetIn() throws {
        let table = ClientTable()
        let limits = settings { $0.trusted = [AddressBlock(v4(7), prefix: 32)] }
        table.loggedIn(v4(5), now: now)
        #expect(enter(table, v4(1), limits, shedUnknown: true) == .shed)
        #expect(enter(table, v4(5), limits, shedUnknown: true) == .admitted)
        #expect(enter(table, v4(6), limits, exempt: true, shedUnknown: true) == .admitted)
        #expect(enter(table, v4(7), limits, shedUnknown: true) == .admitted)
        #expect(enter(table, nil, limits, shedUnknown: true) == .admitted)
        #expect(table.open == 4)
    }

    @Test func theExemptAreHeldToTheTotalOnly() {
        let table = ClientTable()
        let limits = settings {
            $0.maxConnections = 3
            $0.maxConnectionsPerIP = 1
            $0.maxConnectionsPerNetwork = 1
            $0.rates.connectionsPerMinute = 1
            $0.rates.messagesPerMinute = 1
            $0.rates.recipientsPerMinute = 1
            $0.rates.failedLogins = 1
        }
        for _ in 0..<3 { #expect(enter(table, v4(1), limits, exempt: true) == .admitted) }
        #expect(enter(table, v4(1), limits, exempt: true) == .full)
        for _ in 0..<10 {
            #expect(table.message(v4(1), limits, exempt: true, now: now) == .taken)
            #expect(table.recipient(v4(1), limits, exempt: true, now: now) == .taken)
            table.loginFailed(v4(1), limits, exempt: true, now: now)
            #expect(table.mayLogin(v4(1), limits, exempt: true, now: now))
        }
        #expect(table.mayLogin(v4(1), limits, now: now))
    }

    // MARK: Rates

    @Test func ratesByAddressAndByNetwork() {
        let table = ClientTable()
        let limits = settings {
            $0.rates.connectionsPerMinute = 2
            $0.rates.messagesPerMinute = 2
            $0.rates.recipientsPerMinute = 3
            $0.rates.networkFactor = 2
        }
        for n in [1, 1, 2] {
            #expect(enter(table, v4(n), limits) == .admitted)
            #expect(table.message(v4(n), limits, exempt: false, now: now) == .taken)
        }
        #expect(enter(table, v4(1), limits) == .tooFast(perNetwork: false))
        #expect(table.message(v4(1), limits, exempt: false, now: now) == .tooFast(perNetwork: false, seconds: 30))
        #expect(enter(table, v4(3), limits) == .admitted)
        #expect(enter(table, v4(4), limits) == .tooFast(perNetwork: true))
        #expect(table.message(v4(3), limits, exempt: false, now: now) == .taken)
        #expect(table.message(v4(4), limits, exempt: false, now: now) == .tooFast(perNetwork: true, seconds: 15))
        // Another network is not concerned, and what is refused does not stay open.
        #expect(table.message(v4(0x300), limits, exempt: false, now: now) == .taken)
        #expect(table.open == 4)
        for _ in 0..<3 { #expect(table.recipient(v4(9), limits, exempt: false, now: now) == .taken) }
        #expect(table.recipient(v4(9), limits, exempt: false, now: now) == .tooFast(perNetwork: false, seconds: 20))
        let later = now.advanced(bySeconds: 20)
        #expect(table.recipient(v4(9), limits, exempt: false, now: later) == .taken)
    }

    /// Settings are given with each question: a reload needs nothing else.
    @Test func settingsChangeAtOnce() {
        let table = ClientTable()
        let strict = settings {
            $0.maxConnectionsPerIP = 1
            $0.rates.messagesPerMinute = 1
        }
        #expect(enter(table, v4(1), strict) == .admitted)
        #expect(enter(table, v4(1), strict) == .fullForPeer)
        #expect(enter(table, v4(1), settings()) == .admitted)
        #expect(table.message(v4(1), strict, exempt: false, now: now) == .taken)
        #expect(table.message(v4(1), strict, exempt: false, now: now) == .tooFast(perNetwork: false, seconds: 60))
        #expect(table.message(v4(1), settings(), exempt: false, now: now) == .taken)
        var trusting = strict
        trusting.trusted = [AddressBlock(v4(1), prefix: 24)]
        #expect(table.message(v4(1), trusting, exempt: false, now: now) == .taken)
    }

    @Test func aReloadKeepsTheTotal() {
        var configuration = Configuration()
        let publisher = LimitPublisher(LimitSettings(configuration))
        configuration.smtp.maxConnections = 1
        configuration.smtp.maxConnectionsPerIP = 2
        configuration.smtp.maxConnectionsPerNetwork = 3
        configuration.smtp.maxHeldSessions = 4
        configuration.smtp.rateLimit.connectionsPerMinute = 5
        configuration.smtp.rateLimit.messagesPerMinute = 6
        configuration.smtp.rateLimit.recipientsPerMinute = 7
        configuration.smtp.rateLimit.failedLogins = 8
        configuration.smtp.rateLimit.networkFactor = 9
        configuration.smtp.trustedNetworks = [IPNetwork("10.0.0.0/8"), IPNetwork("2001:db8::/32")].compactMap { $0 }
        publisher.publish(LimitSettings(configuration))
        let made = publisher.current
        #expect(made.maxConnections == 10_000)
        #expect(made.maxConnectionsPerIP == 2)
        #expect(made.rates.networkFactor == 9)
        #expect(made.maxConnectionsPerNetwork == 3)
        #expect(made.maxHeldSessions == 4)
        #expect(made.rates.connectionsPerMinute == 5)
        #expect(made.rates.messagesPerMinute == 6)
        #expect(made.rates.recipientsPerMinute == 7)
        #expect(made.rates.failedLogins == 8)
        #expect(made.trusted.map(\.description) == ["10.0.0.0/8", "2001:db8::/32"])
    }

    // MARK: Logins and conduct

    @Test func failedLoginsOfANetworkAddUp() {
        let table = ClientTable()
        let limits = settings {
            $0.rates.failedLogins = 2
            $0.rates.networkFactor = 2
        }
        for n in 1...2 {
            for _ in 0..<2 {
                #expect(table.mayLogin(v4(n), limits, now: now))
                table.loginFailed(v4(n), limits, now: now)
            }
            #expect(!table.mayLogin(v4(n), limits, now: now))
        }
        #expect(!table.mayLogin(v4(3), limits, now: now))
        #expect(table.login(v4(4), limits, now: now) == .tooManyOfNetwork)
        #expect(table.mayLogin(v4(0x300), limits, now: now))
        #expect(table.mayLogin(nil, limits, now: now))
        // A login that worked buys no further guesses.
        table.loggedIn(v4(1), now: now)
        #expect(!table.mayLogin(v4(1), limits, now: now))
        #expect(table.mayLogin(v4(1), settings { $0.rates.failedLogins = 0 }, now: now))
    }

    /// Guesses that are made at once count before any of them has a result, over all loops.
    @Test func guessesAtOnceAreHeldToTheLimit() {
        let table = ClientTable()
        let limits = settings()
        let allowed = TakenCount()
        let threads = (0..<4).map { n in
            LoopThread.spawn("guesser-\(n)") { [self] in
                for _ in 0..<250 where table.mayLogin(v4(1), limits, now: now) {
                    allowed.count.add(1, ordering: .relaxed)
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(allowed.count.load(ordering: .relaxed) == 10)
    }

    /// Any number of people log in; and when the hashing is not available, nobody has guessed.
    @Test func loginsThatAreNoGuessesCostNothing() {
        let table = ClientTable()
        let limits = settings { $0.rates.failedLogins = 2 }
        for n in 0..<100 {
            #expect(table.mayLogin(v4(n % 3), limits, now: now))
            if n % 2 == 0 { table.loggedIn(v4(n % 3), now: now) } else { table.loginUnavailable(v4(n % 3), now: now) }
        }
        #expect(table.rows(.limits, limit: 9, limits, now: now).isEmpty)
    }

    /// Others of its network guess; who is known to be good logs in all the same, and answers for itself alone.
    @Test func aKnownClientDoesNotAnswerForItsNetwork() {
        let table = ClientTable()
        let limits = settings {
            $0.rates.failedLogins = 2
            $0.rates.networkFactor = 1
        }
        table.delivered(v4(9), now: now)
        for _ in 0..<2 {
            #expect(table.mayLogin(v4(1), limits, now: now))
            table.loginFailed(v4(1), limits, now: now)
        }
        #expect(!table.mayLogin(v4(2), limits, now: now))
        #expect(table.mayLogin(v4(9), limits, now: now))
        table.loggedIn(v4(9), now: now)
        #expect(!table.mayLogin(v4(2), limits, now: now))
        // Refused for the network's sake, it owes nothing itself.
        let later = now.advanced(bySeconds: 900)
        for _ in 0..<2 { #expect(table.mayLogin(v4(2), limits, now: later)) }
        #expect(!table.mayLogin(v4(2), limits, now: later))
    }

    @Test func tarpitDelaysGrowByAddress() {
        let table = ClientTable()
        var delays: [Double] = []
        for n in 0..<6 {
            delays.append(table.tarpitDelay(v4(1), maxSeconds: 8, now: now))
            #expect(table.failed(v4(1), now: now) == n)
        }
        #expect(delays == [0, 1, 2, 4, 8, 8])
        #expect(table.tarpitDelay(v4(2), maxSeconds: 8, now: now) == 0)
        #expect(table.tarpitDelay(v4(1), maxSeconds: 8, now: now.advanced(bySeconds: 3_600)) == 0)
        #expect(table.tarpitDelay(nil, maxSeconds: 8, now: now) == 0)
        #expect(!table.isKnownGood(v4(1), now: now))
    }

    @Test func onlySoManyAreHeld() {
        let table = ClientTable()
        let limits = settings { $0.maxHeldSessions = 2 }
        #expect(table.hold(limits))
        #expect(table.hold(limits))
        #expect(!table.hold(limits))
        #expect(table.heldSessions == 2)
        table.unhold()
        #expect(table.hold(limits))
        #expect(!table.hold(settings { $0.maxHeldSessions = 0 }))
    }

    // MARK: Operators

    @Test func rowsShowWhatMattersFirst() throws {
        let table = ClientTable()
        let limits = settings { $0.maxConnectionsPerIP = 1 }
        for n in 0..<200 { #expect(enter(table, v4(n << 8), limits) == .admitted) }
        for _ in 0..<3 { #expect(enter(table, v4(7 << 8), limits) == .fullForPeer) }
        let rows = table.rows(.limits, limit: 3, limits, now: now)
        #expect(rows.count == 3)
        let first = try #require(rows.first)
        #expect(first.client.description == "10.0.7.0")
        #expect(first.refused.connections == 3)
        #expect(first.open == 1)
        #expect(!first.isNetwork)
        let all = table.rows(.limits, limit: 1_000, limits, now: now)
        #expect(all.count == 400)
        #expect(all.contains { $0.isNetwork && $0.client.description == "10.0.7.0/24" })
        #expect(table.rows(.limits, limit: 0, limits, now: now).isEmpty)
        #expect(table.rows(.tarpit, limit: 9, limits, now: now).isEmpty)
        table.failed(v4(1), now: now)
        for _ in 0..<2 { table.failed(v4(2), now: now) }
        _ = table.tarpitDelay(v4(1), maxSeconds: 8, now: now)
        let slow = table.rows(.tarpit, limit: 9, limits, now: now)
        #expect(slow.map(\.failures) == [1, 2])
        #expect(slow.map(\.slowedSeconds) == [1, 0])
    }

    @Test(arguments: [
        ("10.0.1.1", "10.0.1.1", true), ("10.0.1.1", "10.0.1.0/24", true), ("10.0.1.1", "0.0.0.0/0", true),
        ("10.0.1.1", "10.0.2.0/24", false), ("10.0.1.1", "::/0", false), ("2001:db8::1", "2001:db8::2", true),
        ("2001:db8::1", "2001:db8::/32", true), ("2001:db8::1", "2001:db9::/32", false),
        ("2001:db8::1", "0.0.0.0/0", false), ("2001:db8::1", "::/0", true),
    ])
    func release(_ client: String, _ block: String, _ isReleased: Bool) throws {
        let table = ClientTable()
        let limits = settings { $0.rates.messagesPerMinute = 1 }
        let address = try address(client)
        let block = try #require(AddressBlock(block))
        #expect(table.message(address, limits, exempt: false, now: now) == .taken)
        #expect(table.message(address, limits, exempt: false, now: now) != .taken)
        table.failed(address, now: now)
        let count = table.release(block, limits, now: now)
        #expect(count == (isReleased ? 2 : 0))
        #expect(table.release(block, limits, now: now) == 0)
        #expect((table.message(address, limits, exempt: false, now: now) == .taken) == isReleased)
    }

    // MARK: Bounds

    /// However many clients come, the table is as large as at the start, counts of open connections stay right, and known
    /// clients are not pushed out by unknown ones.
    @Test func aFloodOfClientsPushesOutTheStalestUnknown() {
        let table = ClientTable(addresses: 2_048, networks: 2_048)
        let limits = settings { $0.maxConnectionsPerIP = 1 }
        let (good, open) = ((0..<200).map { v4(0x10000 + $0) }, (0..<100).map { v4(0x20000 + $0) })
        for client in good { table.delivered(client, now: now) }
        for client in open { #expect(enter(table, client, limits) == .admitted) }
        for n in 0..<20_000 {
            table.failed(v4(0x800000 + n), now: now.advanced(bySeconds: Double(n) / 100))
        }
        let later = now.advanced(bySeconds: 200)
        #expect(good.allSatisfy { table.isKnownGood($0, now: later) })
        #expect(open.allSatisfy { enter(table, $0, limits, later) == .fullForPeer })
        #expect(table.rows(.tarpit, limit: 100_000, limits, now: later).count <= 2_048)
        // The last ones are remembered, the first ones are not.
        #expect(table.failed(v4(0x800000 + 19_999), now: later) == 1)
        #expect(table.failed(v4(0x800000), now: later) == 0)
        for client in open { table.leave(client) }
        #expect(table.isEmpty)
    }

    /// Where every record has a connection open, one more is refused rather than not counted.
    @Test func neverMoreOpenClientsThanRecords() {
        let table = ClientTable(addresses: 2_048, networks: 2_048)
        let limits = settings { $0.maxConnections = 1_000_000 }
        var admitted: [IPAddress] = []
        for n in 0..<8_000 {
            let verdict = enter(table, v4(n << 8), limits)
            if verdict == .admitted { admitted.append(v4(n << 8)) } else { #expect(verdict == .full) }
        }
        #expect(admitted.count > 1_500 && admitted.count <= 2_048)
        #expect(table.open == admitted.count)
        for client in admitted { table.leave(client) }
        #expect(table.isEmpty)
        #expect(table.rows(.limits, limit: 10_000, limits, now: now).allSatisfy { $0.open == 0 })
    }

    /// As many different clients as a usual server has connections find room.
    @Test func theUsualTableHoldsTheUsualConnections() {
        let table = ClientTable()
        let limits = settings()
        #expect((0..<9_000).allSatisfy { enter(table, v4($0 << 8), limits) == .admitted })
    }

    // MARK: Threads

    @Test func limitsHoldOverThreads() {
        let table = ClientTable()
        let limits = settings {
            $0.maxConnections = 12
            $0.maxConnectionsPerIP = 3
            $0.maxConnectionsPerNetwork = 5
        }
        let watch = OpenWatch()
        let threads = (0..<6).map { thread in
            LoopThread.spawn("client-\(thread)") { [self] in
                var random = UInt64(thread) &* 0x9E37_79B9_7F4A_7C15 | 1
                for _ in 0..<5_000 {
                    random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    let n = Int(random >> 40) % 4
                    let client = v4(n / 2 << 8 | n)
                    guard enter(table, client, limits, exempt: false) == .admitted else { continue }
                    watch.entered(n)
                    table.failed(client, now: now)
                    watch.left(n)
                    table.leave(client)
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(watch.mostByClient <= 3)
        #expect(table.isEmpty)
        #expect(table.rows(.limits, limit: 100, limits, now: now).allSatisfy { $0.open == 0 })
        #expect(watch.entries > 0)
        #expect(table.rows(.tarpit, limit: 100, limits, now: now).reduce(0) { $0 + $1.failures } == watch.entries)
    }

    /// However threads interleave, a rate gives out exactly what it holds.
    @Test func ratesAreExactOverThreads() {
        let table = ClientTable()
        let limits = settings {
            $0.rates.messagesPerMinute = 1_000
            $0.rates.networkFactor = 2
        }
        let taken = TakenCount()
        let threads = (0..<6).map { thread in
            LoopThread.spawn("sender-\(thread)") { [self] in
                for _ in 0..<1_000 where table.message(v4(thread % 3), limits, exempt: false, now: now) == .taken {
                    taken.count.add(1, ordering: .relaxed)
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(taken.count.load(ordering: .relaxed) == 2_000)
    }
}

private final class TakenCount: Sendable {
    let count = Atomic<Int>(0)
}

/// What clients hold at once, as they see it themselves.
private final class OpenWatch: Sendable {
    private struct State {
        var open = [0, 0, 0, 0]
        var most = 0
        var entries = 0
    }

    private let state = Mutex(State())

    func entered(_ n: Int) {
        state.withLock {
            $0.open[n] += 1
            $0.most = max($0.most, $0.open[n])
            $0.entries += 1
        }
    }

    func left(_ n: Int) { state.withLock { $0.open[n] -= 1 } }
    var mostByClient: Int { state.withLock { $0.most } }
    var entries: Int { state.withLock { $0.entries } }
}
