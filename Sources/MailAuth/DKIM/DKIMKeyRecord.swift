import Base
package import Crypto

/// Why a key record is of no use.
package enum KeyRecordError: Error, Sendable, Hashable {
    /// Not a key record: another version, or no tag list.
    case syntax
    /// `p=` is empty: the key was withdrawn.
    case revoked
    /// `k=` is of a kind nobody knows.
    case keyType
    /// `h=` does not hold SHA-256.
    case hash
    /// `s=` does not hold email.
    case service
    /// `p=` is not base64.
    case data
}

/// A published key (RFC 6376 §3.6.1), parsed. The key bytes are not looked into.
package struct DKIMKeyRecord: Sendable, Hashable {
    package let kind: KeyKind
    package let key: [UInt8]
    /// `t=y`: the domain is testing; a failure is no worse than no signature.
    package let isTesting: Bool
    /// `t=s`: `i=` must name the domain of `d=` itself.
    package let isStrict: Bool

    package init(_ text: [UInt8]) throws(KeyRecordError) {
        guard let tags = try? TagList(text) else { throw .syntax }
        if let version = tags.value("v") {
            // "If specified, this tag MUST be set to DKIM1 … MUST be the first tag in the record."
            guard version.elementsEqual("DKIM1".utf8), tags.firstName == [0x76] else { throw .syntax }
        }
        guard let p = tags.compact("p") else { throw .syntax }
        kind = try Self.kind(tags.value("k"))
        if let hashes = tags.value("h") {
            let usable = TagList.list(hashes).contains { ASCII.equalIgnoringCase($0.span, "sha256") }
            guard usable else { throw .hash }
        }
        if let services = tags.value("s") {
            let usable = TagList.list(services).contains { $0 == [0x2A] || $0.elementsEqual("email".utf8) }
            guard usable else { throw .service }
        }
        let flags = tags.value("t").map { TagList.list($0) } ?? []
        isTesting = flags.contains([0x79])
        isStrict = flags.contains([0x73])
        guard !p.isEmpty else { throw .revoked }
        guard let key = Base64.decode(p.span) else { throw .data }
        self.key = key
    }

    private static func kind(_ value: [UInt8]?) throws(KeyRecordError) -> KeyKind {
        guard let value else { return .rsa }
        if value.elementsEqual("rsa".utf8) { return .rsa }
        if value.elementsEqual("ed25519".utf8) { return .ed25519 }
        throw .keyType
    }
}
