package import Base
package import Policy
import Synchronization

/// What accounts have sent of late, by address: one for all loops, because a user's connections are on any of them. Who
/// has somebody's password has no more than this of it.
///
/// Shareable: shards behind locks, each held for one record, or while an operator's command copies them. Bounded:
/// `accountsMax` records; beyond that one makes room that has nothing used up, else the stalest of those who were not refused. Accounts are made by
/// operators, so nobody can aim at that. In memory only: a restart forgives.
package final class AccountTable: Sendable {
    package static let accountsUsual = 16_384
    private static let shardCount = 16

    private struct Shard {
        var records: [[UInt8]: AccountSpending] = [:]
    }

    private let limits: Mutex<AccountLimits>
    private let shards: [Box]
    private let shardMax: Int

    private final class Box: Sendable {
        let state = Mutex(Shard())
    }

    package init(_ limits: AccountLimits, accountsMax: Int = accountsUsual) {
        self.limits = Mutex(limits)
        shards = (0..<Self.shardCount).map { _ in Box() }
        shardMax = max(1, accountsMax / Self.shardCount)
    }

    package var current: AccountLimits { limits.withLock { $0 } }

    package func publish(_ new: AccountLimits) { limits.withLock { $0 = new } }

    /// At MAIL. `account` is in lower case.
    package func message(_ account: [UInt8], now: Instant) -> AccountVerdict {
        let limits = current
        guard limits.messagesPerHour > 0, !limits.exempt.contains(account) else { return .taken }
        return claim(account, limits, now) { $0.message(limits, now) }
    }

    /// At each RCPT.
    package func recipient(_ account: [UInt8], now: Instant) -> AccountVerdict {
        let limits = current
        guard limits.recipientsPerHour > 0, !limits.exempt.contains(account) else { return .taken }
        return claim(account, limits, now) { $0.recipient(limits, now) }
    }

    // MARK: Operators

    /// Accounts with something used up or refused: refused ones first, then who has used up most.
    package func rows(now: Instant) -> [AccountRow] {
        let limits = current
        var out: [AccountRow] = []
        for shard in shards {
            for (account, record) in shard.state.withLock({ $0.records }) {
                let (messages, recipients) = record.spent(limits, now)
                guard messages > 0 || recipients > 0 || record.refused > 0 else { continue }
                out.append(
                    AccountRow(account: account, messages: messages, recipients: recipients, refused: record.refused))
            }
        }
        return out.sorted {
            if $0.refused != $1.refused { return $0.refused > $1.refused }
            if $0.messages != $1.messages { return $0.messages > $1.messages }
            if $0.recipients != $1.recipients { return $0.recipients > $1.recipients }
            return $0.account.lexicographicallyPrecedes($1.account)
        }
    }

    /// Forgets what is counted of one account, or of all; how many that were.
    package func release(_ account: [UInt8]?) -> Int {
        guard let account else {
            return shards.reduce(0) { count, shard in
                count
                    + shard.state.withLock { state in
                        defer { state.records = [:] }
                        return state.records.count
                    }
            }
        }
        return shard(account).state.withLock { $0.records.removeValue(forKey: account) == nil ? 0 : 1 }
    }

    // MARK: Records

    private func claim(
        _ account: [UInt8], _ limits: AccountLimits, _ now: Instant, _ take: (inout AccountSpending) -> AccountVerdict
    ) -> AccountVerdict {
        let most = shardMax
        return shard(account).state.withLock { state in
            if state.records[account] == nil, state.records.count >= most {
                Self.makeRoom(&state, most, limits, now)
            }
            return take(&state.records[account, default: AccountSpending(now)])
        }
    }

    /// Over one shard, when it is full and somebody new comes.
    private static func makeRoom(_ state: inout Shard, _ most: Int, _ limits: AccountLimits, _ now: Instant) {
        state.records = state.records.filter { !$0.value.isIdle(limits, now) }
        guard state.records.count >= most else { return }
        // Who was refused goes last.
        let least = state.records.min { a, b in
            let (first, second) = (a.value, b.value)
            if (first.refused == 0) != (second.refused == 0) { return first.refused == 0 }
            return first.touched < second.touched
        }
        if let least { state.records[least.key] = nil }
    }

    private func shard(_ account: [UInt8]) -> Box {
        shards[Int(UInt(bitPattern: account.hashValue) % UInt(Self.shardCount))]
    }
}

/// One line of what operators see of accounts.
package struct AccountRow: Sendable, Hashable {
    package var account: [UInt8]
    /// Used up of the hour's.
    package var messages: Int
    package var recipients: Int
    package var refused: Int
}
