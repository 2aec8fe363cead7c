import Base
import Protocols
import Store

extension SQLiteWriterSession {
    func saveSTSPolicy(_ record: STSPolicyRecord) throws(StoreError) {
        try statement("INSERT OR REPLACE INTO mta_sts(domain, id, policy, fetched, expires) VALUES(?, ?, ?, ?, ?)")
            .bind(1, record.domain).bind(2, record.id).bind(3, record.policy).bind(4, record.fetched.microseconds)
            .bind(5, record.expires.microseconds).run()
    }

    func removeSTSPolicy(domain: [UInt8]) throws(StoreError) {
        try statement("DELETE FROM mta_sts WHERE domain=?").bind(1, domain).run()
    }

    func addTLSResults(_ rows: [TLSResultRow]) throws(StoreError) {
        for row in rows { try addTLSResult(row) }
    }

    private func addTLSResult(_ row: TLSResultRow) throws(StoreError) {
        let insert = try statement(
            """
            INSERT INTO tls_result(day, domain, host, policy, result, sessions, last, address, policy_domain,
                policy_strings, policy_hosts, testing, detail, version, cipher, key_group, forward_secrecy, verified,
                cert_key, cert_subject, cert_issuer, cert_end)
            VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)
            ON CONFLICT DO UPDATE SET sessions = sessions + ?6, last=?7, address=?8, policy_domain=?9,
                policy_strings=?10, policy_hosts=?11, testing=?12, detail=?13, version=?14, cipher=?15, key_group=?16,
                forward_secrecy=?17, verified=?18, cert_key=?19, cert_subject=?20, cert_issuer=?21, cert_end=?22
            """
        )
        .bind(1, row.key.day).bind(2, row.key.domain).bind(3, row.key.host)
        .bind(4, Array(row.key.policy.rawValue.utf8)).bind(5, Array(row.key.result.rawValue.utf8))
        .bind(6, row.sessions).bind(7, row.last.microseconds).bind(8, row.address).bind(9, row.policyDomain)
        .bind(10, Array(row.policyStrings.joined(separator: [ASCII.lf])))
        .bind(11, Array(row.policyHosts.joined(separator: [ASCII.lf])))
        .bind(12, row.isTesting ? 1 : 0).bind(13, row.detail).bind(14, row.version).bind(15, row.cipher)
        .bind(16, row.group).bind(17, row.hasForwardSecrecy ? 1 : 0).bind(18, row.isVerified ? 1 : 0)
        .bind(19, optional: row.certificate?.key).bind(20, optional: row.certificate?.subject)
        .bind(21, optional: row.certificate?.issuer)
        if let end = row.certificate?.notAfter { insert.bind(22, end) } else { insert.bindNull(22) }
        try insert.run()
    }

    func removeTLSResults(before day: Int) throws(StoreError) {
        try statement("DELETE FROM tls_result WHERE day < ?").bind(1, day).run()
    }
}
