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
        let draft = message.record
        switch result {
        case .success(let id):
            if let draft { record(draft.record, began: message.began, now: now) }
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
            if var failed = draft?.record {
                failed.action = .postpone
                failed.reply = StoreReplies.refusal(error).explained(by: message.id)
                failed.cause = Array("the store: \(error)".utf8)
                record(failed, began: message.began, now: now)
            }
            metrics.messages.add(message.listener, .deferred)
            log.error("not_stored") {
                $0.add("id", message.id.text)
                $0.add("peer", message.peer)
                $0.add("from", message.sender)
                $0.add("error", "\(error)")
            }
        }
    }

    /// Into the ledger, with the time it all took.
    func record(_ record: DecisionRecord, began: Instant, now: Instant) {
        ledger?.record(record.encoded(total: UInt64(now.seconds(since: began) * 1e6)))
    }
}
