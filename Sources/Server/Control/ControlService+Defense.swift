import Base
import Ledger
import Policy
import Protocols
import Store

/// What operators ask the defences. The table and the journal answer from memory; a change returns when it is kept. None
/// of it needs the store: it runs apart, neither on a reactor nor inside a read transaction that others wait behind.
extension ControlService {
    func defenseWork(_ request: ControlDefense, _ format: ControlFormat) -> ControlWork {
        let service = self
        return .apart(.defense) {
            switch request.verb {
            case .list: service.defenseList(request, format)
            case .release, .forget: service.defenseChange(request, format)
            case .allow:
                request.subjects.isEmpty
                    ? service.exceptionsList(request.kind, format) : service.exceptionsChange(request, format)
            }
        }
    }

    // MARK: list

    private func defenseList(_ request: ControlDefense, _ format: ControlFormat) -> ControlAnswer {
        // People are told how many more there are; programs get what they asked for.
        let looked = format == .text ? ControlDefense.limitMax : request.limit
        switch request.kind {
        case .greylist:
            let all = hooks.defense.greylist(request.filter, looked)
            let answer = Self.list(
                ["CLIENT", "SENDER", "RECIPIENT", "STATE", "FIRST", "LAST", "PASSES", "EXPIRES", "TRIES", "MAILS"],
                [
                    "client", "sender", "recipient", "state", "first_seen", "last_seen", "passes", "expires",
                    "attempts",
                    "messages", "domain",
                ], all.prefix(request.limit).map { Self.cells($0, format) }, empty: "no greylist entries match", format)
            return Self.cut(answer, all.count, request.limit, format)
        case .tarpit: return tarpitList(request, hooks.defense.clients(.tarpit, request.filter, looked), format)
        case .limits:
            let all = hooks.defense.clients(.limits, request.filter, looked)
            let answer = Self.list(
                Self.clientHeader + ["MAIL/H", "RCPT/H"],
                Self.clientNames + ["messages_per_hour", "recipients_per_hour"],
                all.prefix(request.limit).map { Self.cells($0, format) + Self.hourly($0) },
                empty: "no client is counted", format)
            return Self.cut(answer, all.count, request.limit, format)
        }
    }

    private static let clientHeader = [
        "CLIENT", "OPEN", "CONN/MIN", "MAIL/MIN", "RCPT/MIN", "LOGINS", "FAILURES", "SLOWED", "REFUSED", "GOOD",
    ]
    private static let clientNames = [
        "client", "open", "connections_per_minute", "messages_per_minute", "recipients_per_minute", "failed_logins",
        "failures", "slowed_ms", "refused", "known_good",
    ]

    /// Failures count whether or not a domain slows anybody for them: the last column is what the next one would cost.
    private func tarpitList(
        _ request: ControlDefense, _ all: [ClientLine], _ format: ControlFormat
    ) -> ControlAnswer {
        let most = hooks.defense.tarpitSeconds()
        let rows = all.prefix(request.limit).map { line in
            let next = Tarpitting.delaySeconds(failures: line.failures, maxSeconds: most) * 1_000
            return Self.cells(line, format)
                + [format == .json ? .integer(next) : next == 0 ? .null : .text(Self.seconds(next))]
        }
        var answer = Self.list(
            Self.clientHeader + ["NEXT"], Self.clientNames + ["next_delay_ms"], rows, empty: "no client has failures",
            format)
        answer = Self.cut(answer, all.count, request.limit, format)
        if most == 0, !all.isEmpty, format == .text {
            answer.say("no domain has the tarpit on, so nobody is slowed; `martlet domain set NAME tarpit=true`")
        }
        return answer
    }

    /// Says how many entries a list leaves out.
    static func cut(_ answer: ControlAnswer, _ count: Int, _ limit: Int, _ format: ControlFormat) -> ControlAnswer {
        guard format == .text, count > limit else { return answer }
        var answer = answer
        answer.say(
            count < ControlDefense.limitMax
                ? "… \(count - limit) more; --limit \(count)"
                : "… \(count - limit) more at least; --limit is at most \(ControlDefense.limitMax)")
        return answer
    }

    private static func cells(_ line: GreylistLine, _ format: ControlFormat) -> [JSONValue] {
        func time(_ seconds: Int64) -> JSONValue {
            seconds == 0 ? .null : .text(ControlText.utc(WallTime(seconds: seconds)))
        }
        var recipient = line.recipient
        if recipient.isEmpty, format == .text { recipient = Array("*@".utf8) + line.domain }
        let sender = ControlText.shown(line.sender)
        var out: [JSONValue] = [
            .text(ControlText.shown(Array(line.client.utf8))), .text(format == .text ? "<\(sender)>" : sender),
            .text(ControlText.shown(recipient)), .text(line.state), time(line.firstSeen), time(line.lastSeen),
            time(line.passesAt), time(line.expires), .integer(line.attempts), .integer(line.messages),
        ]
        if format == .json { out.append(.text(ControlText.shown(line.domain))) }
        return out
    }

