import CEpoll

/// An IPv4 or IPv6 endpoint, or `unspecified` for a Unix socket. IPv4-mapped IPv6 addresses are kept as IPv4, so that
/// limits and policy see one spelling.
package struct SocketAddress: Sendable, Hashable, CustomStringConvertible {
    package enum Family: UInt8, Sendable { case unspecified, v4, v6 }

    package private(set) var family: Family = .unspecified
    package var port: UInt16 = 0
    /// The address in network order, left-aligned: IPv4 is the top 32 bits of `high`.
    package private(set) var high: UInt64 = 0
    package private(set) var low: UInt64 = 0
    package private(set) var scope: UInt32 = 0

    package init() {}

    /// From 4 or 16 bytes in network order; anything else is `unspecified`.
    package init(bytes: [UInt8], port: UInt16) {
        self.port = port
        switch bytes.count {
        case 4:
            family = .v4
            high = SocketAddress.join(bytes[...]) << 32
        case 16:
            family = .v6
            high = SocketAddress.join(bytes[0..<8])
            low = SocketAddress.join(bytes[8..<16])
            normalise()
        default:
            break
        }
    }

    /// From text such as `192.0.2.1` or `2001:db8::1`; nil when it is neither.
    package init?(ip: String, port: UInt16) {
        var storage = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, ip, &storage) == 1 {
            self.init(bytes: Array(storage[0..<4]), port: port)
        } else if inet_pton(AF_INET6, ip, &storage) == 1 {
            self.init(bytes: storage, port: port)
        } else {
            return nil
        }
    }

    /// 4 or 16 bytes in network order; none when unspecified.
    package var addressBytes: [UInt8] {
        switch family {
        case .unspecified: []
        case .v4: (0..<4).map { UInt8(truncatingIfNeeded: high >> (56 - 8 * UInt64($0))) }
        case .v6:
            (0..<16).map { i in
                UInt8(truncatingIfNeeded: (i < 8 ? high : low) >> (56 - 8 * UInt64(i & 7)))
            }
        }
    }

    package var isLoopback: Bool {
        switch family {
        case .unspecified: true
        case .v4: high >> 56 == 127
        case .v6: high == 0 && low == 1
        }
    }

    /// The address without its port, as people write it.
    package var ipText: String {
        guard family != .unspecified else { return "local" }
        var text = [CChar](repeating: 0, count: 64)
        let kind = family == .v4 ? AF_INET : AF_INET6
        _ = inet_ntop(kind, addressBytes, &text, socklen_t(text.count))
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    package var description: String {
        switch family {
        case .unspecified: "local"
        case .v4: "\(ipText):\(port)"
        case .v6: "[\(ipText)]:\(port)"
        }
    }

    private static func join(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

    private mutating func normalise() {
        guard high == 0, low >> 32 == 0xFFFF else { return }
        family = .v4
        high = low << 32
        low = 0
    }
}

extension SocketAddress {
    /// From what accept(2) or getsockname(2) wrote.
    init(_ storage: inout sockaddr_storage) {
        switch Int32(storage.ss_family) {
        case AF_INET:
            self = withUnsafeBytes(of: &storage) { raw in
                let a = raw.loadUnaligned(as: sockaddr_in.self)
                var made = SocketAddress()
                made.family = .v4
                made.port = UInt16(bigEndian: a.sin_port)
                made.high = UInt64(UInt32(bigEndian: a.sin_addr.s_addr)) << 32
                return made
            }
        case AF_INET6:
            self = withUnsafeBytes(of: &storage) { raw in
                let a = raw.loadUnaligned(as: sockaddr_in6.self)
                var made = SocketAddress()
                made.family = .v6
                made.port = UInt16(bigEndian: a.sin6_port)
                made.scope = a.sin6_scope_id
                // sin6_addr begins at offset 8 of sockaddr_in6.
                made.high = UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                made.low = UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: 16, as: UInt64.self))
                made.normalise()
                return made
            }
        default:
            self.init()
        }
    }

    /// What bind(2) and connect(2) read, with its length; nil when unspecified.
    func systemForm() -> (storage: sockaddr_storage, length: UInt32)? {
        var storage = sockaddr_storage()
        switch family {
        case .unspecified:
            return nil
        case .v4:
            var a = sockaddr_in()
            a.sin_family = sa_family_t(AF_INET)
            a.sin_port = port.bigEndian
            a.sin_addr.s_addr = UInt32(truncatingIfNeeded: high >> 32).bigEndian
            withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: a, as: sockaddr_in.self) }
            return (storage, UInt32(MemoryLayout<sockaddr_in>.size))
        case .v6:
            var a = sockaddr_in6()
            a.sin6_family = sa_family_t(AF_INET6)
            a.sin6_port = port.bigEndian
            a.sin6_scope_id = scope
            withUnsafeMutableBytes(of: &storage) { raw in
                raw.storeBytes(of: a, as: sockaddr_in6.self)
                raw.storeBytes(of: high.bigEndian, toByteOffset: 8, as: UInt64.self)
                raw.storeBytes(of: low.bigEndian, toByteOffset: 16, as: UInt64.self)
            }
            return (storage, UInt32(MemoryLayout<sockaddr_in6>.size))
        }
    }

    /// A Unix socket's path for bind(2) and connect(2); nil when it is too long.
    static func systemForm(path: String) -> (storage: sockaddr_storage, length: UInt32)? {
        let bytes = Array(path.utf8)
        guard !bytes.isEmpty, bytes.count < 108 else { return nil }
        var storage = sockaddr_storage()
        storage.ss_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &storage) { raw in
            for (i, c) in bytes.enumerated() { raw[2 + i] = c }
        }
        return (storage, UInt32(2 + bytes.count + 1))
    }
}
