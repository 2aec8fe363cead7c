import Base
import Protocols

private let configuration = SMTPSessionConfiguration(
    hostname: Array("mx.example".utf8), kind: .submissions, offersTLS: true, offersAuth: true)

/// A whole session of a submission listener after its handshake, AUTH included.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    checkSplits(start, count, configuration, tls: true)
    return 0
}
