package import Base
package import Handoff
package import Protocols
import Store

/// A message that was set aside without being looked at: its envelope, and what is known of why. The octets are beside it.
package struct PoisonedMessage: Sendable, Equatable {
    package struct Recipient: Sendable, Hashable {
        package var address: [UInt8]
        /// RFC 3461 NOTIFY as in `RemoteRecipient`.
        package var notify: UInt8
        package var originalRecipient: [UInt8]
        /// Where a report to an address that forwarding made goes.
        package var bouncesTo: [UInt8]?

        package init(
            address: [UInt8], notify: UInt8 = 0, originalRecipient: [UInt8] = [], bouncesTo: [UInt8]? = nil
        ) {
            self.address = address
            self.notify = notify
            self.originalRecipient = originalRecipient
            self.bouncesTo = bouncesTo
        }
    }

    package var id: MessageID
    package var received: WallTime
    /// Empty: the null sender.
    package var sender: [UInt8]
    package var recipients: [Recipient]
    package var octets: Int
    package var peer: [UInt8]
    package var helo: [UInt8]
    package var fingerprint: Fingerprint
    package var deaths: Int
    package var signal: Int32
    /// `Received:` of this server.
    package var trace: [UInt8]
    /// `EnvelopeRecord`
    package var envelope: [UInt8]

    // MARK: JSON

    package var json: JSONValue {
        .object([
            JSONMember("id", Self.text(id.text)), JSONMember("received", .text(ControlText.utc(received))),
            JSONMember("received_us", .integer(Int(received.microseconds))), JSONMember("sender", Self.text(sender)),
            JSONMember("recipients", .array(recipients.map(Self.json))), JSONMember("octets", .integer(octets)),
            JSONMember("peer", Self.text(peer)), JSONMember("helo", Self.text(helo)),
            JSONMember("fingerprint", .text(Hex.encode(fingerprint.bytes))), JSONMember("deaths", .integer(deaths)),
            JSONMember("signal", .integer(Int(signal))), JSONMember("trace", Self.base64(trace)),
            JSONMember("envelope", Self.base64(envelope)),
        ])
    }

    /// As it is kept: a line for each member and each recipient, since who reads it counts the columns of a line.
    var record: [UInt8] {
        guard case .object(let members) = json else { return json.bytes }
        let lines = members.map { member in
            var line = JSONValue.text(member.name).bytes + [ASCII.colon]
            if case .array(let items) = member.value {
                line += Array("[".utf8) + Array(items.map(\.bytes).joined(separator: Self.nextLine)) + Array("]".utf8)
            } else {
                line += member.value.bytes
            }
            return line
        }
        return Array("{".utf8) + Array(lines.joined(separator: Self.nextLine)) + Array("}\n".utf8)
    }

    private static let nextLine = Array(",\n".utf8)

    private static func json(_ recipient: Recipient) -> JSONValue {
        .object([
            JSONMember("address", text(recipient.address)), JSONMember("notify", .integer(Int(recipient.notify))),
            JSONMember("orcpt", text(recipient.originalRecipient)),
            JSONMember("bounces_to", recipient.bouncesTo.map(text) ?? .null),
        ])
    }

    /// Addresses and names are UTF-8: the session takes no others.
    private static func text(_ bytes: [UInt8]) -> JSONValue { .text(String(decoding: bytes, as: UTF8.self)) }

    private static func base64(_ bytes: [UInt8]) -> JSONValue {
        .text(String(decoding: Base64.encode(bytes), as: UTF8.self))
    }
}

extension PoisonedMessage {
    /// nil: not such a file.
    package init?(json bytes: [UInt8]) {
        guard let node = try? ConfigParser.parse(bytes), let f = Fields(node),
            let id = f.text("id").flatMap({ MessageID(text: $0) }), let received = f.integer("received_us"),
            let sender = f.text("sender"), let octets = f.integer("octets"), let list = f.array("recipients"),
            let fingerprint = f.text("fingerprint").flatMap(DeathRegister.octets),
            let trace = f.base64("trace"), let envelope = f.base64("envelope")
        else { return nil }
        var recipients: [Recipient] = []
        for item in list {
            guard let r = Fields(item), let address = r.text("address"), let notify = r.integer("notify") else {
                return nil
            }
            recipients.append(
                Recipient(
                    address: address, notify: UInt8(clamping: notify), originalRecipient: r.text("orcpt") ?? [],
                    bouncesTo: r.text("bounces_to")))
        }
        self.init(
            id: id, received: WallTime(microseconds: Int64(received)), sender: sender, recipients: recipients,
            octets: octets, peer: f.text("peer") ?? [], helo: f.text("helo") ?? [],
            fingerprint: Fingerprint(fingerprint), deaths: f.integer("deaths") ?? 0,
            signal: Int32(clamping: f.integer("signal") ?? 0), trace: trace, envelope: envelope)
    }

    /// The members of an object, by name and kind.
    private struct Fields {
        private var members: [String: ConfigNode.Value] = [:]

        init?(_ node: ConfigNode) {
            guard case .object(let list) = node.value else { return nil }
            for member in list { members[member.key] = member.node.value }
        }

        func text(_ name: String) -> [UInt8]? {
            guard case .text(let value)? = members[name] else { return nil }
            return Array(value.utf8)
        }

        func integer(_ name: String) -> Int? {
            guard case .integer(let value)? = members[name] else { return nil }
            return value
        }

        func array(_ name: String) -> [ConfigNode]? {
            guard case .array(let value)? = members[name] else { return nil }
            return value
        }

        func base64(_ name: String) -> [UInt8]? {
            guard let value = text(name) else { return nil }
            return Base64.decode(value.span)
        }
    }
}
