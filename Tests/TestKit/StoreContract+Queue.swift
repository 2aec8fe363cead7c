import Base
import Policy
import Protocols
import Store

extension StoreContract {
    static let queueCases: [Case] = [
        Case(description: "rows of one destination at a time", run: sites),
        Case(description: "rows accepted with a lease", run: acceptedLeased),
        Case(description: "what a recipient has of its own", run: ownSender),
        Case(description: "rows that begin as held", run: heldFromTheStart),
        Case(description: "leases of a dead owner", run: takeBack),
        Case(description: "hold, release, retry, delete", run: operators),
        Case(description: "a held destination", run: holds),
        Case(description: "filters and pages of the queue", run: filters),
        Case(description: "rows grown old", run: aged),
        Case(description: "a notice with what it is about", run: deferralWithNotice),
        Case(description: "a report kept with its message", run: withReports),
        Case(description: "MTA-STS policies", run: policies),
        Case(description: "results of transport security", run: results),
    ]

    private static func at(_ seconds: Int64) -> WallTime { WallTime(seconds: seconds) }
    private static let me = LeaseOwner(rawValue: 77)
    private static let other = LeaseOwner(rawValue: 78)
    private static let z = b("z.example")

    private static func say(_ value: some Any) -> StoreError { .invalid("\(value)") }

    private static func sites(_ store: StoreClient) throws {
        _ = store.accept(request(1, remote: ["p@z.example", "q@Y.example", "r@Z.EXAMPLE"]))
        _ = store.accept(request(2, remote: ["s@z.example"], at: 150))
        try store.write { (s) throws(StoreError) in
            let first = try s.lease(site: z, count: 2, owner: me, until: at(300), now: at(200))
            let ids = first.rows.map { [$0.lease.row.message.rawValue, Int64($0.lease.row.recipient)] }
            guard ids == [[1, 0], [1, 2]], first.nextDue == at(150) else { throw say((ids, first.nextDue)) }
            let counts = try s.queueSites(at: at(200))
            guard
                counts == [
                    QueueSiteCounts(
                        site: b("y.example"), rows: 1, held: 0, leased: 0, due: at(100), oldest: at(100)),
                    QueueSiteCounts(site: z, rows: 3, held: 0, leased: 2, due: at(150), oldest: at(100)),
                ]
            else { throw say(counts) }
            let none = try s.lease(site: b("nowhere.example"), count: 2, owner: me, until: at(300), now: at(200))
            guard none == LeasedBatch(rows: [], nextDue: nil) else { throw say(none) }
            let rest = try s.lease(site: z, count: 9, owner: me, until: at(300), now: at(200))
            // What is left is leased: it comes back when its lease ends.
            guard rest.rows.count == 1, rest.nextDue == at(300) else { throw say(rest) }
            let byRow = try s.lease(
                rows: [rest.rows[0].lease.row, QueueRowID(message: MessageID(rawValue: 1), recipient: 1)], owner: me,
                until: at(400), now: at(200))
            guard byRow.map(\.recipient.address) == [b("q@Y.example")] else { throw say(byRow) }
            let total = try s.queueCounts(at: at(200))
            guard total == QueueCounts(total: 4, due: 0, leased: 4, held: 0) else { throw say(total) }
        }
    }

