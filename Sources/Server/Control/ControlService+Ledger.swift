import Base
import CEpoll
package import Ledger
import Policy
package import Protocols
import Store

/// What the decision ledger is asked. It is read on a store thread, which may wait for the disk.
extension ControlService {
    /// Octets of segments that one piece of a replay reads.
    private static let pieceOctets = 1 << 20
    /// A record is in the file this long after the reply, if not before.
    private static let settleMilliseconds: Int32 = 150
    /// Few sessions last longer.
    private static let sessionMilliseconds: Int64 = 3_600_000

    // MARK: explain

    func explain(_ id: MessageID, _ format: ControlFormat) -> ControlWork {
        let path = hooks.ledgerPath
        let hooks = hooks
        guard !path.isEmpty else { return Self.noLedger }
        let now = hooks.now()
        return .read { (session) throws(StoreError) in
            let records = Self.records(of: id, hooks)
            var filter = QueueFilter()
            filter.message = id
            let before = QueueRowID(message: MessageID(rawValue: id.rawValue - 1), recipient: Int32.max)
            let rows = try session.queued(filter, after: before, limit: 100, scanMax: 1_000, at: now).rows
            let pending = rows.map {
                Explanation.Pending(
                    recipient: $0.address, attempts: $0.attempts, next: $0.due, reason: $0.status)
            }
            return Self.explained(id, records, pending, format)
        }
    }

    package static func explained(
        _ id: MessageID, _ records: [LedgerRecord], _ pending: [Explanation.Pending], _ format: ControlFormat
    ) -> ControlAnswer {
        guard let explanation = Explanation.make(records, pending: pending) else { return unknown(id) }
        switch format {
        case .text: return ControlAnswer(output: Array((explanation.lines.joined(separator: "\n") + "\n").utf8))
        case .json:
            let value = LedgerJSON.value(id, records, explanation, pending)
            return ControlAnswer(output: value.bytes + [ASCII.lf])
        }
    }

    /// Of a session that is still open, what there is to say of it now; otherwise what was written down.
    package static func records(of id: MessageID, _ hooks: ControlHooks) -> [LedgerRecord] {
        if let open = hooks.openRecord(id) { return [.connection(open)] }
        let reader = LedgerReader(path: hooks.ledgerPath)
        let records = reader.records(of: id)
        // It may have been on its way to the file: the id of a session is as old as the session.
        let age = hooks.now().microseconds / 1_000 - id.milliseconds
        guard records.isEmpty, age < Self.sessionMilliseconds else { return records }
        _ = mt_poll_readable(-1, Self.settleMilliseconds)
        return reader.records(of: id)
    }

    private static let noLedger = ControlWork.done(
        .failed("no decisions are recorded: ledger.enabled is false"))

    private static func unknown(_ id: MessageID) -> ControlAnswer {
        .failed(
            "nothing is recorded of \(ControlText.shown(id.text)): either it is no id of this server (it stands in the "
                + "reply, in Received and in the log), or it is older than ledger.max_age and ledger.max_size allow")
    }

    // MARK: policy replay

