import CEpoll
import Protocols
import Store

/// What `store verify` found. No problems: the store is whole.
package struct VerifyReport: Sendable {
    package fileprivate(set) var problems: [String] = []
    package fileprivate(set) var messages = 0
    package fileprivate(set) var entries = 0
    package fileprivate(set) var queued = 0
    package fileprivate(set) var spooledOctets = 0
}

/// Looks at every page and every spooled octet. Confined to its session's thread.
struct StoreVerifier {
    /// More are counted, not listed.
    private static let problemsMax = 100
    private let session: SQLiteReaderSession
    private var report = VerifyReport()

    init(_ session: SQLiteReaderSession, folder: String) { self.session = session }

    consuming func run() throws(StoreError) -> VerifyReport {
        try integrity()
        try counts()
        try holders()
        try usage()
        try spooled()
        return report
    }

    private mutating func note(_ problem: String) {
        if report.problems.count < Self.problemsMax { report.problems.append(problem) }
    }

    private mutating func integrity() throws(StoreError) {
        let lines = try session.statement("PRAGMA integrity_check").rows { (row) throws(StoreError) in row.text(0) }
        for line in lines where line != "ok" { note("database: \(line)") }
    }

    private func count(_ sql: StaticString) throws(StoreError) -> Int {
        try session.statement(sql).first { (row) throws(StoreError) in row.int(0) } ?? 0
    }

    private mutating func counts() throws(StoreError) {
        report.messages = try count("SELECT count(*) FROM message")
        report.entries = try count("SELECT count(*) FROM mailbox_entry")
        report.queued = try count("SELECT count(*) FROM queue_recipient")
        let lost = try count("SELECT count(*) FROM mailbox_entry WHERE message NOT IN (SELECT id FROM message)")
        if lost > 0 { note("\(lost) mailbox entries name a message that is not there") }
        let unsent = try count("SELECT count(*) FROM queue_recipient WHERE message NOT IN (SELECT id FROM message)")
        if unsent > 0 { note("\(unsent) queue rows name a message that is not there") }
        let short = try count("SELECT count(*) FROM message WHERE body IS NOT NULL AND length(body) <> body_size")
        if short > 0 { note("\(short) messages are not as long as their row says") }
    }

    private mutating func holders() throws(StoreError) {
        let wrong = try session.statement(
            """
            SELECT m.id FROM message m LEFT JOIN message_share s ON s.message = m.id
            LEFT JOIN (SELECT message, count(*) AS n FROM
                (SELECT message FROM mailbox_entry UNION ALL SELECT message FROM queue_recipient) GROUP BY message) h
                ON h.message = m.id
            WHERE coalesce(s.left, m.holders) <> coalesce(h.n, 0) LIMIT 100
            """
        ).rows { (row) throws(StoreError) in row.integer(0) }
        for id in wrong {
            note("message \(String(decoding: MessageID(rawValue: id).text, as: UTF8.self)): holders are miscounted")
        }
    }

    private mutating func usage() throws(StoreError) {
        let wrong = try session.statement(
            """
            SELECT a.address FROM account a LEFT JOIN account_usage u ON u.account = a.id
            LEFT JOIN (SELECT e.account AS account, sum(length(m.trace) + m.body_size) AS octets, count(*) AS messages
                FROM mailbox_entry e JOIN message m ON m.id = e.message GROUP BY e.account) t ON t.account = a.id
            WHERE u.octets IS NOT coalesce(t.octets, 0) OR u.messages IS NOT coalesce(t.messages, 0)
            """
        ).rows { (row) throws(StoreError) in row.text(0) }
        for address in wrong { note("account \(address): its mailbox's size is miscounted") }
    }

    private mutating func spooled() throws(StoreError) {
        let ids = try session.statement("SELECT id, body_size FROM message WHERE body IS NULL").rows {
            (row) throws(StoreError) in (MessageID(rawValue: row.integer(0)), row.int(1))
        }
        for (id, size) in ids {
            do throws(StoreError) {
                var octets = 0
                while true {
                    let slice = try session.body(of: id, from: octets, max: 1 << 20)
                    if slice.isEmpty { break }
                    octets += slice.count
                }
                report.spooledOctets += octets
                if octets != size { note("message \(id.rawValue): \(octets) of \(size) octets") }
            } catch {
                note("message \(id.rawValue): \(error)")
            }
        }
    }
}