    private static func acceptedLeased(_ store: StoreClient) throws {
        var asked = request(1, remote: ["p@z.example", "q@z.example"])
        asked.leasedTo = me
        asked.leaseUntil = at(400)
        let leases = asked.leases
        _ = store.accept(asked)
        try store.write { (s) throws(StoreError) in
            let early = try s.lease(site: z, count: 9, owner: me, until: at(500), now: at(399))
            guard early.rows.isEmpty, early.nextDue == at(400) else { throw say(early) }
            let done = try s.settle([Outcome(lease: leases[0], result: .done)])
            guard done == [true] else { throw say(done) }
            // A clock that jumps takes nobody's own rows from him: they may be worked on.
            let own = try s.lease(site: z, count: 9, owner: me, until: at(900), now: at(400))
            guard own == LeasedBatch(rows: [], nextDue: nil),
                try s.lease(rows: [leases[1].row], owner: me, until: at(900), now: at(400)).isEmpty,
                try s.expiredLeases(of: me, limit: 9, at: at(399)).isEmpty,
                try s.expiredLeases(of: me, limit: 9, at: at(400)) == [OwnedLease(lease: leases[1], site: z)]
            else { throw say(own) }
            let late = try s.lease(site: z, count: 9, owner: other, until: at(900), now: at(400))
            guard late.rows.count == 1, late.rows[0].lease.generation == Lease.firstGeneration + 1,
                try s.settle([Outcome(lease: leases[1], result: .done)]) == [false]
            else { throw say(late) }
        }
    }

    private static func ownSender(_ store: StoreClient) throws {
        let asked = AcceptRequest(
            id: MessageID(rawValue: 1), received: at(100), sender: b("s@y.example"), trace: [], body: .inline([1]),
            remote: [
                RemoteRecipient(address: b("p@z.example"), sender: b("srs@x.example"), prefix: b("ARC-Seal: x\r\n")),
                RemoteRecipient(address: b("q@z.example"), sender: []), RemoteRecipient(address: b("r@z.example")),
            ])
        _ = store.accept(asked)
        let batch = try store.write { (s) throws(StoreError) in
            try s.lease(site: z, count: 9, owner: me, until: at(500), now: at(399))
        }
        try require(batch.rows.map(\.recipient) == asked.remote, "\(batch.rows.map(\.recipient))")
        let page = try store.read { (s) throws(StoreError) in
            try s.queued(QueueFilter(), after: nil, limit: 9, scanMax: 9, at: at(399))
        }
        let senders = page.rows.map(\.sender)
        try require(senders == [b("srs@x.example"), [], b("s@y.example")], "\(senders)")
    }

    /// Rows that begin as held wait for an operator, and say why.
    private static func heldFromTheStart(_ store: StoreClient) throws {
        var asked = request(1, remote: ["p@z.example", "q@y.example"])
        asked.hold = b("quarantined by f: why")
        _ = store.accept(asked)
        let page = try store.read { (s) throws(StoreError) in
            try s.queued(QueueFilter(), after: nil, limit: 9, scanMax: 9, at: at(200))
        }
        try require(
            page.rows.count == 2 && page.rows.allSatisfy { $0.isHeld && $0.status == b("quarantined by f: why") },
            "\(page.rows)")
        try store.write { (s) throws(StoreError) in
            guard try s.lease(site: z, count: 9, owner: me, until: at(900), now: at(200)).rows.isEmpty,
                try s.nextDue(z) == nil, try s.setHeld(page.rows.map(\.row), false) == 2
            else { throw say("not held") }
            guard try s.lease(site: z, count: 9, owner: me, until: at(900), now: at(200)).rows.count == 1 else {
                throw say("not released")
            }
        }
    }

    private static func takeBack(_ store: StoreClient) throws {
        _ = store.accept(request(1, remote: ["p@z.example", "q@z.example", "r@y.example"]))
        try store.write { (s) throws(StoreError) in
            let old = try s.lease(site: z, count: 1, owner: other, until: at(900), now: at(200)).rows
            let mine = try s.lease(site: z, count: 1, owner: me, until: at(900), now: at(200)).rows
            guard try s.takeBack(exceptOf: me, now: at(210)) == 1 else { throw say("count") }
            guard try s.settle(old.map { Outcome(lease: $0.lease, result: .done) }) == [false],
                try s.settle(mine.map { Outcome(lease: $0.lease, result: .done) }) == [true]
            else { throw say("the wrong lease was taken") }
            let again = try s.lease(site: z, count: 9, owner: me, until: at(900), now: at(210)).rows
            guard again.map(\.lease.row) == old.map(\.lease.row), again[0].attempts == 0 else { throw say(again) }
        }
    }

