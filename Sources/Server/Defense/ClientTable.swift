package import Base
package import Policy
package import Protocols
import Synchronization

/// Every client the server has dealt with lately, by address and by network: connections, rates, failures, good name. One
/// for all loops, because SO_REUSEPORT spreads one client over every loop.
///
/// Shareable: an atomic and shards behind locks. Bounded: all memory is taken at the start, and no look-up allocates; when
/// there is no room the stalest client without a connection is forgotten. Nobody can aim at a place of it: the hash has
/// the seed of the process.
///
/// `exempt` is what the caller knows of the session: the client is in the operators' exceptions or in
/// `LimitSettings.trusted`, which is best asked once for each connection.
package final class ClientTable: Sendable {
    package static let addressesUsual = 65_536
    package static let networksUsual = 32_768

    /// One connection in so many is kept for clients that are trusted or known to be good.
    private static let reservedPart = 10

    private let total = Atomic<Int>(0)
    private let held = Atomic<Int>(0)
    private let addresses: ClientShards
    private let networks: ClientShards
    /// Told of good names that are to outlive a restart: of one client when it gets it, every `ClientRecord.journalSeconds`
    /// while it earns it anew, and when it lost it.
    private let remember: (@Sendable (GoodClient) -> Void)?

    /// Room for so many, rounded up to whole shards.
    package init(
        addresses: Int = addressesUsual, networks: Int = networksUsual,
        remember: (@Sendable (GoodClient) -> Void)? = nil
    ) {
        self.addresses = ClientShards(records: addresses)
        self.networks = ClientShards(records: networks)
        self.remember = remember
    }

    // MARK: Connections

    /// SMTP connections now.
    package var open: Int { total.load(ordering: .relaxed) }
    package var isEmpty: Bool { open == 0 }

    /// Unless admitted, `leave` must not be called. A nil address (a Unix socket) counts in the total only.
    package func enter(
        _ address: IPAddress?, _ settings: LimitSettings, exempt: Bool, shedUnknown: Bool, now: Instant
    ) -> AdmissionVerdict {
        let count = total.add(1, ordering: .relaxed).newValue
        let verdict = judge(address, settings, count, exempt: exempt, shedUnknown: shedUnknown, now)
        if verdict != .admitted { total.subtract(1, ordering: .relaxed) }
        return verdict
    }

    private func judge(
        _ address: IPAddress?, _ settings: LimitSettings, _ count: Int, exempt: Bool, shedUnknown: Bool, _ now: Instant
    ) -> AdmissionVerdict {
        guard count <= settings.maxConnections else { return .full }
        guard let address else { return .admitted }
        let isExempt = exempt || settings.trusts(address)
        let isReserved = count > settings.maxConnections - settings.maxConnections / Self.reservedPart
        let one = ClientRecord.EntryRules(
            openMax: settings.maxConnectionsPerIP, rates: settings.rates, isExempt: isExempt,
            unknown: shedUnknown ? .shed : isReserved ? .full : nil)
        let verdict = addresses.claim(ClientKey(address), now) { $0.enter(one, now) } ?? .full
        guard verdict == .admitted else { return verdict }
        let all = ClientRecord.EntryRules(
            openMax: settings.maxConnectionsPerNetwork, rates: settings.rates.network, isNetwork: true,
            isExempt: isExempt)
        let together = networks.claim(ClientKey(networkOf: address), now) { $0.enter(all, now) } ?? .full
        if together != .admitted { addresses.known(ClientKey(address)) { $0.leave() } }
        return together
    }

    package func leave(_ address: IPAddress?) {
        total.subtract(1, ordering: .relaxed)
        guard let address else { return }
        addresses.known(ClientKey(address)) { $0.leave() }
        networks.known(ClientKey(networkOf: address)) { $0.leave() }
    }

    // MARK: Rates

    /// At MAIL.
    package func message(_ address: IPAddress?, _ settings: LimitSettings, exempt: Bool, now: Instant) -> RateVerdict {
        guard let address, !exempt, settings.rates.messagesPerMinute > 0 else { return .taken }
        return rate(address, settings, now) { $0.message($1, now) }
    }

    /// At each RCPT.
    package func recipient(_ address: IPAddress?, _ settings: LimitSettings, exempt: Bool, now: Instant) -> RateVerdict
    {
        guard let address, !exempt, settings.rates.recipientsPerMinute > 0 else { return .taken }
        return rate(address, settings, now) { $0.recipient($1, now) }
    }

    /// Trusted clients are looked for only when they would be refused: the list may be long.
    private func rate(
        _ address: IPAddress, _ settings: LimitSettings, _ now: Instant,
        _ take: (inout ClientRecord, RateLimits) -> UInt64
    ) -> RateVerdict {
        let wait = addresses.claim(ClientKey(address), now) { take(&$0, settings.rates) } ?? 0
        if wait > 0 {
            return settings.trusts(address) ? .taken : .tooFast(perNetwork: false, seconds: Self.seconds(wait))
        }
        let all = settings.rates.network
        let together = networks.claim(ClientKey(networkOf: address), now) { take(&$0, all) } ?? 0
        guard together > 0, !settings.trusts(address) else { return .taken }
        return .tooFast(perNetwork: true, seconds: Self.seconds(together))
    }

    private static func seconds(_ nanoseconds: UInt64) -> Int {
        Int(clamping: nanoseconds / 1_000_000_000) + (nanoseconds % 1_000_000_000 == 0 ? 0 : 1)
    }

    // MARK: Logins

    /// Asked once for each AUTH, before the credentials are looked at: a refused client learns nothing by guessing. Takes a
    /// token of the limit, so that one of `loginFailed`, `loggedIn` and `loginUnavailable` has to follow; without any of
    /// them the token comes back with time. A client that is known to be good does not answer for its network.
    package func mayLogin(
        _ address: IPAddress?, _ settings: LimitSettings, exempt: Bool = false, now: Instant
    ) -> Bool { login(address, settings, exempt: exempt, now: now) == .allowed }

    package enum LoginVerdict: Sendable, Hashable { case allowed, tooMany, tooManyOfNetwork }

    /// `mayLogin`, and whose failures were too many.
    package func login(
        _ address: IPAddress?, _ settings: LimitSettings, exempt: Bool = false, now: Instant
    ) -> LoginVerdict {
        guard let address, !exempt, settings.rates.failedLogins > 0, !settings.trusts(address) else { return .allowed }
        let key = ClientKey(address)
        let (isAllowed, isGood) =
            addresses.claim(key, now) { ($0.mayLogin(settings.rates, now), $0.isKnownGood(now)) } ?? (true, false)
        guard isAllowed, !isGood else { return isAllowed ? .allowed : .tooMany }
        let all = settings.rates.network
        guard networks.claim(ClientKey(networkOf: address), now, { $0.mayLogin(all, now) }) ?? true else {
            // It was not this client's attempt that was too much.
            addresses.known(key) { _ = $0.endLogin(givesBack: true, now) }
            return .tooManyOfNetwork
        }
        addresses.known(key) { $0.noteNetworkLogin() }
        return .allowed
    }

    /// The credentials were wrong.
    package func loginFailed(_ address: IPAddress?, _ settings: LimitSettings, exempt: Bool = false, now: Instant) {
        guard let address, !exempt, settings.rates.failedLogins > 0, !settings.trusts(address) else { return }
        let (key, network) = (ClientKey(address), ClientKey(networkOf: address))
        switch addresses.known(key, { $0.endLogin(givesBack: false, now) }) ?? .none {
        case .own: break
        case .ownAndNetwork: networks.known(network) { _ = $0.endLogin(givesBack: false, now) }
        case .none:
            addresses.claim(key, now) { $0.chargeLogin(settings.rates, now) }
            networks.claim(network, now) { $0.chargeLogin(settings.rates.network, now) }
        }
    }

    /// A good name, and the token back; but no pardon for what failed before: who has one account here would buy guesses
    /// at others with it.
    package func loggedIn(_ address: IPAddress?, now: Instant) {
        loginUnavailable(address, now: now)
        delivered(address, now: now)
    }

    /// Whether the credentials are right could not be found out: the token comes back.
    package func loginUnavailable(_ address: IPAddress?, now: Instant) {
        guard let address else { return }
        let tokens = addresses.known(ClientKey(address)) { $0.endLogin(givesBack: true, now) }
        guard tokens == .ownAndNetwork else { return }
        networks.known(ClientKey(networkOf: address)) { _ = $0.endLogin(givesBack: true, now) }
    }

    // MARK: Conduct

    /// A refused recipient, a bad command, a failed login: what tarpits count. The answer is how many there were before.
    @discardableResult
    package func failed(_ address: IPAddress?, now: Instant) -> Int {
        guard let address else { return 0 }
        let key = ClientKey(address)
        let (before, isLost) = addresses.claim(key, now) { ($0.fail(now), $0.lostItsGoodName(now)) } ?? (0, false)
        if isLost { remember?(GoodClient(key: key, name: nil)) }
        return before
    }

    /// Asked before `failed` counts what is being answered, so that the first failure is not held. Whole seconds.
    package func tarpitDelay(_ address: IPAddress?, maxSeconds: Int, now: Instant) -> Double {
        guard let address else { return 0 }
        return Double(addresses.known(ClientKey(address)) { $0.tarpitSeconds(max: maxSeconds, now) } ?? 0)
    }

    /// A message of the client was accepted, and not as junk.
    package func delivered(_ address: IPAddress?, now: Instant) {
        guard let address else { return }
        let key = ClientKey(address)
        guard let name = addresses.claim(key, now, { $0.proved(now) }) ?? nil else { return }
        remember?(GoodClient(key: key, name: name))
    }

    package func isKnownGood(_ address: IPAddress?, now: Instant) -> Bool {
        guard let address else { return true }
        return addresses.known(ClientKey(address)) { $0.isKnownGood(now) } ?? false
    }

    // MARK: Restarts

    /// What the journal held of a client; before any loop runs.
    func restore(_ client: GoodClient, now: Instant) {
        if let name = client.name {
            addresses.claim(client.key, now) { $0.restore(name, now) }
        } else {
            addresses.known(client.key) { $0.restore(ClientRecord.GoodName(seconds: 0, deliveries: 0), now) }
        }
    }

    /// Every client that is known to be good.
    func eachGood(now: Instant, _ body: (GoodClient) -> Void) {
        addresses.look { key, record in
            // A name the journal was not told of would not be taken back in it when it is lost.
            if record.isJournaledGood, let name = record.goodName(now) { body(GoodClient(key: key, name: name)) }
        }
    }

    // MARK: Held sessions

    /// Sessions whose answer waits now.
    package var heldSessions: Int { held.load(ordering: .relaxed) }

    /// Whether one more session may be held; if so, `unhold` must follow.
    package func hold(_ settings: LimitSettings) -> Bool {
        if held.add(1, ordering: .relaxed).newValue <= settings.maxHeldSessions { return true }
        held.subtract(1, ordering: .relaxed)
        return false
    }

    package func unhold() { held.subtract(1, ordering: .relaxed) }

    // MARK: Operators

    /// Those that matter most first; at most `limit`.
    package func rows(_ kind: ClientRow.Kind, limit: Int, _ settings: LimitSettings, now: Instant) -> [ClientRow] {
        var top = TopRows(limit: limit, kind: kind)
        addresses.look { Self.row(kind, $0, $1, settings.rates, now).map { top.add($0) } }
        if kind == .limits {
            networks.look { Self.row(kind, $0, $1, settings.rates.network, now).map { top.add($0) } }
        }
        return top.sorted
    }

    private static func row(
        _ kind: ClientRow.Kind, _ key: ClientKey, _ record: ClientRecord, _ rates: RateLimits, _ now: Instant
    ) -> ClientRow? {
        switch kind {
        case .limits: guard record.open > 0 || record.isHeldBack(rates, now) else { return nil }
        case .tarpit: guard record.failures(now) > 0 else { return nil }
        }
        guard let block = key.block else { return nil }
        return ClientRow(
            client: block, isNetwork: key.isNetwork, open: Int(record.open), spent: record.spent(rates, now),
            failures: record.failures(now), slowedSeconds: record.slowedSeconds(now), refused: record.refused,
            isKnownGood: record.isKnownGood(now), idleSeconds: now.seconds(since: record.touched))
    }

    /// Forgets refusals, failures and used-up rates of every client and network that has an address in `block`, and says of
    /// how many. Their open connections still count.
    package func release(_ block: AddressBlock, _ settings: LimitSettings, now: Instant) -> Int {
        var count = 0
        let release = { (key: ClientKey, record: inout ClientRecord) in
            guard key.overlaps(block), record.isHeldBack(settings.rates, now) else { return }
            record.release()
            count += 1
        }
        addresses.walk(release)
        networks.walk(release)
        return count
    }
}
