import Base
import Ledger
import Protocols

/// Any octets as a record of the ledger: decoded or not, explained and decided again without a trap. What no writer makes
/// (an empty mode, fewer recipients than there are) is set right when it is written; from then on a record stays as it is.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    guard let record = LedgerRecord(bytes) else { return 0 }
    let once = record.encoded()
    precondition(once.count <= LedgerRecord.octetsMax, "longer than a record may be")
    guard let again = LedgerRecord(once) else { preconditionFailure("what was written cannot be read") }
    precondition(again.id == record.id && again.time == record.time)
    let settled = again.encoded()
    precondition(LedgerRecord(settled)?.encoded() == settled, "written again, and different")
    if let text = Explanation.make([record, again]) {
        for line in text.lines {
            precondition(line.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }, "a control character")
        }
    }
    if case .decision(let decision) = record {
        for replay in replays { _ = replay.decide(decision) }
    }
    for replay in replays {
        guard var defense = replay.defense() else { continue }
        defense.add(record)
        defense.add(again)
        defense.finish()
    }
    return 0
}

private let replays = [
    [("spf_fail", "reject")], [("dmarc.mode", "rfc7489"), ("dmarc_enforce", "false")],
    [("lists", "zen.example=6"), ("greylist", "true"), ("tarpit", "true")],
].compactMap {
    try? PolicyReplay($0.map { (key: $0.0, value: $0.1) })
}
