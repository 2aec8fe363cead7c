import Base
package import Protocols

/// What an envelope carried besides the addresses, as the store keeps it: tagged values, absent when they say nothing.
/// Delivery reads it back; unknown tags are skipped, so that an older server can read a newer record.
package struct EnvelopeRecord: Sendable, Equatable {
    package var helo: [UInt8] = []
    package var peer: [UInt8] = []
    package var identity: [UInt8] = []
    package var tlsVersion: [UInt8] = []
    package var tlsCipher: [UInt8] = []
    package var envid: [UInt8] = []
    package var ret: DSNReturn?
    package var bodyType = BodyType.sevenBit
    package var smtpUTF8 = false
    package var requireTLS = false
    /// The sender logged in, came from a network that may relay, or passed the checks: reports reach whom they should.
    package var isSenderProven = false
    /// Only recipients that came with DSN parameters.
    package var recipients: [Recipient] = []

    package struct Recipient: Sendable, Equatable {
        package var address: [UInt8]
        package var notify: DSNNotify
        /// Empty: not given.
        package var orcpt: [UInt8]

        package init(address: [UInt8], notify: DSNNotify, orcpt: [UInt8]) {
            self.address = address
            self.notify = notify
            self.orcpt = orcpt
        }
    }

    private enum Tag: UInt8 {
        case helo = 1, peer, identity, tlsVersion, tlsCipher, envid, ret, bodyType, smtpUTF8, requireTLS, recipient,
            proven
    }

    package init() {}

    package init(_ envelope: Envelope, peer: [UInt8]) {
        helo = envelope.helo
        self.peer = peer
        identity = envelope.identity ?? []
        tlsVersion = envelope.tls?.version ?? []
        tlsCipher = envelope.tls?.cipher ?? []
        envid = envelope.envid ?? []
        ret = envelope.ret
        bodyType = envelope.bodyType
        smtpUTF8 = envelope.smtpUTF8
        requireTLS = envelope.requireTLS
        for r in envelope.recipients where !r.notify.isEmpty || r.orcpt != nil {
            recipients.append(Recipient(address: r.address.wire, notify: r.notify, orcpt: r.orcpt ?? []))
        }
    }

    package func encoded() -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(16 + helo.count + peer.count + identity.count + tlsVersion.count + tlsCipher.count)
        func put(_ tag: Tag, _ bytes: [UInt8]) {
            guard !bytes.isEmpty, bytes.count <= 0xFFFF else { return }
            out.append(tag.rawValue)
            out.append(UInt8(truncatingIfNeeded: bytes.count >> 8))
            out.append(UInt8(truncatingIfNeeded: bytes.count))
            out.append(contentsOf: bytes)
        }
        put(.helo, helo)
        put(.peer, peer)
        put(.identity, identity)
        put(.tlsVersion, tlsVersion)
        put(.tlsCipher, tlsCipher)
        put(.envid, envid)
        if let ret { put(.ret, [ret.rawValue]) }
        if bodyType != .sevenBit { put(.bodyType, [bodyType.rawValue]) }
        if smtpUTF8 { put(.smtpUTF8, [1]) }
        if requireTLS { put(.requireTLS, [1]) }
        if isSenderProven { put(.proven, [1]) }
        for r in recipients {
            put(
                .recipient,
                [
                    r.notify.rawValue, UInt8(truncatingIfNeeded: r.orcpt.count >> 8),
                    UInt8(truncatingIfNeeded: r.orcpt.count),
                ] + r.orcpt + r.address)
        }
        return out
    }

    /// nil when the bytes are not such a record.
    package init?(encoded bytes: [UInt8]) {
        var i = 0
        while i < bytes.count {
            guard i + 3 <= bytes.count else { return nil }
            let length = Int(bytes[i + 1]) << 8 | Int(bytes[i + 2])
            guard i + 3 + length <= bytes.count else { return nil }
            read(bytes[i], Array(bytes[(i + 3)..<(i + 3 + length)]))
            i += 3 + length
        }
    }

    private mutating func read(_ tag: UInt8, _ value: [UInt8]) {
        guard let tag = Tag(rawValue: tag), let first = value.first else { return }
        switch tag {
        case .helo: helo = value
        case .peer: peer = value
        case .identity: identity = value
        case .tlsVersion: tlsVersion = value
        case .tlsCipher: tlsCipher = value
        case .envid: envid = value
        case .ret: ret = DSNReturn(rawValue: first)
        case .bodyType: bodyType = BodyType(rawValue: first) ?? .sevenBit
        case .smtpUTF8: smtpUTF8 = true
        case .requireTLS: requireTLS = true
        case .proven: isSenderProven = true
        case .recipient: readRecipient(value)
        }
    }

    private mutating func readRecipient(_ value: [UInt8]) {
        guard value.count >= 3 else { return }
        let end = 3 + (Int(value[1]) << 8 | Int(value[2]))
        guard end <= value.count else { return }
        recipients.append(
            Recipient(
                address: Array(value[end...]), notify: DSNNotify(rawValue: value[0]), orcpt: Array(value[3..<end])))
    }
}
