import Base
import Protocols
import Store

extension SQLiteReaderSession {
    func stsPolicies() throws(StoreError) -> [STSPolicyRecord] {
        try statement("SELECT domain, id, policy, fetched, expires FROM mta_sts ORDER BY domain").rows {
            (row) throws(StoreError) in
            STSPolicyRecord(
                domain: row.bytes(0), id: row.bytes(1), policy: row.bytes(2),
                fetched: WallTime(microseconds: row.integer(3)), expires: WallTime(microseconds: row.integer(4)))
        }
    }

    func tlsResults(from: Int, to: Int) throws(StoreError) -> [TLSResultRow] {
        try statement(
            """
            SELECT day, domain, host, policy, result, sessions, last, address, policy_domain, policy_strings,
                policy_hosts, testing, detail, version, cipher, key_group, forward_secrecy, verified, cert_key,
                cert_subject, cert_issuer, cert_end
            FROM tls_result WHERE day BETWEEN ? AND ? ORDER BY domain, host, day, policy, result
            """
        )
        .bind(1, from).bind(2, to)
        .rows { (row) throws(StoreError) in Self.tlsResult(row) }
        .compactMap { $0 }
    }

    /// nil: of a kind a later version keeps.
    private static func tlsResult(_ row: Statement) -> TLSResultRow? {
        guard let policy = TLSPolicyType(rawValue: row.text(3)), let result = TLSResultType(rawValue: row.text(4))
        else {
            return nil
        }
        var out = TLSResultRow(
            key: .init(day: row.int(0), domain: row.bytes(1), host: row.bytes(2), policy: policy, result: result),
            last: WallTime(microseconds: row.integer(6)))
        out.sessions = row.int(5)
        out.address = row.bytes(7)
        out.policyDomain = row.bytes(8)
        out.policyStrings = lines(row.bytes(9))
        out.policyHosts = lines(row.bytes(10))
        out.isTesting = row.int(11) != 0
        out.detail = row.bytes(12)
        out.version = row.bytes(13)
        out.cipher = row.bytes(14)
        out.group = row.bytes(15)
        out.hasForwardSecrecy = row.int(16) != 0
        out.isVerified = row.int(17) != 0
        if let key = row.optionalBytes(18) {
            out.certificate = AttemptRecord.Certificate(
                key: key, subject: row.bytes(19), issuer: row.bytes(20), notAfter: row.integer(21))
        }
        return out
    }

    /// Lists are kept as lines.
    private static func lines(_ bytes: [UInt8]) -> [[UInt8]] {
        bytes.split(separator: ASCII.lf, omittingEmptySubsequences: true).map { Array($0) }
    }
}
