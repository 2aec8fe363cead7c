import Base
import Protocols

/// A mailbox that was read is written in a form that reads back as the same mailbox.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    guard let address = MailAddress(parsing: bytes) else { return 0 }
    precondition(address.localpart.count <= 64 && address.domain.count <= 255, "longer than RFC 5321 allows")
    precondition(MailAddress(parsing: address.wire) == address, "the written form is another mailbox")
    return 0
}
