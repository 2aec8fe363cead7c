import Base
import MailAuth
import Protocols

/// A message with signatures and a chain, and one key record for whoever asks. The first byte chooses how the body is
/// split, the second how long the record is. A verdict must not depend on the split, and nothing passes by chance.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    guard let start, count > 2 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: start + 2, count: count - 2))
    let record = Array(bytes.prefix(Int(start[1])))
    let message = Array(bytes.dropFirst(record.count))
    _ = try? DKIMKeyRecord(record)
    let index = HeaderIndex(message)
    let dkim = DKIMFields(index)
    let arc = ARCFields(index)
    precondition(dkim.entries.count <= DKIMFields.signaturesMax && arc.sets.count <= 50)
    let keys = dkim.bodyKeys + arc.bodyKeys
    let whole = hashes(message, index, keys, size: message.count + 1)
    precondition(whole == hashes(message, index, keys, size: Int(start[0] & 31) + 1), "a split changed a hash")
    var facts = Facts()
    for question in dkim.questions + arc.questions { facts.learn(question, .records([.txt(record)])) }
    guard let verdict = try? DKIMCheck(dkim, bodyHashes: whole, now: 1_700_000_000).evaluate(facts),
        (try? ARCCheck(arc, bodyHashes: whole).evaluate(facts)) != nil
    else { preconditionFailure("a check asks for what it did not name before") }
    precondition(verdict.results.count == dkim.entries.count)
    _ = AuthenticationResultsText.merged(index, id: Array("a".utf8)).flatMap { AuthenticationResultsText.arcStatus($0) }
    return 0
}

private func hashes(
    _ message: [UInt8], _ index: HeaderIndex, _ keys: [BodyHashKey], size: Int
) -> [BodyHashKey: BodyHash] {
    let hashers = BodyHashers(keys)
    var offset = index.bodyStart
    while offset < message.count {
        let end = min(offset + size, message.count)
        hashers.feed(message.span.extracting(offset..<end))
        offset = end
    }
    return hashers.finish()
}
