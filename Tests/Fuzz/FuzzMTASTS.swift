import Base
import MailAuth
import Protocols

/// Any octets as an MTA-STS policy, as its record, as a TLSRPT record and as a TLSA record.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    if let policy = try? MTASTSPolicy(bytes) {
        precondition(bytes.count <= MTASTSPolicy.octetsMax && policy.patterns.count <= MTASTSPolicy.patternsMax)
        precondition((0...MTASTSPolicy.maxAgeMax).contains(policy.maxAgeSeconds))
        precondition(policy.mode == .absent || !policy.patterns.isEmpty, "a policy that lets nobody in")
        for pattern in policy.patterns {
            let host = pattern.first == 0x2A ? [0x78] + pattern[1...] : pattern
            precondition(policy.matches(host), "a pattern that does not match itself")
            precondition(!policy.patterns.contains { $0.first == 0x2A && MTASTSPolicy.matches(Array($0[2...]), $0) })
        }
        if let again = try? MTASTSPolicy(Array(policy.lines.joined(separator: [ASCII.lf]))) {
            precondition(again == policy, "its own lines say something else")
        } else {
            preconditionFailure("its own lines are no policy")
        }
    }
    if let record = MTASTSRecord(bytes) {
        precondition((1...32).contains(record.id.count) && record.id.allSatisfy { ASCII.isAlphanumeric($0) })
        precondition(MTASTSRecord.find(in: [bytes]) == record && MTASTSRecord.find(in: [bytes, bytes]) == nil)
    }
    if let record = TLSRPTRecord(bytes) {
        precondition(record.targets.count <= 10)
        precondition(TLSRPTRecord.find(in: [bytes]) == record)
    }
    if case .tlsa(let tlsa)? = RecordData(type: .tlsa, rdata: bytes) {
        let isUsable = TLSACheck.isUsable(tlsa)
        if case .usable = TLSACheck.judge([tlsa]) { precondition(isUsable) } else { precondition(!isUsable) }
        _ = TLSACheck.text(tlsa)
    }
    return 0
}
