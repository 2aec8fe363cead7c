import Base
import Synchronization

package struct AccountID: Sendable, Hashable, Comparable {
    package let rawValue: Int64
    package init(rawValue: Int64) { self.rawValue = rawValue }
    package static func < (a: AccountID, b: AccountID) -> Bool { a.rawValue < b.rawValue }
}

/// Octets a mailbox holds. Written by the store's writer after each commit, read by every loop at RCPT.
package final class MailboxUsage: Sendable {
    private let octets: Atomic<Int>
    package init(octets: Int) { self.octets = Atomic(octets) }
    package var current: Int { octets.load(ordering: .relaxed) }
    package func add(_ n: Int) { octets.add(n, ordering: .relaxed) }
}

/// A mailbox owner as RCPT needs it. Credentials are not here.
package struct AccountEntry: Sendable {
    package let id: AccountID
    /// Lower-case `local@domain`.
    package let address: [UInt8]
    package let isAdmin: Bool
    package let isDisabled: Bool
    /// nil: no limit.
    package let quotaOctets: Int?
    package let usage: MailboxUsage

    package init(
        id: AccountID, address: [UInt8], isAdmin: Bool, isDisabled: Bool, quotaOctets: Int?, usage: MailboxUsage
    ) {
        self.id = id
        self.address = address
        self.isAdmin = isAdmin
        self.isDisabled = isDisabled
        self.quotaOctets = quotaOctets
        self.usage = usage
    }
}

/// What a recipient address comes to.
package enum RecipientResolution: Sendable {
    /// The domain is not one of ours.
    case notLocal
    /// Our domain, nobody of that name.
    case unknown
    /// The account is there and takes no mail.
    case disabled
    /// The mailbox is full.
    case overQuota(DomainPolicy.QuotaRefusal)
    /// The alias leads round in a circle, or to more addresses than `DirectorySnapshot.targetsMax`.
    case aliasLoop
    /// Mailboxes here, and addresses elsewhere the alias forwards to (`local@domain`).
    case deliver(accounts: [AccountID], forwards: [[UInt8]])
}

/// The rules of one of our domains, to be asked by reference: the rules as a value are a dozen references to count.
package final class DomainRules: Sendable {
    package let policy: DomainPolicy
    init(_ policy: DomainPolicy) { self.policy = policy }
}

