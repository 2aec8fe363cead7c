/// Where a listener is: an address and port, or a Unix socket, `unix:/run/martlet/lmtp`.
package enum ListenEndpoint: Sendable, Hashable, CustomStringConvertible {
    case inet(ListenAddress)
    case unix(path: String)

    /// sockaddr_un holds 108 octets with the closing NUL.
    private static let pathOctetsMax = 107
    private static let unixPrefix = "unix:"

    package init?(_ text: String) {
        guard text.hasPrefix(Self.unixPrefix) else {
            guard let address = ListenAddress(text) else { return nil }
            self = .inet(address)
            return
        }
        let path = String(text.dropFirst(Self.unixPrefix.count))
        guard path.hasPrefix("/"), path.utf8.count > 1, path.utf8.count <= Self.pathOctetsMax else { return nil }
        self = .unix(path: path)
    }

    package var inet: ListenAddress? {
        if case .inet(let address) = self { return address }
        return nil
    }

    /// Only this machine reaches it.
    package var isLoopback: Bool {
        switch self {
        case .inet(let address): address.host == "::1" || address.host.hasPrefix("127.")
        case .unix: true
        }
    }

    package var description: String {
        switch self {
        case .inet(let address): address.description
        case .unix(let path): Self.unixPrefix + path
        }
    }
}