    private static func operators(_ store: StoreClient) throws {
        _ = store.accept(request(1, remote: ["p@z.example", "q@z.example", "r@z.example"]))
        let rows = (0..<4).map { QueueRowID(message: MessageID(rawValue: 1), recipient: Int32($0)) }
        try store.write { (s) throws(StoreError) in
            guard try s.setHeld([rows[0], rows[3]], true) == 1, try s.setHeld([rows[0]], true) == 0 else {
                throw say("held")
            }
            let batch = try s.lease(site: z, count: 9, owner: me, until: at(900), now: at(200)).rows
            guard batch.map(\.lease.row) == [rows[1], rows[2]] else { throw say(batch) }
            let counts = try s.queueCounts(at: at(200))
            guard counts == QueueCounts(total: 3, due: 0, leased: 2, held: 1) else { throw say(counts) }
            let later = Outcome.Result.deferred(until: at(800), status: b("4.0.0 x"))
            _ = try s.settle([Outcome(lease: batch[0].lease, result: later)])
            // The row at a worker is left alone.
            guard try s.makeDue([rows[1], rows[2]], now: at(210)) == 1, try s.nextDue(z) == at(210) else {
                throw say("retry")
            }
            guard try s.setHeld([rows[0], rows[1]], false) == 1, try s.nextDue(z) == at(100) else {
                throw say("release")
            }
            // A row at a worker goes too; the worker's outcome is nobody's.
            guard try s.removeQueued([rows[2], rows[3]]) == 1,
                try s.settle([Outcome(lease: batch[1].lease, result: .done)]) == [false],
                try s.removeQueued([rows[0], rows[1]]) == 2, try s.message(MessageID(rawValue: 1)) == nil
            else { throw say("delete") }
        }
    }

    private static func holds(_ store: StoreClient) throws {
        try store.write { (s) throws(StoreError) in
            guard try s.holdSite(z, now: at(5)), try !s.holdSite(z, now: at(6)) else { throw say("hold") }
            guard try s.queueHolds() == [QueueHold(site: z, since: at(5))] else { throw say(try s.queueHolds()) }
            guard try s.releaseSite(z), try !s.releaseSite(z), try s.queueHolds().isEmpty else { throw say("release") }
        }
    }

    private static func filters(_ store: StoreClient) throws {
        _ = store.accept(request(1, remote: ["p@z.example", "Q@y.example"], at: 100))
        _ = store.accept(request(2, remote: ["p@z.example"], at: 200))
        _ = store.accept(request(3, remote: ["p@y.example"], at: 300))
        try store.write { (s) throws(StoreError) in
            let first = try s.lease(site: z, count: 1, owner: me, until: at(900), now: at(400)).rows
            let note = Outcome.Note(host: b("mx1.z.example"), attempted: at(405))
            let later = Outcome.Result.deferred(until: at(950), status: b("4.7.1 451 Greylisted"), note: note)
            _ = try s.settle(first.map { Outcome(lease: $0.lease, result: later) })
            _ = try s.setHeld([QueueRowID(message: MessageID(rawValue: 3), recipient: 0)], true)
        }
        func found(_ change: (inout QueueFilter) -> Void) throws -> [Int64] {
            var filter = QueueFilter()
            change(&filter)
            let wanted = filter
            return try store.read { (s) throws(StoreError) in
                try s.queued(wanted, after: nil, limit: 9, scanMax: 99, at: at(400)).rows
            }.map { $0.row.message.rawValue * 10 + Int64($0.row.recipient) }
        }
        let answers = [
            try found { $0.site = b("z.example") }, try found { $0.recipient = b("q@*") },
            try found { $0.sender = b("S@y.*") }, try found { $0.sender = b("*@no.example") },
            try found { $0.acceptedBefore = at(200) }, try found { $0.acceptedAfter = at(200) },
            try found { $0.message = MessageID(rawValue: 1) }, try found { $0.isHeld = true },
            try found { $0.status = b("4.7.*") }, try found { $0.status = b("greylist") },
            try found { $0.status = b("5.*") }, try found { $0.host = b("mx1.*") },
        ]
        let right: [[Int64]] = [
            [10, 20], [11], [10, 11, 20, 30], [], [10, 11], [30], [10, 11], [30], [10], [10], [], [10],
        ]
        try require(answers == right, "\(answers)")
        try pagesOfQueue(store)
    }

