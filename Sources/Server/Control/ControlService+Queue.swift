import Base
import Delivery
import Protocols
import Store

extension ControlService {
    private static let pageRows = 500
    private static let scanRows = 50_000
    private static let shownMax = 10_000

    func queueWork(_ request: ControlQueue, _ format: ControlFormat) -> ControlWork {
        switch (request.verb, request.step) {
        case (.summary, _): queueSummary(request, format)
        case (.list, _), (.show, _): queueList(request, format)
        case (_, .find): queueFind(request, format)
        case (_, .apply): queueApply(request)
        case (_, .finish): queueFinish(request, format)
        }
    }

    // MARK: summary

    private func queueSummary(_ request: ControlQueue, _ format: ControlFormat) -> ControlWork {
        let (now, hooks) = (hooks.now(), hooks.queue)
        let limit = min(max(request.limit, 1), Self.shownMax)
        return .read { (session) throws(StoreError) in
            let sites = try session.queueSites(at: now)
            let holds = Set(try session.queueHolds().map(\.site))
            let status = hooks.status()
            let total = sites.reduce(0) { $0 + $1.rows }
            let first = sites.sorted { ($0.rows, $1.oldest) > ($1.rows, $0.oldest) }.prefix(limit)
            let lines = first.map { site in
                QueueSummaryLine(
                    counts: site, isHeld: holds.contains(site.site), live: status?.sites[site.site],
                    isRunning: status != nil, now: now)
            }
            if format == .json {
                let members = [
                    JSONMember("recipients", .integer(total)), JSONMember("destinations", .integer(sites.count)),
                    JSONMember("in_flight", status.map { .integer($0.inFlight) } ?? .null),
                    JSONMember("list", .array(lines.map(\.json))),
                ]
                return ControlAnswer(output: JSONValue.object(members).bytes + [ASCII.lf])
            }
            if sites.isEmpty { return ControlAnswer(complaint: "the queue is empty") }
            var answer = ControlAnswer(output: ControlText.table(QueueSummaryLine.header, lines.map(\.cells)))
            let more = sites.count > lines.count ? ", the \(lines.count) largest shown" : ""
            answer.complaint = "\(total) recipients at \(sites.count) destinations\(more)"
            return answer
        }
    }

    // MARK: list and show

    private func queueList(_ request: ControlQueue, _ format: ControlFormat) -> ControlWork {
        let now = hooks.now()
        return .read { (session) throws(StoreError) in
            var request = request
            let limit = min(max(request.limit, 1), Self.shownMax)
            let page = try session.queued(
                request.filter, after: request.after, limit: min(Self.pageRows, limit - request.shown.count),
                scanMax: Self.scanRows, at: now)
            request.shown += page.rows
            request.after = page.next
            if request.shown.count < limit, page.next != nil {
                var answer = ControlAnswer()
                answer.next = .queue(request)
                return answer
            }
            if request.verb == .show { return try Self.show(request, session, format) }
            let rows = request.shown.map { Self.cells($0, now, format) }
            var answer = Self.list(
                ["ID", "RECIPIENT", "SENDER", "STATE", "ACCEPTED", "ATTEMPTS", "NEXT", "STATUS"],
                ["id", "recipient", "sender", "state", "accepted", "attempts", "next_attempt", "status", "host"], rows,
                empty: "no queued recipients match", format)
            // A page that is full does not know whether there is another.
            if format == .text, let next = page.next {
                let rest = try session.queued(request.filter, after: next, limit: 1, scanMax: Self.scanRows, at: now)
                if !rest.rows.isEmpty || rest.next != nil { answer.say("… more; --limit N (\(limit) now) shows them") }
            }
            return answer
        }
    }

    private static func state(_ row: QueuedRecipient) -> String {
        row.isLeased ? "sending" : row.isHeld ? "held" : row.attempts > 0 ? "deferred" : "waiting"
    }

    private static func cells(_ row: QueuedRecipient, _ now: WallTime, _ format: ControlFormat) -> [JSONValue] {
        let status = ControlText.shown(row.status)
        var out: [JSONValue] = [
            .text(ControlText.shown(row.row.message.text)), .text(ControlText.shown(row.address)),
            .text(format == .json ? ControlText.shown(row.sender) : "<\(ControlText.shown(row.sender))>"),
            .text(state(row)), .text(ControlText.utc(row.received)), .integer(row.attempts),
            .text(ControlText.utc(row.due)), .text(format == .json || !status.isEmpty ? status : "-"),
        ]
        if format == .json { out.append(.text(ControlText.shown(row.host))) }
        return out
    }

    private static func show(
        _ request: ControlQueue, _ session: any StoreReaderSession, _ format: ControlFormat
    ) throws(StoreError) -> ControlAnswer {
        guard let first = request.shown.first, let message = try session.message(first.row.message) else {
            throw .notFound
        }
        let record = EnvelopeRecord(encoded: message.envelope) ?? EnvelopeRecord()
        var members = [
            JSONMember("id", .text(ControlText.shown(message.id.text))),
            JSONMember("accepted", .text(ControlText.utc(message.received))),
            JSONMember("sender", .text(ControlText.shown(message.sender))),
            JSONMember("octets", .integer(first.size)), JSONMember("peer", .text(ControlText.shown(record.peer))),
            JSONMember("identity", .text(ControlText.shown(record.identity))),
            JSONMember("envelope_id", .text(ControlText.shown(record.envid))),
        ]
        let recipients = request.shown.map { row in
            JSONValue.object([
                JSONMember("recipient", .text(ControlText.shown(row.address))),
                JSONMember("sender", .text(ControlText.shown(row.sender))), JSONMember("state", .text(state(row))),
                JSONMember("attempts", .integer(row.attempts)),
                JSONMember("last_attempt", row.lastAttempt.map { .text(ControlText.utc($0)) } ?? .null),
                JSONMember("next_attempt", .text(ControlText.utc(row.due))),
                JSONMember("status", .text(ControlText.shown(row.status))),
                JSONMember("host", .text(ControlText.shown(row.host))),
            ])
        }
        if format == .json {
            members.append(JSONMember("recipients", .array(recipients)))
            return object(members, format)
        }
        var answer = object(members.filter { $0.value != .text("") }, format)
        for case .object(let fields) in recipients {
            answer.output.append(ASCII.lf)
            answer.output += object(fields.filter { $0.value != .text("") && $0.value != .null }, format).output
        }
        return answer
    }

