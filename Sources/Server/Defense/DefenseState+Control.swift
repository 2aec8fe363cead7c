package import Base
import Handoff
import Policy

/// The operators' commands. On threads that may block: a change is answered when it is on the disk.
extension DefenseState {
    package func greylistLines(_ filter: DefenseFilter, limit: Int, now: WallTime) -> [GreylistLine] {
        guard let wanted = GreylistFilter(filter) else { return [] }
        return greylist.list(wanted, limit: limit, now: now).map { GreylistLine($0) }
    }

    package func release(_ filters: [DefenseFilter], now: WallTime) -> DefenseAnswer {
        guard let wanted = Self.wanted(filters) else { return .failed(Self.noState) }
        return answered { done in release(wanted, now: now) { done(Self.answer($0, $1)) } }
    }

    package func forget(_ filters: [DefenseFilter]) -> DefenseAnswer {
        guard let wanted = Self.wanted(filters) else { return .failed(Self.noState) }
        return answered { done in forget(wanted) { done(Self.answer($0, $1)) } }
    }

    /// nil: one of them names a state that there is not.
    private static func wanted(_ filters: [DefenseFilter]) -> [GreylistFilter]? {
        let wanted = filters.compactMap { GreylistFilter($0) }
        return wanted.count == filters.count ? wanted : nil
    }

    /// Adds or removes entries of one defence's exceptions.
    package func change(_ wanted: ExceptionsChange) -> DefenseAnswer {
        var entries: [DefenseExceptionChange.Entry] = wanted.blocks.map {
            switch wanted.kind {
            case .greylist: .greylist($0)
            case .tarpit: .tarpit($0)
            case .limits: .limits($0)
            }
        }
        if wanted.kind == .greylist { entries += wanted.domains.map { .greylistDomain($0) } }
        let changes = entries.map { DefenseExceptionChange($0, isRemoval: wanted.isRemoval) }
        return answered { done in
            change(changes) { changed, isFull, isSafe in
                done(isFull ? .failed(Self.noRoom) : Self.answer(changed, isSafe))
            }
        }
    }

    private static let noRoom = "\(DefenseExceptions.entriesMax) exceptions of a kind are as many as there may be"
    private static let noState = "a state is new, waiting or known"

    private static func answer(_ count: Int, _ isSafe: Bool) -> DefenseAnswer {
        isSafe ? .done(count) : .failed("in force, but not on the disk: see the log")
    }

    /// A journal that needs longer waits for a disk that does not answer.
    private static let answerSeconds = 10.0
    private static let noAnswer =
        "in force, but the disk has not answered for 10 seconds; whether it is kept is not known"

    /// Waits for the journal's thread.
    private func answered(_ start: (@escaping @Sendable (DefenseAnswer) -> Void) -> Void) -> DefenseAnswer {
        let reply = Awaited<DefenseAnswer>()
        start { reply.give($0) }
        return reply.wait(seconds: Self.answerSeconds) ?? .failed(Self.noAnswer)
    }
}

extension GreylistFilter {
    /// nil: there is no such state.
    init?(_ filter: DefenseFilter) {
        self.init()
        block = filter.block
        identity = filter.identity
        domain = filter.domain
        sender = filter.sender
        recipient = filter.recipient
        guard let text = filter.state else { return }
        guard let known = GreylistRecord.State(rawValue: text) else { return nil }
        state = known
    }
}

extension GreylistLine {
    init(_ row: GreylistRow) {
        self.init(client: String(decoding: row.identity, as: UTF8.self), state: row.state.rawValue)
        sender = row.sender
        recipient = row.recipient
        domain = row.domain
        firstSeen = row.record.firstSeen.seconds
        lastSeen = row.record.lastSeen.seconds
        passesAt = row.passes?.seconds ?? 0
        expires = row.expires?.seconds ?? 0
        if row.state == .known { messages = Int(row.record.attempts) } else { attempts = Int(row.record.attempts) }
    }
}
