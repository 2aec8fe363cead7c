import Base
import Protocols

/// Reports: a hostile one is read without a trap and within bounds, and its words, put into a report of ours, come back as
/// one recipient with nothing forged.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    guard let start, count > 0 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    if let read = ReceivedReport(bytes) {
        precondition(!read.recipients.isEmpty && read.recipients.count <= ReceivedReport.recipientsMax, "recipients")
    }
    var recipient = DeliveryReport.Recipient(
        address: Array(bytes.prefix(80)), action: .failed, status: EnhancedStatus(5, 0, 0))
    recipient.code = 550
    recipient.text = bytes
    recipient.remote = Array(bytes.suffix(40))
    recipient.original = bytes
    var report = DeliveryReport(
        recipients: [recipient], original: DeliveryReport.Original(bytes: bytes, isWhole: count & 1 == 0),
        returnsBody: true, sender: Array("a@b.example".utf8), hostname: Array("h.example".utf8),
        arrival: WallTime(seconds: 0), now: WallTime(seconds: 1), token: Array(bytes.prefix(8)),
        allowsUTF8: count & 2 == 0)
    report.envelopeID = bytes
    report.receivedFrom = bytes
    report.original.isInternational = count & 4 == 0
    let made = report.encoded().bytes
    var previous: UInt8 = 0
    var length = 0
    for c in made {
        precondition(c != 0, "a NUL")
        if c == ASCII.lf { precondition(previous == ASCII.cr, "a lone line feed") }
        if previous == ASCII.cr { precondition(c == ASCII.lf, "a lone carriage return") }
        length = c == ASCII.lf ? 0 : length + 1
        precondition(length <= 999, "a long line")
        previous = c
    }
    guard let back = ReceivedReport(made) else { preconditionFailure("our own report is none") }
    precondition(back.recipients.count == 1, "a recipient was forged")
    precondition(back.recipients[0].status == EnhancedStatus(5, 0, 0), "the status was forged")
    precondition(back.recipients[0].action == .failed, "the action was forged")
    return 0
}
