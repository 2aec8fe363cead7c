import Base
package import Crypto

/// Makes DKIM-Signature fields with one key. A value: shared freely, changes nothing.
package struct DKIMSigner: Sendable {
    package var domain: [UInt8]
    package var selector: [UInt8]
    package var key: PrivateKey
    package var header = Canonicalization.relaxed
    package var body = Canonicalization.relaxed
    /// Lower-case names to sign, as many times as they stand in the message.
    package var signedNames = Self.defaultNames
    /// Names to sign once more than they stand there, so that nobody can add another (RFC 6376 §8.15).
    package var overSignedNames = Self.defaultOverSignedNames
    /// `x=` this long after `t=`; nil writes none.
    package var expiresAfterSeconds: UInt64?

    package init(domain: [UInt8], selector: [UInt8], key: PrivateKey) {
        self.domain = domain
        self.selector = selector
        self.key = key
    }

    /// RFC 6376 §5.4.1, and what decides how a message is shown.
    package static let defaultNames = names(
        "from", "to", "cc", "subject", "date", "message-id", "reply-to", "in-reply-to", "references", "mime-version",
        "content-type", "content-transfer-encoding", "sender", "list-id", "list-help", "list-unsubscribe",
        "list-unsubscribe-post", "list-subscribe", "list-post", "list-owner", "list-archive")
    package static let defaultOverSignedNames = names(
        "from", "to", "cc", "subject", "date", "reply-to", "content-type")

    private static func names(_ all: String...) -> [[UInt8]] { all.map { Array($0.utf8) } }

    /// What the body has to be hashed as.
    package var bodyKey: BodyHashKey { BodyHashKey(body) }

    /// The whole field with its CRLF, to be put before the header. `now` is Unix time in seconds.
    package func sign(_ index: HeaderIndex, bodyHash: BodyHash, now: UInt64) throws(KeyError) -> [UInt8] {
        let names = mentions(index)
        var field = FoldedField("DKIM-Signature")
        field.add("v=1")
        field.add("a=", key.kind == .rsa ? "rsa-sha256" : "ed25519-sha256")
        field.add("c=", "\(header.name)/\(body.name)")
        field.add("d=", domain)
        field.add("s=", selector)
        field.add("t=", "\(now)")
        if let seconds = expiresAfterSeconds {
            let (end, overflow) = now.addingReportingOverflow(seconds)
            if !overflow { field.add("x=", "\(end)") }
        }
        field.add(list: "h=", names)
        field.add("bh=", Base64.encode(bodyHash.digest))
        let bare = field.openSignature()
        var input: [UInt8] = []
        for place in index.selection(names) {
            HeaderCanonicalizer.append(index.fields[place], of: index.bytes, header, to: &input)
        }
        BareField.append(bare, header, to: &input)
        field.close(signature: Base64.encode(try key.sign(digest: Digest.sha256(input))))
        return field.bytes
    }

    /// The names for `h=`: From is always there.
    private func mentions(_ index: HeaderIndex) -> [[UInt8]] {
        var out: [[UInt8]] = []
        let from = Array("from".utf8)
        for name in signedNames.contains(from) ? signedNames : [from] + signedNames {
            let present = index.places(of: name).count
            let extra = overSignedNames.contains(name) || (present == 0 && name == from) ? 1 : 0
            for _ in 0..<min(present + extra, DKIMSignature.signedNamesMax / 4) { out.append(name) }
        }
        return Array(out.prefix(DKIMSignature.signedNamesMax))
    }
}

/// A field of our own making as signature input: parsed like a stranger's, so that both sides see the same.
enum BareField {
    /// `field` ends with an empty `b=` or has one inside; no CRLF at its end.
    static func append(_ field: [UInt8], _ mode: Canonicalization, to out: inout [UInt8]) {
        let index = HeaderIndex(field)
        guard let only = index.fields.first else { return }
        HeaderCanonicalizer.appendSignature(only, of: index.bytes, without: 0..<0, mode, to: &out)
    }
}
