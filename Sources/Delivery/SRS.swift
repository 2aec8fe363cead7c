package import Base
import Crypto

/// Sender rewriting for mail that is forwarded: the reverse-path becomes an address of ours that leads back to the sender
/// for a while, and that nobody else can make. Pure: the key and the time come in.
///
/// `SRS0=mac=day=domain=local@ours`; mail that another forwarder rewrote already becomes `SRS1=mac=its-host==rest@ours`.
package struct SRS: Sendable {
    /// Days an address leads back.
    package static let lifetimeDays = 21

    package enum Reversed: Sendable, Hashable {
        /// Not such an address.
        case foreign
        /// One, but not made here, or too old.
        case invalid
        /// Mail for it goes on to this address.
        case sender([UInt8])
    }

    /// The first one makes addresses, all are taken.
    private let keys: [Secret]

    /// nil without a key.
    package init?(keys: [Secret]) {
        guard !keys.isEmpty else { return nil }
        self.keys = keys
    }

    /// The reverse-path for forwarding `sender`'s mail from `domain`. Empty for the null sender, unchanged for a sender of
    /// `domain` itself; nil when no address can be made (too long, quoted, UTF-8): forward from an address of the owner.
    package func rewritten(_ sender: [UInt8], domain: [UInt8], now: WallTime) -> [UInt8]? {
        if sender.isEmpty { return [] }
        guard let at = sender.lastIndex(of: ASCII.at), !domain.isEmpty else { return nil }
        let local = Array(sender[..<at])
        let from = ASCII.lowercased(Array(sender[(at + 1)...]))
        if from == ASCII.lowercased(domain) { return sender }
        guard sender.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !"\"\\[]:;,<>()".utf8.contains($0) }),
            let key = keys.first
        else { return nil }
        let made: [UInt8]
        switch Form(local) {
        case .first(let rest):
            let what = from + [ASCII.equals] + rest
            made = Array("SRS1=".utf8) + KeyedToken.mac(what, key, Self.macCharacters) + [ASCII.equals] + what
        case .later(_, let what):
            made = Array("SRS1=".utf8) + KeyedToken.mac(what, key, Self.macCharacters) + [ASCII.equals] + what
        case nil:
            let what = KeyedToken.day(now) + [ASCII.equals] + from + [ASCII.equals] + local
            made = Array("SRS0=".utf8) + KeyedToken.mac(what, key, Self.macCharacters) + [ASCII.equals] + what
        }
        guard made.count <= Self.localpartOctetsMax else { return nil }
        return made + [ASCII.at] + domain
    }

    /// Where mail for `address`, one of ours, leads back to. Its local part may have lost its letter case on the way.
    package func reversed(_ address: [UInt8], now: WallTime) -> Reversed {
        let local = Array(address[..<(address.lastIndex(of: ASCII.at) ?? address.count)])
        guard let form = Form(local), local.count <= 255 else { return .foreign }
        switch form {
        case .first(let rest):
            // rest: `=mac=day=domain=local`
            let fields = rest.dropFirst().split(separator: ASCII.equals, maxSplits: 3, omittingEmptySubsequences: false)
            guard fields.count == 4, !fields[2].isEmpty, !fields[3].isEmpty,
                isOurs(Array(fields[0]), Array(rest.dropFirst(2 + fields[0].count))),
                KeyedToken.isFresh(Array(fields[1]), now: now, days: Self.lifetimeDays)
            else { return .invalid }
            return .sender(Array(fields[3]) + [ASCII.at] + fields[2])
        case .later(let mac, let what):
            // what: `host=rest`, where rest begins with the separator behind the first forwarder's SRS0.
            guard isOurs(mac, what), let equals = what.firstIndex(of: ASCII.equals), equals > 0,
                equals + 1 < what.count
            else { return .invalid }
            return .sender(Array("SRS0".utf8) + what[(equals + 1)...] + [ASCII.at] + what[..<equals])
        }
    }

    private static let macCharacters = 6
    // RFC 5321 §4.5.3.1.1
    private static let localpartOctetsMax = 64

    private func isOurs(_ mac: [UInt8], _ what: [UInt8]) -> Bool {
        mac.count == Self.macCharacters
            && keys.contains {
                Digest.equalInConstantTime(ASCII.lowercased(mac), KeyedToken.mac(what, $0, Self.macCharacters))
            }
    }

    /// A local part that was rewritten, here or elsewhere.
    private enum Form {
        /// SRS0: all behind the tag, with its separator.
        case first([UInt8])
        /// SRS1: the mac, and all behind its `=`.
        case later(mac: [UInt8], [UInt8])

        init?(_ local: [UInt8]) {
            guard local.count > 5, [ASCII.equals, ASCII.plus, ASCII.hyphen].contains(local[4]) else { return nil }
            let tag = ASCII.lowercased(Array(local[..<4]))
            if tag == Array("srs0".utf8) {
                self = .first(Array(local[4...]))
            } else if tag == Array("srs1".utf8), let end = local[5...].firstIndex(of: ASCII.equals) {
                self = .later(mac: Array(local[5..<end]), Array(local[(end + 1)...]))
            } else {
                return nil
            }
        }
    }
}
