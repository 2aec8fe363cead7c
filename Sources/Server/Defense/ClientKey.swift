import Policy
import Protocols

/// What a client is counted by: an IPv4 address or a /64 of IPv6, because who has one IPv6 address has all of its /64; or
/// the network around it, a /24 or a /48.
struct ClientKey: Hashable {
    /// The first bits of the address, IPv4's in the low half.
    let bits: UInt64
    private let kind: Kind

    /// Journals have the numbers.
    private enum Kind: UInt8 { case nobody, v4, v6, v4Network, v6Network }

    /// Matches no client.
    static let nobody = ClientKey(bits: 0, kind: .nobody)

    private init(bits: UInt64, kind: Kind) {
        self.bits = bits
        self.kind = kind
    }

    init(_ address: IPAddress) {
        self.init(bits: Self.bits(address), kind: address.isIPv4 ? .v4 : .v6)
    }

    init(networkOf address: IPAddress) {
        let bits = Self.bits(address)
        self.init(
            bits: address.isIPv4 ? bits & 0xFFFF_FF00 : bits & 0xFFFF_FFFF_FFFF_0000,
            kind: address.isIPv4 ? .v4Network : .v6Network)
    }

    private static func bits(_ address: IPAddress) -> UInt64 {
        var bits: UInt64 = 0
        for i in 0..<min(8, address.bytes.count) { bits = bits << 8 | UInt64(address.bytes[i]) }
        return bits
    }

    /// As a journal keeps it.
    var code: UInt8 { kind.rawValue }

    /// nil: it is no client's address.
    init?(code: UInt8, bits: UInt64) {
        guard let kind = Kind(rawValue: code), kind == .v4 || kind == .v6, kind == .v6 || bits >> 32 == 0 else {
            return nil
        }
        self.init(bits: bits, kind: kind)
    }

    var isNobody: Bool { kind == .nobody }
    var isNetwork: Bool { kind == .v4Network || kind == .v6Network }
    private var isIPv4: Bool { kind == .v4 || kind == .v4Network }
    private var prefix: Int {
        switch kind {
        case .nobody: 0
        case .v4: 32
        case .v4Network: 24
        case .v6: 64
        case .v6Network: 48
        }
    }

    /// For people; nil: nobody.
    var block: AddressBlock? {
        guard !isNobody else { return nil }
        let width = isIPv4 ? 4 : 8
        let bytes = (0..<width).map { UInt8(truncatingIfNeeded: bits >> UInt64(8 * (width - 1 - $0))) }
        let whole = isIPv4 ? bytes : bytes + [UInt8](repeating: 0, count: 8)
        return IPAddress(bytes: whole).map { AddressBlock($0, prefix: prefix) }
    }

    /// Whether any address belongs to both.
    func overlaps(_ block: AddressBlock) -> Bool {
        guard !isNobody, block.address.isIPv4 == isIPv4 else { return false }
        let width = isIPv4 ? 32 : 64
        let common = min(prefix, block.prefix)
        let differing = (bits ^ Self.bits(block.address)) >> UInt64(width - common)
        // A shift by the whole width is 0 in Swift: everything overlaps the empty prefix.
        return differing == 0
    }
}
