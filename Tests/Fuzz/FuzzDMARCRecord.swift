import Base
import MailAuth
import Protocols

/// Any octets as a DMARC record: what is read stays within its bounds, and asks for nothing that was not written.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    guard let record = DMARCRecord(bytes) else { return 0 }
    precondition(bytes.count <= DMARCRecord.octetsMax, "too long")
    precondition(record.reportURIs.count <= DMARCRecord.urisMax, "too many URIs")
    precondition((0...100).contains(record.percent), "not a percentage")
    let word = Array("reject".utf8)
    let lower = ASCII.lowercased(bytes)
    for exists in [true, false] {
        guard record.policy(isSubdomain: true, exists: exists).0 == .reject else { continue }
        let isWritten = lower.indices.contains { lower[$0...].starts(with: word) }
        precondition(isWritten, "reject out of nothing")
    }
    return 0
}