    private static func pagesOfQueue(_ store: StoreClient) throws {
        let pages = try store.read { (s) throws(StoreError) in
            var out: [QueuePage] = []
            var after: QueueRowID?
            repeat {
                let page = try s.queued(QueueFilter(), after: after, limit: 3, scanMax: 2, at: at(400))
                out.append(page)
                after = page.next
            } while after != nil
            return out
        }
        try require(pages.map(\.rows.count) == [2, 2, 0], "\(pages.map(\.rows.count))")
        let row = pages[0].rows[0]
        try require(
            row.host == b("mx1.z.example") && row.lastAttempt == at(405) && row.attempts == 1 && row.due == at(950)
                && row.received == at(100) && row.size == request(1).size && !row.isLeased && !row.isHeld,
            "\(row)")
        try require(pages[1].rows[1].isHeld && pages[1].rows[1].lastAttempt == nil, "\(pages[1].rows[1])")
    }

    private static func aged(_ store: StoreClient) throws {
        for id in 1...5 as ClosedRange<Int64> { _ = store.accept(request(id, remote: ["p@z.example"])) }
        try store.write { (s) throws(StoreError) in
            func old(_ warned: Int64, _ expired: Int64) throws(StoreError) -> Set<Int64> {
                let rows = try s.aged(
                    z, warned: MessageID(rawValue: warned), expired: MessageID(rawValue: expired), limit: 9, at: at(200)
                )
                return Set(rows.map(\.message.rawValue))
            }
            guard try old(4, 2) == [1, 2, 3] else { throw say(try old(4, 2)) }
            _ = try s.setHeld([QueueRowID(message: MessageID(rawValue: 3), recipient: 0)], true)
            let rows = try s.lease(
                rows: [QueueRowID(message: MessageID(rawValue: 2), recipient: 0)], owner: me, until: at(900),
                now: at(200))
            guard try old(4, 2) == [1] else { throw say(try old(4, 2)) }
            let note = Outcome.Note(attempted: nil, isWarned: true)
            let told = Outcome.Result.deferred(until: at(300), status: b("ignored"), note: note)
            _ = try s.settle(rows.map { Outcome(lease: $0.lease, result: told) })
            guard try old(4, 2) == [1], try old(4, 3) == [1, 2] else { throw say("warned") }
            let again = try s.lease(site: z, count: 9, owner: me, until: at(900), now: at(300)).rows
            let second = again.first { $0.lease.row.message.rawValue == 2 }
            guard second?.attempts == 0, second?.isWarned == true, again.filter(\.isWarned).count == 1 else {
                throw say(again)
            }
        }
    }

    private static func deferralWithNotice(_ store: StoreClient) throws {
        let (a, _) = try accounts(store)
        _ = store.accept(request(1, remote: ["p@z.example"]))
        try store.write { (s) throws(StoreError) in
            let row = try s.lease(site: z, count: 1, owner: me, until: at(300), now: at(200)).rows
            let note = Outcome.Note(attempted: at(201), isWarned: true)
            let later = Outcome.Result.deferred(until: at(500), status: b("4.4.1 x"), note: note)
            guard try s.settle(row.map { Outcome(lease: $0.lease, result: later) }) == [true] else {
                throw say("fence")
            }
            try s.accept(request(2, to: [a]))
        }
        let list = try store.read { (s) throws(StoreError) in
            try s.list(a, folder: .inbox, before: nil, limit: 5).map(\.id.rawValue)
        }
        try require(list == [2], "\(list)")
    }

