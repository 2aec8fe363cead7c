import Base
import Crypto
import Delivery
import Handoff
import Policy
import Protocols
import Store
import Synchronization
import Telemetry

/// Writes the messages that tell senders what became of theirs. Called on reader threads of the store, and on loops of what
/// mailboxes here take at once; shareable because all it changes is the source of ids, behind a lock.
final class DeliveryNotices: Sendable {
    /// Ids of messages of our own making: no loop of connections has this number.
    private static let idLoop = 31
    private static let tokenOctets = 9
    private static let sliceOctets = 1 << 18

    private let factory: DSNFactory
    private let directory: DirectoryPublisher
    private let log: Log
    private let ids = Mutex(MessageIDSource(loop: idLoop))

    init(factory: DSNFactory, directory: DirectoryPublisher, log: Log) {
        self.factory = factory
        self.directory = directory
        self.log = log
    }

    /// nil: nobody is told.
    func make(_ notice: DeliveryNotice, _ session: any StoreReaderSession) throws(StoreError) -> AcceptRequest? {
        // The original's header is parsed: whoever wrote it must not end us more than twice.
        let id = notice.message.id.text
        InProgress.begin(.report, Fingerprint(id), label: id)
        defer { InProgress.end() }
        let wanted = factory.octetsWanted(for: notice)
        return make(notice, wanted > 0 ? try original(notice.message, wanted, session) : [])
    }

    /// `original`: the message's first octets, as many as there are at hand.
    func make(_ notice: DeliveryNotice, _ original: [UInt8]) -> AcceptRequest? {
        let record = EnvelopeRecord(encoded: notice.message.envelope) ?? EnvelopeRecord()
        let snapshot = directory.current
        let random = SystemRandom()
        let context = DSNFactory.Context(
            original: original, isWhole: original.count >= notice.message.trace.count + notice.message.bodySize,
            isSenderProven: record.isSenderProven, isSenderLocal: isLocal(notice.sender, snapshot),
            token: Array(Hex.encode(random.bytes(Self.tokenOctets)).utf8))
        switch factory.decide(notice, context) {
        case .silent(let reason):
            log.info("not_told") {
                $0.add("id", notice.message.id.text)
                $0.add("reason", reason.rawValue)
            }
            return nil
        case .report(let report): return request(report, notice, snapshot)
        }
    }

    private func original(
        _ message: StoredMessage, _ wanted: Int, _ session: any StoreReaderSession
    ) throws(StoreError) -> [UInt8] {
        var out = message.trace
        while out.count < wanted {
            let slice = try session.body(
                of: message.id, from: out.count - message.trace.count,
                max: min(Self.sliceOctets, wanted - out.count))
            if slice.isEmpty { break }
            out += slice
        }
        return out
    }

    private func isLocal(_ address: [UInt8], _ snapshot: DirectorySnapshot) -> Bool {
        guard let (local, domain) = split(address) else { return false }
        if case .notLocal = snapshot.resolve(localpart: local, domain: domain, declaredSize: 0) { return false }
        return true
    }

    private func split(_ address: [UInt8]) -> (local: [UInt8], domain: [UInt8])? {
        guard let at = address.lastIndex(of: ASCII.at) else { return nil }
        return (Array(address[..<at]), ASCII.lowercased(Array(address[(at + 1)...])))
    }

    private func request(
        _ report: OutgoingReport, _ notice: DeliveryNotice, _ snapshot: DirectorySnapshot
    ) -> AcceptRequest? {
        guard let (local, domain) = split(report.recipient) else { return nil }
        let id = ids.withLock { $0.next(at: notice.now) }
        switch snapshot.resolve(localpart: local, domain: domain, declaredSize: 0) {
        case .notLocal: return report.request(id: id, now: notice.now)
        case .deliver(let accounts, let forwards):
            let mailboxes = accounts.map { LocalDelivery(account: $0, recipient: report.recipient) }
            let remote = forwards.map { RemoteRecipient(address: $0, notify: report.notify) }
            return AcceptRequest(
                id: id, received: notice.now, sender: [], trace: [], body: .inline(report.body),
                envelope: report.envelope, local: mailboxes, remote: remote)
        case .unknown, .disabled, .overQuota, .aliasLoop:
            // RFC 5321 §6.1: a report that cannot be delivered is dropped.
            log.warning("report_undeliverable") {
                $0.add("id", notice.message.id.text)
                $0.add("to", report.recipient)
            }
            return nil
        }
    }
}
