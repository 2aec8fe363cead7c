import Base
import Protocols

/// A server's replies, read whole and byte by byte.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    guard let start, count > 0 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    precondition(run(bytes, size: bytes.count) == run(bytes, size: 1), "a split changed the replies")
    return 0
}

private func run(_ bytes: [UInt8], size: Int) -> [ReplyParser.Step] {
    var parser = ReplyParser()
    var steps: [ReplyParser.Step] = []
    var end = 0
    var offset = 0
    while end < bytes.count {
        end = min(end + size, bytes.count)
        reading: while true {
            let step = parser.next(bytes.span.extracting(0..<end), &offset)
            precondition(offset <= end, "more was used than given")
            switch step {
            case .needMore: break reading
            case .failed:
                steps.append(step)
                return steps
            case .reply: steps.append(step)
            }
        }
    }
    return steps
}
