import Base
import Protocols

/// Any octets as a PROXY header, in any pieces: what is decided stays decided, and nothing behind the header matters.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    let whole = ProxyHeader.read(bytes.span)
    var early: ProxyHeader.Step?
    // A header ends early in what came, or not at all.
    for n in 0...min(bytes.count, ProxyHeader.version2Max + 1) {
        let step = ProxyHeader.read(bytes.span.extracting(0..<n))
        if let early {
            precondition(step == early, "more octets changed what was decided")
        } else if step != .needMore {
            early = step
            if case .done(_, let octets) = step { precondition(octets == n, "decided before its last octet came") }
        }
    }
    if bytes.count > ProxyHeader.version2Max { precondition(early != nil, "it wants more than a header may have") }
    precondition(whole == early ?? .needMore, "the pieces changed what it is")
    if case .done(let header, let octets) = whole {
        precondition(octets <= (header.version == 1 ? ProxyHeader.version1Max : ProxyHeader.version2Max))
        precondition(header.version == 1 || header.version == 2)
        if case .client(let address, _) = header.origin { precondition(address == address.unmapped) }
    }
    return 0
}
