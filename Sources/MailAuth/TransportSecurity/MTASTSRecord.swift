import Base

/// The TXT record of `_mta-sts.<domain>`: that there is a policy, and which one.
// RFC 8461 §3.1
package struct MTASTSRecord: Sendable, Hashable {
    private static let idMax = 32

    /// 1 to 32 letters and digits.
    package let id: [UInt8]

    /// nil: not a valid record.
    package init?(_ text: [UInt8]) {
        guard let fields = PolicyRecordFields(text, version: "v=STSv1"), let id = fields.value("id"),
            id.count <= Self.idMax, id.allSatisfy({ ASCII.isAlphanumeric($0) })
        else { return nil }
        self.id = Array(id)
    }

    /// The one record among all texts of the name. nil: none, or several, or an invalid one: no policy is announced.
    package static func find(in texts: [[UInt8]]) -> MTASTSRecord? {
        let records = texts.filter { PolicyRecordFields.begins($0, with: "v=STSv1") }
        return records.count == 1 ? MTASTSRecord(records[0]) : nil
    }
}
