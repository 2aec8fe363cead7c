import Base
import Protocols

/// The first byte chooses how the rest is split. Whole and split must lead to the same answers.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    guard let start, count > 1 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: start + 1, count: count - 1))
    let whole = run(bytes, size: bytes.count)
    let split = run(bytes, size: Int(start[0] & 31) + 1)
    precondition(whole.paths == split.paths && whole.output == split.output, "a split changed the answers")
    return 0
}

private func run(_ bytes: [UInt8], size: Int) -> (paths: [[UInt8]], output: [UInt8]) {
    var session = HTTPSession()
    var paths: [[UInt8]] = []
    var offset = 0
    while true {
        while let request = session.next() {
            precondition(request.body.count <= bytes.count)
            paths.append(request.path)
            session.respond(HTTPResponse(status: 200, body: request.path))
        }
        if offset == bytes.count || session.isFinished { break }
        let taken = session.receive(bytes.span.extracting(offset..<min(offset + size, bytes.count)))
        precondition(taken > 0, "a session that neither reads nor ends")
        offset += taken
    }
    return (paths, session.takeOutput())
}
