import Base
import Protocols

private let configuration = SMTPSessionConfiguration(hostname: Array("mx.example".utf8), offersTLS: true)
private let before = Array("EHLO c.example\r\nMAIL FROM:<a@b.example>\r\n".utf8)

/// One command line, between EHLO and NOOP: it gets exactly one reply, or the session ends.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let line = UnsafeBufferPointer(start: start, count: min(count, 4_000)).filter { $0 != 0x0D && $0 != 0x0A }
    // AUTH, DATA and BDAT are followed by octets that are no command.
    let verb = ASCII.lowercased(Array(line.prefix(4)))
    if ["data", "bdat", "auth"].contains(where: { Array($0.utf8) == verb }) { return 0 }
    for prelude in [before, Array(before.prefix(16))] {
        let bytes = prelude + line + [0x0D, 0x0A]
        let alone = run(prelude)
        let dialogue = run(bytes)
        if dialogue.isClosed { continue }
        precondition(replies(dialogue.output) == replies(alone.output) + 1, "a command without its one reply")
    }
    return 0
}

private func run(_ bytes: [UInt8]) -> Dialogue {
    runSession(bytes, size: bytes.count, reversed: false, configuration: configuration, tls: false)
}

/// Final lines of replies: three digits and a space.
private func replies(_ output: [UInt8]) -> Int {
    output.split(separator: 0x0A).count { $0.count > 3 && $0[$0.startIndex + 3] == ASCII.space }
}
