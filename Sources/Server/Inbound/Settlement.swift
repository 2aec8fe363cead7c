import Base
import Ledger
import Policy
import Protocols
import Store
import Telemetry

/// What is told of a message when the store has answered: metrics, log, ledger.
extension ServerServices {
    func settle(_ message: AcceptedMessage, _ result: Result<MessageID, StoreError>, now: Instant) {
        let elapsed = now.seconds(since: message.began)
        metrics.acceptDuration.observe(seconds: elapsed)
        var record = message.record
        switch result {
        case .success(let id):
            record?.reply = StandardReplies.queued(id)
            metrics.messages.add(message.listener, .accepted)
            log.info("received") {
                $0.add("id", id.text)
                $0.add("peer", message.peer)
                $0.add("from", message.sender)
                $0.add("recipients", message.recipients)
                $0.add("size", message.size)
                $0.add("duration", seconds: elapsed)
            }
        case .failure(let error):
            record?.action = .postpone
            record?.reply = StoreReplies.refusal(error).explained(by: message.id)
            record?.cause = Array("the store: \(error)".utf8)
            metrics.messages.add(message.listener, .deferred)
            log.error("not_stored") {
                $0.add("id", message.id.text)
                $0.add("peer", message.peer)
                $0.add("from", message.sender)
                $0.add("error", "\(error)")
            }
        }
        if let record { self.record(record, began: message.began, now: now) }
    }

    /// Into the ledger, with the time it all took.
    func record(_ record: DecisionRecord, began: Instant, now: Instant) {
        guard let ledger else { return }
        var record = record
        record.timing.total = UInt64(now.seconds(since: began) * 1e6)
        ledger.record(LedgerRecord.decision(record).encoded())
    }
}
