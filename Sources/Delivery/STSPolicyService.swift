package import Base
import CEpoll
package import Fetch
import Handoff
package import MailAuth
package import Protocols
import Synchronization

/// Knows the MTA-STS policy of every domain that mail goes to. One for the process.
///
/// What is known is behind a lock and told on the caller's thread. What is not known is asked for by the `mta-sts` thread,
/// which never waits for one domain alone: DNS answers come to its mailbox, and the blocking fetches run on a few threads of
/// their own, so a policy host that dawdles holds up one of those. Lookups for one domain share one question.
package final class STSPolicyService: Sendable {
    /// Lookups that may wait at once.
    private static let waitingMax = 4_000

    /// Something an administrator may want to read about.
    package enum Note: Sendable, Hashable {
        case fetched(domain: [UInt8], id: [UInt8], mode: MTASTSPolicy.Mode)
        /// `hasCached`: an earlier policy goes on to hold.
        // RFC 8461 §3.3: "MTAs SHOULD alert administrators"
        case failed(domain: [UInt8], TLSResultType, detail: [UInt8], hasCached: Bool)
    }

    package struct Options: Sendable {
        package var access = FetchAccess()
        package var fetchThreads = 4
        /// Seconds between looks for policies to renew.
        package var renewalInterval = 600
        /// Called on the service's thread.
        package var note: @Sendable (Note) -> Void = { _ in }

        package init() {}
    }

    private let shared: STSShared
    private let thread: ThreadHandle

    /// Reads `storage` at once. `wall`: the civil clock, from any thread.
    package init(
        resolver: any DNSResolver, storage: any STSPolicyStorage, options: Options = Options(),
        wall: @escaping @Sendable () -> WallTime
    ) {
        let shared = STSShared(
            resolver: resolver, storage: storage, options: options, wall: wall,
            table: STSPolicyTable(storage.load(), now: wall()))
        self.shared = shared
        thread = LoopThread.spawn("mta-sts") { STSPolicyThread(shared).run() }
    }

    /// Tells what holds for `domain` (lower-case A-labels) now: at once on the caller's thread when it is known, else
    /// later on another. `reply` is called once and must not block: post to your own mailbox. False: too much is under
    /// way, nobody will reply; try the delivery later.
    package func lookup(_ domain: [UInt8], reply: @escaping @Sendable (STSVerdict) -> Void) -> Bool {
        let now = shared.wall()
        if let verdict = shared.table.withLock({ $0.known(domain, now: now) }) {
            reply(verdict)
            return true
        }
        guard shared.waiting.add(1, ordering: .relaxed).newValue <= Self.waitingMax,
            shared.inbox.post(.lookup(domain, reply))
        else {
            shared.waiting.subtract(1, ordering: .relaxed)
            return false
        }
        return true
    }

    /// Fetches that begin from here on go by `access`. May block. False: the thread does not take it.
    package func configure(_ access: FetchAccess) -> Bool {
        Patience.insist { shared.inbox.post(.access(access)) }
    }

    /// Ends the service's thread; a fetch under way ends by itself. Replies still owed tell what is cached.
    package func stop() {
        while !shared.inbox.post(.stop) {}
        thread.join()
    }
}

/// What the service, its thread and the fetching threads have in common. Shareable: constants, a table under a lock, a
/// counter and a mailbox.
final class STSShared: Sendable {
    enum Event: Sendable {
        case lookup([UInt8], @Sendable (STSVerdict) -> Void)
        case answers([UInt8], [(DNSQuestion, DNSAnswer)])
        case fetched([UInt8], id: [UInt8], by: Int, Result<STSFetch.Success, STSFetch.Failure>)
        case access(FetchAccess)
        case stop
    }

    let resolver: any DNSResolver
    let storage: any STSPolicyStorage
    let options: STSPolicyService.Options
    let wall: @Sendable () -> WallTime
    let table: Mutex<STSPolicyTable>
    /// Lookups without a reply yet.
    let waiting = Atomic<Int>(0)
    /// Has room for every event that can be under way: two per waiting lookup, and renewals.
    let inbox = Mailbox<Event>(capacity: 16_384)

    init(
        resolver: any DNSResolver, storage: any STSPolicyStorage, options: STSPolicyService.Options,
        wall: @escaping @Sendable () -> WallTime, table: STSPolicyTable
    ) {
        self.resolver = resolver
        self.storage = storage
        self.options = options
        self.wall = wall
        self.table = Mutex(table)
    }
}