/// Domains, accounts and aliases at one moment, immutable. Loaded by the store, published to every loop; a transaction
/// captures one at MAIL and keeps it, so that RCPT never waits for the disk.
package final class DirectorySnapshot: Sendable {
    /// Aliases may name aliases this deep.
    package static let aliasDepthMax = 8
    /// Most addresses one recipient may expand to.
    package static let targetsMax = 1000

    package let version: Int
    private let domains: [[UInt8]: DomainRules]
    private let accounts: [[UInt8]: AccountEntry]
    private let aliases: [[UInt8]: [[UInt8]]]
    private let signingKeys: [[UInt8]: [SigningKey]]
    private let postmaster: AccountID?
    /// The rules for clients that fail before they name a recipient: of the domain that slows them least. nil: none slows
    /// anybody.
    package let mildestTarpit: (domain: [UInt8], rules: DomainDefense.Tarpit)?
    /// The longest that any domain keeps an answer back.
    package let strongestTarpitSeconds: Int

    /// Keys are lower-case bytes; an alias key `@domain` is that domain's catch-all.
    package init(
        version: Int, domains: [[UInt8]: DomainPolicy], accounts: [AccountEntry], aliases: [[UInt8]: [[UInt8]]],
        signingKeys: [SigningKey] = []
    ) {
        self.version = version
        self.domains = domains.mapValues { DomainRules($0) }
        self.accounts = Dictionary(accounts.map { ($0.address, $0) }, uniquingKeysWith: { first, _ in first })
        self.aliases = aliases
        self.signingKeys = Dictionary(grouping: signingKeys, by: \.domain).mapValues { keys in
            // Every verifier knows RSA, and some look at the first signatures only.
            keys.filter { $0.algorithm == .rsa } + keys.filter { $0.algorithm != .rsa }
        }
        // RFC 5321 §4.5.1: mail for postmaster is always taken, so somebody must get it.
        let candidates = accounts.filter { !$0.isDisabled }.sorted { $0.id < $1.id }
        postmaster = (candidates.first { $0.isAdmin } ?? candidates.first)?.id
        let slowing = domains.filter { $0.value.enabled && $0.value.defense.tarpit.isOn }
        strongestTarpitSeconds = slowing.lazy.map { $0.value.defense.tarpit.maxSeconds }.max() ?? 0
        mildestTarpit = slowing.min { a, b in
            let (first, second) = (a.value.defense.tarpit.maxSeconds, b.value.defense.tarpit.maxSeconds)
            return first != second ? first < second : a.key.lexicographicallyPrecedes(b.key)
        }.map { ($0.key, $0.value.defense.tarpit) }
    }

    package static let empty = DirectorySnapshot(version: 0, domains: [:], accounts: [], aliases: [:])

    package func policy(ofDomain domain: [UInt8]) -> DomainPolicy? { domains[domain]?.policy }
    package func rules(ofDomain domain: [UInt8]) -> DomainRules? { domains[domain] }
    package func account(_ address: [UInt8]) -> AccountEntry? { accounts[ASCII.lowercased(address)] }
    /// The keys to sign mail of `domain` (lower case) with, RSA first; empty when it has none or `dkim_sign` is off.
    package func dkimKeys(ofDomain domain: [UInt8]) -> [SigningKey] {
        domains[domain]?.policy.dkimSign == true ? signingKeys[domain] ?? [] : []
    }
    /// The keys to seal forwarded mail for `domain` with, RSA first; empty unless `arc_seal` is on.
    package func arcKeys(ofDomain domain: [UInt8]) -> [SigningKey] {
        domains[domain]?.policy.arcSeal == true ? signingKeys[domain] ?? [] : []
    }
    package var accountCount: Int { accounts.count }

    /// Where mail for `localpart@domain` goes. `domain` is lower case; an empty one is the bare `postmaster`.
    package func resolve(localpart: [UInt8], domain: [UInt8], declaredSize: Int) -> RecipientResolution {
        let local = ASCII.lowercased(localpart)
        if domain.isEmpty { return postmasterResolution() }
        guard let rules = domains[domain] else { return .notLocal }
        guard rules.policy.enabled else { return .unknown }
        var expansion = Expansion()
        let found = expand(local: local, domain: domain, rules: rules, depth: 0, into: &expansion)
        if expansion.overflowed { return .aliasLoop }
        if !found { return local == Array("postmaster".utf8) ? postmasterResolution() : .unknown }
        return finish(expansion, rules: rules, declaredSize: declaredSize)
    }

    private struct Expansion {
        var accounts: [AccountEntry] = []
        var forwards: [[UInt8]] = []
        var overflowed = false

        var count: Int { accounts.count + forwards.count }
    }

    private func postmasterResolution() -> RecipientResolution {
        postmaster.map { .deliver(accounts: [$0], forwards: []) } ?? .unknown
    }

    private func finish(_ e: Expansion, rules: DomainRules, declaredSize: Int) -> RecipientResolution {
        let open = e.accounts.filter { !$0.isDisabled }
        if open.isEmpty, e.forwards.isEmpty { return .disabled }
        let roomy = open.filter { account in
            guard let quota = account.quotaOctets else { return true }
            let (needed, overflow) = account.usage.current.addingReportingOverflow(max(0, declaredSize))
            return !overflow && needed <= quota
        }
        if roomy.count < open.count { return .overQuota(rules.policy.quotaRefusal) }
        return .deliver(accounts: roomy.map(\.id), forwards: e.forwards)
    }

    /// Exact account, exact alias, the same without sub-address, then the catch-all. False: nothing matched.
    private func expand(
        local: [UInt8], domain: [UInt8], rules: DomainRules, depth: Int, into e: inout Expansion
    ) -> Bool {
        let address = local + [ASCII.at] + domain
        if take(address, depth: depth, into: &e) { return true }
        if let separator = rules.policy.subaddressSeparator, let cut = local.firstIndex(of: separator), cut > 0 {
            if take(Array(local[..<cut]) + [ASCII.at] + domain, depth: depth, into: &e) { return true }
        }
        return take([ASCII.at] + domain, depth: depth, into: &e)
    }

    private func take(_ key: [UInt8], depth: Int, into e: inout Expansion) -> Bool {
        if let account = accounts[key] {
            if !e.accounts.contains(where: { $0.id == account.id }) { e.accounts.append(account) }
            return true
        }
        guard let targets = aliases[key] else { return false }
        guard depth < Self.aliasDepthMax else {
            e.overflowed = true
            return true
        }
        for target in targets where !e.overflowed {
            guard e.count < Self.targetsMax else {
                e.overflowed = true
                return true
            }
            follow(target, depth: depth + 1, into: &e)
        }
        return true
    }

    private func follow(_ target: [UInt8], depth: Int, into e: inout Expansion) {
        guard let at = target.lastIndex(of: ASCII.at) else { return }
        let domain = ASCII.lowercased(Array(target[(at + 1)...]))
        guard let rules = domains[domain] else {
            if !e.forwards.contains(target) { e.forwards.append(target) }
            return
        }
        // A target of ours that is not there (any more) is skipped: the others still get the message.
        _ = expand(
            local: ASCII.lowercased(Array(target[..<at])), domain: domain, rules: rules, depth: depth, into: &e)
    }
}
