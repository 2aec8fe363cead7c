import Base
import Handoff
import Policy
import Protocols

/// What operators ask, asked of the running server's table, book and journal.
extension ControlDefenseHooks {
    /// How long a change may take to be on the disk.
    private static let keptMilliseconds: Int32 = 5_000
    /// Clients looked through when only some are wanted.
    private static let lookedAtMax = 100_000

    package init(clients: ClientTable, limits: LimitPublisher, state: DefenseState) {
        self.init()
        let time = SystemTime()
        greylist = { filter, limit in
            guard let wanted = GreylistFilter(filter) else { return [] }
            let now = time.wall()
            return state.greylist.list(wanted, limit: limit, now: now).map { GreylistLine($0, now: now) }
        }
        self.clients = { kind, filter, limit in
            let all = clients.rows(
                kind == .tarpit ? .tarpit : .limits, limit: filter.block == nil ? limit : Self.lookedAtMax,
                limits.current, now: time.monotonic())
            return all.filter { filter.concerns($0.client) }.prefix(limit).map { ClientLine($0) }
        }
        release = { kind, filter in
            guard kind == .greylist else {
                return .done(Self.release(filter, clients, limits.current, time.monotonic()))
            }
            guard let wanted = GreylistFilter(filter) else { return Self.tooWide }
            return Self.kept { state.release(wanted, now: time.wall(), completion: $0) }
        }
        forget = { kind, filter in
            guard kind == .greylist else {
                return .done(Self.release(filter, clients, limits.current, time.monotonic()))
            }
            guard let wanted = GreylistFilter(filter) else { return Self.tooWide }
            return Self.kept { state.forget(wanted, completion: $0) }
        }
        exceptions = { state.exceptions.current }
        changeExceptions = { Self.change($0, state) }
    }

    private static let tooWide = DefenseAnswer.failed("say an address or its network, /24 or /64, not a wider one")

    private static func release(
        _ filter: DefenseFilter, _ clients: ClientTable, _ settings: LimitSettings, _ now: Instant
    ) -> Int {
        let everybody = [IPAddress(v4: 0, 0, 0, 0), IPAddress(bytes: [UInt8](repeating: 0, count: 16))]
            .compactMap { $0.map { AddressBlock($0, prefix: 0) } }
        return (filter.block.map { [$0] } ?? everybody).reduce(0) { $0 + clients.release($1, settings, now: now) }
    }

    // MARK: The journal

    /// Waits until what `change` did is on the disk. What it did is in force either way.
    private static func kept(_ change: (@escaping @Sendable (Int, Bool) -> Void) -> Void) -> DefenseAnswer {
        let answer = Mailbox<Kept>(capacity: 2)
        change { _ = answer.post(Kept(count: $0, isOnDisk: $1)) }
        answer.wait(timeoutMilliseconds: keptMilliseconds)
        guard let kept = answer.next(), kept.isOnDisk else { return notKept }
        return .done(kept.count)
    }

    private static let notKept = DefenseAnswer.failed(
        "done, but it could not be written to the disk: a restart may undo it; see the server's log")

    private struct Kept: Sendable {
        var count: Int
        var isOnDisk: Bool
    }

    /// Entries one by one; all are waited for together.
    private static func change(_ change: ExceptionsChange, _ state: DefenseState) -> DefenseAnswer {
        let entries = change.entries
        let answers = Mailbox<Changed>(capacity: 2 * ControlDefense.subjectsMax)
        for entry in entries {
            state.change(entry) { _ = answers.post(Changed(result: $0, isOnDisk: $1)) }
        }
        var changed = 0
        var isKept = true
        var isFull = false
        for _ in entries {
            var answer = answers.next()
            if answer == nil {
                answers.wait(timeoutMilliseconds: keptMilliseconds)
                answer = answers.next()
            }
            guard let answer else { return notKept }
            isKept = isKept && answer.isOnDisk
            if answer.result == .changed { changed += 1 }
            if answer.result == .full { isFull = true }
        }
        if !isKept { return notKept }
        if isFull {
            return .failed("the list has room for \(DefenseExceptions.entriesMax) entries; \(changed) were added")
        }
        return .done(changed)
    }

    private struct Changed: Sendable {
        var result: DefenseExceptionsPublisher.Result
        var isOnDisk: Bool
    }
}

extension ExceptionsChange {
    var entries: [DefenseExceptionChange] {
        let listed = blocks.map { block -> DefenseExceptionChange.Entry in
            switch kind {
            case .greylist: .greylist(block)
            case .tarpit: .tarpit(block)
            case .limits: .limits(block)
            }
        }
        return (listed + domains.map { .greylistDomain($0) }).map { DefenseExceptionChange($0, isRemoval: isRemoval) }
    }
}

extension GreylistFilter {
    /// nil: of more than one network, which the book cannot be asked.
    init?(_ filter: DefenseFilter) {
        self.init()
        if let block = filter.block {
            guard AddressBlock(networkOf: block.address).prefix <= block.prefix else { return nil }
            address = block.address
        }
        domain = filter.domain
        sender = filter.sender
        recipient = filter.recipient
        state = filter.state.flatMap { GreylistRecord.State(rawValue: $0) }
    }
}

extension GreylistLine {
    init(_ row: GreylistRow, now: WallTime) {
        self.init(client: ControlText.shown(row.identity), state: row.state.rawValue)
        sender = row.sender
        recipient = row.recipient
        domain = row.domain
        firstSeen = row.record.firstSeen.seconds
        lastSeen = row.record.lastSeen.seconds
        passesAt = row.state == .known || row.secondsLeft == 0 ? 0 : now.seconds + Int64(row.secondsLeft)
        if row.state == .known { messages = Int(row.record.attempts) } else { attempts = Int(row.record.attempts) }
    }
}

extension ClientLine {
    init(_ row: ClientRow) {
        self.init(client: "\(row.client)")
        open = row.open
        connections = row.spent.connections
        messages = row.spent.messages
        recipients = row.spent.recipients
        failedLogins = row.spent.failedLogins
        failures = row.failures
        slowedSeconds = row.slowedSeconds
        refused = row.refused.total
        isKnownGood = row.isKnownGood
    }
}
