package import Base
import Crypto
package import Protocols

/// Reverse-paths that say which message and recipient a bounce is about: `bounces+TOKEN@domain`, made here only, good for
/// a while. Pure: the key and the time come in.
package struct VERP: Sendable {
    /// Days a token is taken: longer than any queue keeps a message.
    package static let lifetimeDays = 30
    private static let prefix = Array("bounces+".utf8)
    private static let macCharacters = 10
    private static let idCharacters = 13

    package struct Token: Sendable, Hashable {
        package let message: MessageID
        /// The recipient's number within the message.
        package let recipient: Int32

        package init(message: MessageID, recipient: Int32) {
            self.message = message
            self.recipient = recipient
        }
    }

    package enum Reading: Sendable, Hashable {
        /// Not such an address.
        case foreign
        /// One, but not made here, or too old.
        case invalid
        case token(Token)
    }

    /// The first one makes tokens, all are taken.
    private let keys: [Secret]

    /// nil without a key.
    package init?(keys: [Secret]) {
        guard !keys.isEmpty else { return nil }
        self.keys = keys
    }

    /// `bounces+` id, recipient, day, mac: at most 45 octets before the `@`.
    package func address(for token: Token, domain: [UInt8], now: WallTime) -> [UInt8] {
        var text = ASCII.lowercased(token.message.text)
        text.append(contentsOf: KeyedToken.day(now))
        text.append(decimal: UInt32(bitPattern: token.recipient))
        // The keys are never empty.
        let mac = KeyedToken.mac(text, keys.first ?? Secret([]), Self.macCharacters)
        return Self.prefix + mac + text + [ASCII.at] + domain
    }

    package func read(_ address: [UInt8], now: WallTime) -> Reading {
        let local = ASCII.lowercased(Array(address[..<(address.lastIndex(of: ASCII.at) ?? address.count)]))
        guard local.starts(with: Self.prefix) else { return .foreign }
        let mac = Array(local.dropFirst(Self.prefix.count).prefix(Self.macCharacters))
        let text = Array(local.dropFirst(Self.prefix.count + Self.macCharacters))
        guard text.count > Self.idCharacters + 2, text.count <= Self.idCharacters + 12 else { return .invalid }
        let number = Array(text[(Self.idCharacters + 2)...])
        guard
            keys.contains(where: {
                Digest.equalInConstantTime(mac, KeyedToken.mac(text, $0, Self.macCharacters))
            }),
            KeyedToken.isFresh(
                Array(text[Self.idCharacters..<Self.idCharacters + 2]), now: now, days: Self.lifetimeDays),
            let message = MessageID(text: Array(text[..<Self.idCharacters])),
            let recipient = Decimal.parse(number.span), recipient <= UInt64(UInt32.max)
        else { return .invalid }
        return .token(Token(message: message, recipient: Int32(bitPattern: UInt32(recipient))))
    }
}
