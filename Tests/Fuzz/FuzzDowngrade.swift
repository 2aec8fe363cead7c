import Base
import Protocols

/// The 7-bit conversion: what it makes is 7-bit lines that a second conversion leaves alone; quoted-printable is reversible;
/// the submission edits stay within the message.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    guard let start, count > 0 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    if let made = Downgrade.sevenBit(bytes) {
        precondition(!made.contains { $0 >= 0x80 }, "8-bit octets are left")
        precondition(made.count <= bytes.count * 4 + 8_192, "it grew out of bounds")
        precondition(Downgrade.sevenBit(made) == made, "a second conversion changes it")
    }
    let quoted = QuotedPrintable.encode(bytes.span)
    precondition(QuotedPrintable.decode(quoted.span) == bytes, "quoted-printable lost something")
    let fixes = SubmissionFixes(
        start: bytes.span, isWhole: true, now: WallTime(seconds: 0), id: MessageID(rawValue: 1),
        domain: Array("ours.example".utf8))
    guard let fixes else { preconditionFailure("a whole message was refused") }
    let fixed = fixes.applied(to: bytes)
    precondition(fixed.count >= fixes.added.count, "too much was dropped")
    let again = SubmissionFixes(
        start: fixed.span, isWhole: true, now: WallTime(seconds: 0), id: MessageID(rawValue: 1),
        domain: Array("ours.example".utf8))
    precondition(again?.dropped.isEmpty == true, "a blind copy is left")
    return 0
}
