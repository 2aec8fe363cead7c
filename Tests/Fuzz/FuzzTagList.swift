import Base
import MailAuth
import Protocols

/// Any octets as a tag list, and as everything that is written as one: signature, key record, seal, message signature.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    if let list = try? TagList(bytes) {
        let first = String(decoding: list.firstName, as: UTF8.self)
        guard let value = list.value(first), let compact = list.compact(first) else {
            preconditionFailure("the first tag is not found")
        }
        precondition(compact.count <= value.count && value.count <= bytes.count)
        if let range = list.signatureRange { precondition(range.upperBound <= bytes.count) }
    }
    for form in [DKIMSignature.Form.dkim, .arc] {
        guard let signature = try? DKIMSignature(bytes, form: form) else { continue }
        precondition(signature.signatureRange.upperBound <= bytes.count)
        precondition(signature.signedNames.count <= DKIMSignature.signedNamesMax)
        precondition(signature.signedNames.contains { ASCII.lowercased($0) == Array("from".utf8) } || form == .arc)
        precondition(!signature.domain.isEmpty && !signature.selector.isEmpty && !signature.signature.isEmpty)
        precondition(signature.keyName.labelCount >= 3)
    }
    if let seal = try? ARCSeal(bytes) {
        precondition(seal.signatureRange.upperBound <= bytes.count && !seal.signature.isEmpty)
    }
    _ = try? DKIMKeyRecord(bytes)
    let header = HeaderIndex(bytes)
    let chain = ARCFields(header)
    precondition(chain.sets.count <= 50 && chain.highestInstance <= 50)
    precondition(chain.problem != nil || chain.sets.map(\.instance) == Array(1...max(1, chain.sets.count)))
    return 0
}