    private static func withReports(_ store: StoreClient) throws {
        let (a, b) = try accounts(store)
        var asked = request(1, to: [a])
        asked.reports = [
            request(2, to: [b]), request(3, to: [AccountID(rawValue: 9_999)]), request(4, remote: ["p@z.example"]),
        ]
        _ = store.accept(asked)
        try store.read { (s) throws(StoreError) in
            guard try s.list(a, folder: .inbox, before: nil, limit: 5).map(\.id.rawValue) == [1],
                try s.list(b, folder: .inbox, before: nil, limit: 5).map(\.id.rawValue) == [2],
                try s.message(MessageID(rawValue: 3)) == nil, try s.nextDue(z) == at(100)
            else { throw say("report") }
        }
        // A message that is not kept has no reports.
        var refused = request(5, to: [AccountID(rawValue: 9_999)])
        refused.reports = [request(6, to: [b])]
        _ = store.accept(refused)
        let kept = try store.read { (s) throws(StoreError) in try s.message(MessageID(rawValue: 6)) != nil }
        try require(!kept, "a report of nothing")
    }

    private static func policies(_ store: StoreClient) throws {
        var record = STSPolicyRecord(
            domain: z, id: b("1"), policy: b("version: STSv1\n"), fetched: at(1), expires: at(2))
        let first = record
        record.id = b("2")
        let second = record
        let lists = try store.write { (s) throws(StoreError) in
            try s.saveSTSPolicy(first)
            try s.saveSTSPolicy(second)
            let kept = try s.stsPolicies()
            try s.removeSTSPolicy(domain: z)
            try s.removeSTSPolicy(domain: z)
            return [kept, try s.stsPolicies()]
        }
        try require(lists == [[second], []], "\(lists)")
    }

    private static func results(_ store: StoreClient) throws {
        @Sendable func row(_ day: Int, _ host: String, _ result: TLSResultType) -> TLSResultRow {
            TLSResultRow(
                key: .init(day: day, domain: z, host: b(host), policy: .tlsa, result: result), last: at(Int64(day)))
        }
        var full = row(10, "b.mx", .success)
        full.sessions = 3
        full.address = b("192.0.2.1")
        full.policyDomain = b("_25._tcp.b.mx")
        full.policyStrings = [b("3 1 1 AB"), b("2 0 1 CD")]
        full.policyHosts = [b("*.mx")]
        full.isTesting = true
        full.detail = b("why")
        full.version = b("TLSv1.3")
        full.cipher = b("TLS_AES_256_GCM_SHA384")
        full.group = b("X25519")
        full.hasForwardSecrecy = true
        full.isVerified = true
        full.certificate = AttemptRecord.Certificate(
            key: b("Ed25519"), subject: b("b.mx"), issuer: b("CA"), notAfter: 99)
        let given = full
        let lists = try store.write { (s) throws(StoreError) in
            try s.addTLSResults([
                row(10, "b.mx", .success), row(10, "a.mx", .validationFailure), row(9, "a.mx", .success),
            ])
            try s.addTLSResults([given])
            let all = try s.tlsResults(from: 9, to: 10)
            let day = try s.tlsResults(from: 9, to: 9)
            try s.removeTLSResults(before: 10)
            return [all, day, try s.tlsResults(from: 0, to: 99)]
        }
        var sum = full
        sum.sessions = 4
        let right = [
            [row(9, "a.mx", .success), row(10, "a.mx", .validationFailure), sum], [row(9, "a.mx", .success)],
            [row(10, "a.mx", .validationFailure), sum],
        ]
        try require(lists == right, "\(lists)")
    }
}
