import Base
import Protocols

/// Any octets as the data of a record of every type and as a name. What is read can be written, and is then the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    for type in DNSRecordType.allCases {
        guard let record = RecordData(type: type, rdata: bytes) else { continue }
        precondition(record.type == type)
        if let text = record.text { precondition(text.count < bytes.count, "more text than data") }
        if let name = record.target { check(name) }
        if let address = record.address {
            precondition(address.bytes == bytes)
            precondition(IPAddress("\(address)") == address || !address.isIPv4 && address.bytes.starts(with: zeros))
        }
        _ = record.description
    }
    if let name = DNSName(wire: bytes) {
        precondition(name.wire == bytes)
        check(name)
    }
    if let name = DNSName(dotted: bytes) {
        check(name)
        precondition(name.isRoot || DNSName(dotted: name.dotted) == name)
    }
    if let address = IPAddress(String(decoding: bytes, as: UTF8.self)) {
        precondition(IPAddress.parse(Array("\(address)".utf8)) != nil, "its own text is no address")
        check(address.reverseName)
    }
    return 0
}

/// Addresses that hold an IPv4 address may be shown as that.
private let zeros = [UInt8](repeating: 0, count: 10)

private func check(_ name: DNSName) {
    precondition(name.wire.count <= DNSName.maximumWire && name.wire.last == 0)
    precondition(DNSName(labels: name.labels) == name && name.labels.count == name.labelCount)
    precondition(name.isWithin(.root) && name.isWithin(name) && name.suffix(name.labelCount) == name)
    if let parent = name.parent {
        precondition(name.isWithin(parent) && !parent.isWithin(name) && parent.labelCount + 1 == name.labelCount)
        precondition(parent.prepending(name.labels[0]) == name)
    }
    precondition(name.presentation.allSatisfy { ASCII.isPrintable($0) }, "unprintable presentation")
}
