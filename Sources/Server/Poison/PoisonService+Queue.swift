import Base
import Handoff
import Policy
import Protocols
import Store
import Telemetry

/// Queued mail that the process died of.
extension PoisonService {
    private static let rowsMax = 10_000

    /// Holds the mail whose sending ended the last run for the second time or more. Waits for the store; to be called before
    /// anything is taken from the queue.
    func holdQueued(_ gateway: StoreGateway, hostname: [UInt8], directory: DirectoryPublisher, now: WallTime) {
        // The delivery service, which has this number, makes no ids yet.
        var ids = MessageIDSource(loop: 31)
        for entry in fresh where entry.isPoison {
            if let id = entry.envelopeID {
                tell(
                    .refused(id, entry), as: ids.next(at: now), hostname: hostname, directory: directory.current,
                    gateway: gateway, now: now)
            }
            guard entry.isQueued else { continue }
            // The label is the id as text; the fingerprint is the same, padded.
            guard let id = MessageID(text: Array(entry.fingerprint.bytes.prefix(13))) else { continue }
            let wait = StoreAwait<Held?>()
            let asked = gateway.write { (session) throws(StoreError) in
                try Self.hold(id, entry, session, now)
            } completion: {
                wait.give($0)
            }
            let result = asked ? wait.wait() : .failure(.unavailable(.busy))
            switch result {
            case .success(let held?): tell(held, entry, ids.next(at: now), gateway, hostname, directory.current, now)
            // It was delivered, or an operator removed it.
            case .success(nil): break
            case .failure(let error):
                log.error("poison_not_held") {
                    $0.add("id", id.text)
                    $0.add("error", "\(error)")
                }
            }
        }
    }

    struct Held: Sendable {
        var id: MessageID
        var sender: [UInt8]
        var recipients: Int
    }

    /// The rows of the message, with a status that says why.
    static func hold(
        _ id: MessageID, _ entry: DeathRegister.Entry, _ session: any StoreWriterSession, _ now: WallTime
    ) throws(StoreError) -> Held? {
        var filter = QueueFilter()
        filter.message = id
        let page = try session.queued(filter, after: nil, limit: rowsMax, scanMax: rowsMax, at: now)
        let rows = page.rows.map(\.row)
        guard let first = page.rows.first else { return nil }
        // No process but this one has the store open: what leased them before is dead.
        let owner = LeaseOwner(rawValue: 1)
        _ = try session.takeBack(exceptOf: owner, now: now)
        let leased = try session.lease(rows: rows, owner: owner, until: now, now: now)
        let status = Array(
            "4.3.0 held: the server died \(entry.deaths) times (\(SignalName.of(entry.signal))) while it worked on this"
                .utf8)
        let outcomes = leased.map {
            Outcome(
                lease: $0.lease,
                result: .deferred(until: now, status: status, note: Outcome.Note(host: [], attempted: now)))
        }
        _ = try session.settle(outcomes)
        _ = try session.setHeld(rows, true)
        return Held(id: id, sender: first.sender, recipients: rows.count)
    }

    private func tell(
        _ held: Held, _ entry: DeathRegister.Entry, _ report: MessageID, _ gateway: StoreGateway, _ hostname: [UInt8],
        _ directory: DirectorySnapshot, _ now: WallTime
    ) {
        metrics.setAside.add(PoisonStage(entry.kind))
        log.error("poison_held") {
            $0.add("id", held.id.text)
            $0.add("from", held.sender)
            $0.add("recipients", held.recipients)
            $0.add("deaths", entry.deaths)
        }
        tell(
            .held(held.id, sender: held.sender, recipients: held.recipients, entry), as: report, hostname: hostname,
            directory: directory, gateway: gateway, now: now)
    }
}
