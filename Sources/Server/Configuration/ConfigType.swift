import Protocols

/// What a setting holds.
package indirect enum ConfigType: Sendable {
    case boolean
    case integer(ClosedRange<Int>)
    /// Octets: an integer, or a text such as "50MiB".
    case size(ClosedRange<Int>)
    /// Seconds: an integer, or a text such as "5m".
    case duration(ClosedRange<Int>)
    case choice([String])
    case text(ConfigTextRule)
    case list(of: ConfigType, countMax: Int)
    case records([ConfigField], countMax: Int)

    /// How the documentation names it.
    package var name: String {
        switch self {
        case .boolean: "true or false"
        case .integer: "integer"
        case .size: "size"
        case .duration: "duration"
        case .choice: "choice"
        case .text(let rule): rule.name
        case .list(let element, _): "list of " + element.name
        case .records: "list of objects"
        }
    }

    package var unit: String {
        switch self {
        case .size: "octets"
        case .duration: "seconds"
        case .list(let element, _): element.unit
        case .boolean, .integer, .choice, .text, .records: ""
        }
    }

    package var rangeText: String {
        switch self {
        case .boolean: "true, false"
        case .integer(let r): "\(r.lowerBound) to \(r.upperBound)"
        case .size(let r): "\(ConfigText.sizeText(r.lowerBound)) to \(ConfigText.sizeText(r.upperBound))"
        case .duration(let r): "\(ConfigText.durationText(r.lowerBound)) to \(ConfigText.durationText(r.upperBound))"
        case .choice(let words): words.joined(separator: ", ")
        case .text(let rule): rule.rangeText
        case .list(let element, let n):
            element.rangeText.isEmpty ? "at most \(n)" : "at most \(n), each \(element.rangeText)"
        case .records(_, let n): "at most \(n)"
        }
    }
}

/// Texts with a grammar.
package enum ConfigTextRule: Sendable {
    /// Anything printable, at most 1024 octets.
    case any
    case hostName
    /// Host name, or a pattern `*` / `*.example.org`.
    case domainPattern
    /// Relative ones count from the file that names them.
    case path
    case listenAddress
    /// The same, or `unix:/run/socket`
    case listenEndpoint
    /// `192.0.2.1:25`, `unix:/run/socket`
    case connectAddress
    case address
    /// `user@example.org`
    case mailAddress
    case network
    /// `192.0.2.1`, `192.0.2.1@5353`
    case resolver
    case httpsURL

    package var name: String {
        switch self {
        case .any: "text"
        case .hostName: "host name"
        case .domainPattern: "domain"
        case .path: "path"
        case .listenAddress: "address and port"
        case .connectAddress, .listenEndpoint: "address and port, or unix:PATH"
        case .address: "IP address"
        case .mailAddress: "mail address"
        case .network: "IP network"
        case .resolver: "IP address, or address@port"
        case .httpsURL: "https URL"
        }
    }

    package var rangeText: String {
        switch self {
        case .any, .path: "at most 1024 octets"
        case .listenAddress: "192.0.2.1:25 or [2001:db8::1]:25"
        case .connectAddress, .listenEndpoint: "192.0.2.1:25, [2001:db8::1]:25 or unix:/run/socket"
        case .network: "192.0.2.0/24 or 2001:db8::/32"
        case .hostName, .domainPattern, .address, .mailAddress, .resolver, .httpsURL: ""
        }
    }

    package func accepts(_ text: String) -> Bool {
        guard text.utf8.count <= 1024, text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { return false }
        switch self {
        case .any, .path: return true
        case .hostName: return ConfigText.isHostName(text)
        case .domainPattern:
            return text == "*" || ConfigText.isHostName(text.hasPrefix("*.") ? String(text.dropFirst(2)) : text)
        case .listenAddress: return ListenAddress(text) != nil
        case .listenEndpoint: return ListenEndpoint(text) != nil
        case .connectAddress: return MilterServer.target(text) != nil
        case .address: return IPNetwork.addressBytes(text) != nil
        case .mailAddress: return MailAddress(parsing: Array(text.utf8)) != nil
        case .network: return IPNetwork(text) != nil
        case .resolver: return ConfigText.isResolver(text)
        case .httpsURL: return text.hasPrefix("https://") && text.utf8.count > 8
        }
    }
}

/// One field of the objects in a list.
package struct ConfigField: Sendable {
    package let name: String
    package let type: ConfigType
    /// nil: the field must be there. The text is what the documentation says.
    package let defaultText: String?
    package let sentence: String
}

/// A checked value, on its way between text and `Configuration`.
package indirect enum ConfigValue: Sendable, Equatable {
    case boolean(Bool)
    /// Integers, octets and seconds.
    case integer(Int)
    case text(String)
    case list([ConfigValue])
    /// A list of objects; a field that was left out is missing.
    case records([[String: ConfigValue]])
}