    // MARK: changes

    /// Rows are looked for by a reader, so that a long look holds up no mail, and changed page by page.
    private func queueFind(_ request: ControlQueue, _ format: ControlFormat) -> ControlWork {
        if request.verb == .bounce, hooks.queue.notice == nil {
            return .done(
                .failed(
                    "bouncing needs a running server; start one with `martlet serve`, or use `queue delete`",
                    ExitStatus.unavailable))
        }
        if let site = request.filter.siteAlone, request.verb == .hold { return holdSite(request, site, format) }
        let now = hooks.now()
        return .read { (session) throws(StoreError) in
            var request = request
            if request.verb == .release, request.filter.isHeld == nil { request.filter.isHeld = true }
            let page = try session.queued(
                request.filter, after: request.after, limit: Self.pageRows, scanMax: Self.scanRows, at: now)
            request.after = page.next
            request.picked = page.rows.map(\.row)
            var answer = ControlAnswer()
            if request.isDryRun {
                request.count += page.rows.count
                request.shown += page.rows.prefix(max(0, 20 - request.shown.count))
                request.step = page.next == nil ? .finish : .find
            } else {
                request.step = .apply
            }
            answer.next = .queue(request)
            return answer
        }
    }

    private func holdSite(_ request: ControlQueue, _ site: [UInt8], _ format: ControlFormat) -> ControlWork {
        var done = request
        done.step = .finish
        if request.isDryRun { return .done(Self.goOn(done)) }
        let (now, finished) = (hooks.now(), done)
        return .write { (session) throws(StoreError) in
            _ = try session.holdSite(site, now: now)
            return Self.goOn(finished)
        }
    }

    private static func goOn(_ request: ControlQueue) -> ControlAnswer {
        var answer = ControlAnswer()
        answer.next = .queue(request)
        return answer
    }

    private func queueApply(_ request: ControlQueue) -> ControlWork {
        let (now, hooks) = (hooks.now(), hooks.queue)
        return .write { (session) throws(StoreError) in
            var request = request
            let rows = request.picked
            switch request.verb {
            case .hold: request.count += try session.setHeld(rows, true)
            case .release:
                request.count += try session.setHeld(rows, false)
                // Mail to come is let go with the mail that is there.
                if let site = request.filter.site, try session.releaseSite(site) { request.notices = 1 }
            case .retry: request.count += try session.makeDue(rows, now: now)
            case .delete: request.count += try session.removeQueued(rows)
            case .bounce:
                guard let notice = hooks.notice else { throw .unavailable(.stopped) }
                let done = try OperatorBounce.run(rows, owner: hooks.owner, notice: notice, now: now, session)
                request.count += done.bounced
                request.notices += done.notices
            case .summary, .list, .show: break
            }
            request.picked = []
            request.step = request.after == nil ? .finish : .find
            return Self.goOn(request)
        }
    }

    private func queueFinish(_ request: ControlQueue, _ format: ControlFormat) -> ControlWork {
        if !request.isDryRun { tell(request) }
        let what = "\(request.count) recipient\(request.count == 1 ? "" : "s")"
        let members = [
            JSONMember("action", .text(request.verb.rawValue)), JSONMember("recipients", .integer(request.count)),
            JSONMember("dry_run", .boolean(request.isDryRun)),
        ]
        if let site = request.filter.siteAlone, request.verb == .hold {
            let line =
                "\(request.isDryRun ? "would hold" : "held") all mail to \(ControlText.shown(site)) until it is released"
            return .done(Self.changed(line, members, format))
        }
        if request.isDryRun, format == .text {
            var answer = Self.changed("would \(request.verb.rawValue) \(what)", members, format)
            for row in request.shown {
                answer.output += Array(
                    "  \(ControlText.shown(row.row.message.text)) \(ControlText.shown(row.address))\n".utf8)
            }
            return .done(answer)
        }
        let line =
            switch request.verb {
            case .hold: "held \(what)"
            case .release: "released \(what)"
            case .retry: "\(what) will be tried now"
            case .bounce: "returned \(what); \(request.notices) notices written"
            case .delete: "deleted \(what)"
            case .summary, .list, .show: ""
            }
        var answer = Self.changed(line, members, format)
        answer.changes = request.count
        return .done(answer)
    }

    private func tell(_ request: ControlQueue) {
        switch request.verb {
        case .hold:
            if let site = request.filter.siteAlone { hooks.queue.changed(.held(site: site)) }
        case .release:
            if let site = request.filter.site {
                hooks.queue.changed(.released(site: site))
            } else {
                hooks.queue.changed(.rows)
            }
        case .retry: hooks.queue.changed(.retry(site: request.filter.site))
        case .bounce: hooks.queue.changed(.rows)
        case .delete, .summary, .list, .show: break
        }
    }
}
