import CUnbound
import Protocols

/// From libunbound's result to our answer. Lengths come from libunbound, the bytes from strangers: each record is
/// copied and then parsed with every bound checked.
enum UnboundDecode {
    private static let noError: Int32 = 0
    private static let servFail: Int32 = 2
    private static let nxDomain: Int32 = 3
    private static let refused: Int32 = 5

    static func answer(to question: DNSQuestion, error: Int32, result: UnsafeMutablePointer<ub_result>?) -> DNSAnswer {
        guard error == 0, let result = result?.pointee else { return DNSAnswer(status: .servFail) }
        if result.bogus != 0 {
            return DNSAnswer(
                status: .servFail, security: .bogus, reason: result.why_bogus.map { String(cString: $0) })
        }
        let security: DNSSecurity = result.secure != 0 ? .secure : .insecure
        let ttl = UInt32(clamping: result.ttl)
        guard let records = records(question.type, result) else {
            return DNSAnswer(status: .servFail, security: security, ttl: ttl, reason: "a malformed record")
        }
        return DNSAnswer(
            status: status(result, hasRecords: !records.isEmpty), records: records, security: security, ttl: ttl,
            canonicalName: canonicalName(result.canonname, of: question))
    }

    private static func status(_ result: ub_result, hasRecords: Bool) -> DNSStatus {
        switch result.rcode {
        case noError: hasRecords ? .noError : result.nxdomain != 0 ? .nxDomain : .noData
        case nxDomain: .nxDomain
        case refused: .refused
        default: .servFail
        }
    }

    /// nil: a record that is not of its type's form. One bad record spoils the set: half an SPF policy is no policy.
    private static func records(_ type: DNSRecordType, _ result: ub_result) -> [RecordData]? {
        guard result.havedata != 0, let data = result.data, let lengths = result.len else { return [] }
        var records: [RecordData] = []
        var i = 0
        while let bytes = data[i] {
            let length = Int(lengths[i])
            guard length >= 0 else { return nil }
            let rdata = Array(UnsafeRawBufferPointer(start: bytes, count: length))
            guard let record = RecordData(type: type, rdata: rdata) else { return nil }
            records.append(record)
            i += 1
        }
        return records
    }

    /// libunbound hands this one out as text in which odd bytes are question marks: such a name is not told.
    private static func canonicalName(_ text: UnsafeMutablePointer<CChar>?, of question: DNSQuestion) -> DNSName? {
        guard let text else { return nil }
        let bytes = Array(String(cString: text).utf8)
        guard !bytes.contains(0x3F), let name = DNSName(dotted: bytes), name != question.name else { return nil }
        return name
    }
}