    func policyReplay(_ request: ControlReplay, _ format: ControlFormat) -> ControlWork {
        let path = hooks.ledgerPath
        guard !path.isEmpty else { return Self.noLedger }
        var domain: [UInt8]?
        if let text = request.domain {
            guard let name = ControlAddress.domain(text) else { return Self.badDomain(text) }
            domain = name
        }
        let replay: PolicyReplay
        do throws(PolicyReplay.BadSetting) {
            replay = try PolicyReplay(request.settings.map { (key: $0.name, value: $0.value) }, domain: domain)
        } catch {
            return .done(.failed(error.description, ExitStatus.data))
        }
        var state = request
        let isFirst = state.since == nil
        if isFirst {
            state.defense = replay.defense(
                ownNames: [ASCII.lowercased(Array(hooks.hostname().utf8))],
                exceptions: DefenseExceptionsIndex(hooks.defense.exceptions())
            ).map(DefenseReplayState.init)
        }
        let end = state.end ?? WallTime(seconds: max(0, hooks.now().seconds - Int64(clamping: request.until)))
        let isBounded = request.until > 0
        state.end = end
        let defense = state.defense
        let since = state.since ?? WallTime(seconds: max(0, hooks.now().seconds - Int64(clamping: request.seconds)))
        state.since = since
        return .read { [state, domain] (_) throws(StoreError) in
            var piece = ReplayPiece(state: state, format: format, concernsChecks: replay.concernsChecks)
            if isFirst, format == .json { piece.output.append(ascii: "{\"changes\":[") }
            piece.state.cursor = LedgerReader(path: path)
                .scan(from: state.cursor, since: since, octetsMax: Self.pieceOctets) { record in
                    if isBounded, record.time >= end { return true }
                    if !piece.state.isConcerned { piece.state.isConcerned = replay.concerns(record) }
                    if replay.concernsChecks, case .decision(let decision) = record {
                        piece.add(decision, replay.decide(decision))
                    }
                    defense?.add(record)
                    return true
                }
            if piece.state.cursor == nil { piece.finish() }
            var answer = ControlAnswer(output: piece.output)
            if piece.state.cursor != nil {
                answer.next = .policyReplay(piece.state)
            } else if let domain, !piece.state.isConcerned {
                answer.complaint =
                    "nothing of \(ControlText.shown(domain)) is recorded in that time; `martlet domain list` shows the domains"
                answer.status = ExitStatus.failure
            }
            return answer
        }
    }

    /// A part of a replay's answer under construction.
    private struct ReplayPiece {
        var state: ControlReplay
        let format: ControlFormat
        let concernsChecks: Bool
        var output: [UInt8] = []

        mutating func add(_ record: DecisionRecord, _ result: PolicyReplay.Result) {
            switch result {
            case .notConcerned: return
            case .incomplete:
                state.messages += 1
                state.incomplete += 1
            case .decided(let changes):
                state.messages += 1
                if !changes.isEmpty { state.changed += 1 }
                for change in changes { add(record, change) }
            }
        }

        private mutating func add(_ record: DecisionRecord, _ change: PolicyReplay.Change) {
            let author = record.results.dmarc?.author ?? []
            switch format {
            case .text:
                let from = author.isEmpty ? "-" : author.shownText
                let line =
                    "\(ControlText.shown(record.id.text)) \(ControlText.utc(record.time)) <\(record.sender.shownText)> "
                    + "\(from) \(change.domain.shownText): \(change.oldAction.rawValue) (\(change.oldRule.rawValue)) -> "
                    + "\(change.newAction.rawValue) (\(change.newRule.rawValue))\n"
                output += Array(line.utf8)
            case .json:
                if state.rows > 0 { output.append(ASCII.comma) }
                output +=
                    JSONValue.object([
                        JSONMember("id", .text(ControlText.shown(record.id.text))),
                        JSONMember("time", .text(ControlText.utc(record.time))),
                        JSONMember("sender", .text(record.sender.shownText)),
                        JSONMember("author", .text(author.shownText)),
                        JSONMember("domain", .text(change.domain.shownText)),
                        JSONMember("old_action", .text(change.oldAction.rawValue)),
                        JSONMember("old_rule", .text(change.oldRule.rawValue)),
                        JSONMember("new_action", .text(change.newAction.rawValue)),
                        JSONMember("new_rule", .text(change.newRule.rawValue)),
                        JSONMember("reason", .text(change.reason.shownText)),
                    ]).bytes
            }
            state.rows += 1
        }

        mutating func finish() {
            let defense = state.defense?.finish()
            switch format {
            case .text where state.domain != nil && !state.isConcerned: return
            case .text:
                if let defense { output += Array(ReplayReport.text(defense).utf8) }
                guard concernsChecks else { return }
                var line = "\(state.changed) of \(state.messages) messages would change"
                if state.incomplete > 0 {
                    line += "; \(state.incomplete) could not be decided again, not all answers were recorded"
                }
                output += Array((line + "\n").utf8)
            case .json:
                let rest =
                    "],\"changed\":\(state.changed),\"messages\":\(state.messages),\"incomplete\":\(state.incomplete)"
                output += Array(rest.utf8)
                if let defense {
                    output.append(ascii: ",\"defense\":")
                    output += ReplayReport.json(defense).bytes
                }
                output.append(ascii: "}\n")
            }
        }
    }
}