    private static func cells(_ line: ClientLine, _ format: ControlFormat) -> [JSONValue] {
        func duration(_ seconds: Double) -> JSONValue {
            let milliseconds = seconds > 0 && seconds < 1e9 ? Int((seconds * 1_000).rounded()) : 0
            if format == .json { return .integer(milliseconds) }
            return milliseconds == 0 ? .null : .text(Self.seconds(milliseconds))
        }
        guard line.hourly == nil else {
            let none = [JSONValue](repeating: .null, count: 7)
            return [.text(ControlText.shown(Array(line.client.utf8)))] + none + [.integer(line.refused), .null]
        }
        return [
            .text(line.client), .integer(line.open), .integer(line.connections), .integer(line.messages),
            .integer(line.recipients), .integer(line.failedLogins), .integer(line.failures),
            duration(line.slowedSeconds), .integer(line.refused),
            .boolean(line.isKnownGood),
        ]
    }

    private static func hourly(_ line: ClientLine) -> [JSONValue] {
        guard let hourly = line.hourly else { return [.null, .null] }
        return [.integer(hourly.messages), .integer(hourly.recipients)]
    }

    /// `4 s`, `2.5 s`
    private static func seconds(_ milliseconds: Int) -> String {
        let tenths = (milliseconds + 50) / 100
        return tenths % 10 == 0 ? "\(tenths / 10) s" : "\(tenths / 10).\(tenths % 10) s"
    }

    // MARK: release and forget

    private func defenseChange(_ request: ControlDefense, _ format: ControlFormat) -> ControlAnswer {
        var filters = [request.filter]
        if let id = request.id {
            filters = meant(by: id, request.kind)
            if filters.isEmpty {
                return .failed(
                    "nothing is recorded of \(ControlText.shown(id.text)) that says which client is meant; "
                        + "`martlet explain \(ControlText.shown(id.text))` shows what is")
            }
        }
        let change = request.verb == .release ? hooks.defense.release : hooks.defense.forget
        let count: Int
        switch change(request.kind, filters) {
        case .failed(let why): return .failed("\(request.kind.rawValue): \(why)", ExitStatus.temporary)
        case .done(let some): count = some
        }
        let word = request.verb == .release ? "released" : "forgotten"
        let isAll = request.filter.isEmpty && request.id == nil
        // Who asks for all of nothing has what was wanted.
        if count == 0, isAll {
            var answer = Self.changed(
                "nothing to \(request.verb == .release ? "release" : "forget")", [JSONMember(word, .integer(0))], format
            )
            answer.changes = 0
            return answer
        }
        let kept = Self.keptSender(request)
        let whose = kept.map { " of \(ControlText.shown($0))" } ?? ""
        if count == 0 {
            return .failed("\(request.kind.rawValue): no entries\(whose) match; the list shows what there is")
        }
        var answer = Self.changed(
            "\(count) \(count == 1 ? "entry" : "entries")\(whose) \(word)",
            [JSONMember(word, .integer(count))]
                + (kept.map { [JSONMember("sender", .text(ControlText.shown($0)))] } ?? []), format)
        answer.changes = count
        return answer
    }

    /// The sender as the greylist keeps it, where that is not as it was typed: it may be that of others, too.
    private static func keptSender(_ request: ControlDefense) -> [UInt8]? {
        guard request.kind == .greylist, let typed = request.filter.sender else { return nil }
        let kept = GreylistSender.normalised(typed)
        return kept == typed ? nil : kept
    }

    /// What refused what the ledger has under `id`: the entries of its client, of greylisting those of its recipients.
    private func meant(by id: MessageID, _ kind: ControlDefense.Kind) -> [DefenseFilter] {
        guard !hooks.ledgerPath.isEmpty else { return [] }
        for record in Self.records(of: id, hooks) {
            let found: (session: SessionFacts, events: [DefenseEvent])
            switch record {
            case .connection(let record): found = (record.session, record.events)
            case .decision(let record): found = (record.session, record.events)
            case .attempt: continue
            }
            if kind == .limits, !found.session.user.isEmpty, found.events.contains(where: { $0.control == .rate }) {
                var filter = DefenseFilter()
                filter.sender = found.session.user
                return [filter]
            }
            guard let peer = found.session.peer else { continue }
            if kind == .greylist { return greylisted(found.events, peer) }
            var filter = DefenseFilter()
            filter.block = network(record) ?? AddressBlock(peer, prefix: peer.bytes.count * 8)
            return [filter]
        }
        return []
    }

