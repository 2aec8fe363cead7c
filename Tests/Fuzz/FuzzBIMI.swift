import Base
import MailAuth
import Protocols

/// Any octets as a BIMI record: what is read is https or nothing, and was written there.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    guard BIMIRecord.isRecord(bytes), case .success(let record) = BIMIRecord.parse(bytes) else { return 0 }
    for uri in [record.location, record.authority] where !uri.isEmpty {
        precondition(uri.count <= BIMIRecord.uriMax, "too long")
        precondition(ASCII.lowercased(uri).starts(with: Array("https:".utf8)), "not https")
        precondition(uri.allSatisfy { ASCII.isPrintable($0) }, "not printable")
    }
    precondition(record.isDeclined == (record.location.isEmpty && record.authority.isEmpty))
    return 0
}
