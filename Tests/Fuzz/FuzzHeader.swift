import Base
import Protocols

/// The message scanner: the facts must not depend on how the message was split.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    guard let start, count > 1 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
    let whole = facts(bytes, size: bytes.count)
    let split = facts(bytes, size: Int(start[0] & 31) + 1)
    precondition("\(whole)" == "\(split)", "a split changed the facts")
    return 0
}

private func facts(_ bytes: [UInt8], size: Int) -> MessageFacts {
    var scanner = MessageScanner()
    var offset = 0
    while offset < bytes.count {
        let end = min(offset + size, bytes.count)
        scanner.append(bytes.span.extracting(offset..<end))
        offset = end
    }
    return scanner.facts
}