    /// Of connections of one network that were refused together.
    private func network(_ record: LedgerRecord) -> AddressBlock? {
        guard case .connection(let record) = record, record.connections > 1 else { return nil }
        return AddressBlock(String(decoding: record.network, as: UTF8.self))
    }

    /// One filter for each recipient that was put off: by the client's network or, where its domain was proven, by that,
    /// which the event names.
    private func greylisted(_ events: [DefenseEvent], _ peer: IPAddress) -> [DefenseFilter] {
        var out: [DefenseFilter] = []
        for event in events where event.control == .greylist && event.effect != .passed && event.effect != .noted {
            var filter = DefenseFilter()
            if !event.subject.isEmpty { filter.recipient = ASCII.lowercased(event.subject) }
            if filter.recipient != nil, let proven = Self.provenDomain(event) {
                filter.sender = proven
            } else {
                filter.block = AddressBlock(networkOf: peer)
            }
            if !out.contains(filter) { out.append(filter) }
        }
        return out
    }

    /// `first attempt (IDENTITY, SENDER); …`, where the identity is no network.
    private static func provenDomain(_ event: DefenseEvent) -> [UInt8]? {
        guard let from = event.detail.firstIndex(of: 0x28) else { return nil }
        let rest = event.detail[(from + 1)...]
        guard let end = rest.firstIndex(of: ASCII.comma), end > rest.startIndex else { return nil }
        let identity = Array(rest[..<end])
        return AddressBlock(String(decoding: identity, as: UTF8.self)) == nil ? identity : nil
    }

    // MARK: allow

    private func exceptionsList(_ kind: ControlDefense.Kind, _ format: ControlFormat) -> ControlAnswer {
        let all = hooks.defense.exceptions()
        let blocks: [AddressBlock] =
            switch kind {
            case .greylist: all.greylist
            case .tarpit: all.tarpit
            case .limits: all.limits
            }
        var names = blocks.map { "\($0)" }
        if kind == .greylist { names += all.greylistDomains.map(ControlText.shown) }
        return Self.list(
            ["ALLOWED"], ["allowed"], names.map { [.text($0)] },
            empty: "nobody is exempt by `martlet \(kind.rawValue) allow`", format)
    }

    private func exceptionsChange(_ request: ControlDefense, _ format: ControlFormat) -> ControlAnswer {
        var change = ExceptionsChange(request.kind)
        change.isRemoval = request.isRemoval
        for subject in request.subjects {
            if let block = AddressBlock(String(decoding: subject, as: UTF8.self)) {
                change.blocks.append(block)
            } else if request.kind == .greylist, subject.contains(ASCII.dot), let name = ControlAddress.domain(subject)
            {
                change.domains.append(name)
            } else {
                let kinds = request.kind == .greylist ? "an address, a network or a domain" : "an address or a network"
                return .failed(
                    "\"\(ControlText.shown(subject))\" is not \(kinds), such as 192.0.2.7, 192.0.2.0/24"
                        + (request.kind == .greylist ? " or example.org" : ""), ExitStatus.data)
            }
        }
        switch hooks.defense.changeExceptions(change) {
        case .failed(let why): return .failed("\(request.kind.rawValue): \(why)", ExitStatus.temporary)
        case .done(let count):
            let word = request.isRemoval ? "removed" : "allowed"
            let total = change.blocks.count + change.domains.count
            let same = total > count ? ", \(total - count) as before" : ""
            var answer = Self.changed(
                "\(count) \(word)\(same)",
                [JSONMember(word, .integer(count)), JSONMember("unchanged", .integer(max(0, total - count)))], format)
            answer.changes = count
            return answer
        }
    }

    // MARK: top

    func top(_ format: ControlFormat) -> ControlWork {
        let hooks = hooks
        return .read { (session) throws(StoreError) in
            guard var snapshot = hooks.defense.top() else {
                return .failed("the server has no figures yet; try again in a moment", ExitStatus.temporary)
            }
            let queue = try session.queueCounts(at: hooks.now())
            snapshot.queued = queue.total
            snapshot.due = queue.due
            switch format {
            case .json: return ControlAnswer(output: snapshot.json.bytes + [ASCII.lf])
            case .text:
                let lines = TopScreen(now: snapshot, before: nil).lines(width: 100, height: 0)
                return ControlAnswer(output: Array((lines.joined(separator: "\n") + "\n").utf8))
            }
        }
    }
}
