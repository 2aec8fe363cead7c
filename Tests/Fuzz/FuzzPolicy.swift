import Base
import Policy

/// Any text as the value of any domain setting: it is refused and changes nothing, or it is taken, and what it reads as
/// means the same and is read as itself. The input is `name=value` lines; a line without a known name goes to them all.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    var policy = DomainPolicy()
    for line in bytes.split(separator: ASCII.lf, maxSplits: 8) {
        let parts = line.split(separator: ASCII.equals, maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(decoding: parts[0], as: UTF8.self)
        if parts.count == 2, let field = DomainPolicyField.named(name) {
            let before = policy
            check(field, String(decoding: parts[1], as: UTF8.self), &policy)
            checkOthers(field, before, policy)
        } else {
            for field in DomainPolicyField.all { check(field, String(decoding: line, as: UTF8.self), &policy) }
        }
    }
    return 0
}

private func check(_ field: DomainPolicyField, _ text: String, _ policy: inout DomainPolicy) {
    let before = policy
    guard field.write(&policy, text) else {
        precondition(policy == before, "\(field.name): a refused text changed something")
        return
    }
    let shown = field.read(policy)
    precondition(!shown.isEmpty && shown.utf8.allSatisfy { ASCII.isPrintable($0) }, "\(field.name): not one line")
    precondition(shown.utf8.count <= 32_768, "\(field.name): too long to be kept")
    var again = before
    precondition(field.write(&again, shown), "\(field.name): refuses what it shows")
    precondition(again == policy, "\(field.name): what it shows means something else")
    precondition(field.read(again) == shown, "\(field.name): shows another text the second time")
    precondition(policy.defense.greylist.windowSeconds > policy.defense.greylist.delaySeconds, "nobody could pass")
    precondition(policy.defense.score.lowest <= policy.defense.score.highest)
    _ = policy.defense.wantsScore
}

private func checkOthers(_ field: DomainPolicyField, _ before: DomainPolicy, _ after: DomainPolicy) {
    for other in DomainPolicyField.all where other.name != field.name {
        precondition(other.read(after) == other.read(before), "\(field.name) changed \(other.name)")
    }
}
