import Base
import Protocols

private let configuration = SMTPSessionConfiguration(hostname: Array("mx.example".utf8), offersTLS: true)

/// A whole session of an MX listener. The first byte chooses how the rest is split and the order of answers.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    checkSplits(start, count, configuration, tls: false)
    return 0
}
