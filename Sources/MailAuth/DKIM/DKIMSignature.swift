import Base
package import Crypto
package import Protocols

/// `a=`. `rsa-sha1` and names nobody knows are told apart only to say so: neither is ever accepted (RFC 8301 §3.1).
package enum SignatureAlgorithm: Sendable, Hashable {
    case rsaSHA256, ed25519SHA256, rsaSHA1

    init?(_ text: [UInt8]) {
        // Values are case-sensitive (RFC 6376 §3.2).
        if text.elementsEqual("rsa-sha256".utf8) {
            self = .rsaSHA256
        } else if text.elementsEqual("ed25519-sha256".utf8) {
            self = .ed25519SHA256
        } else if text.elementsEqual("rsa-sha1".utf8) {
            self = .rsaSHA1
        } else {
            return nil
        }
    }

    package var name: String {
        switch self {
        case .rsaSHA256: "rsa-sha256"
        case .ed25519SHA256: "ed25519-sha256"
        case .rsaSHA1: "rsa-sha1"
        }
    }

    /// `k=` of the key it needs.
    package var keyKind: KeyKind { self == .ed25519SHA256 ? .ed25519 : .rsa }
}

/// Why a signature field cannot be evaluated.
package enum SignatureSyntaxError: Error, Sendable, Hashable {
    case tagList(TagListError)
    /// A required tag is absent.
    case missing(String)
    /// A tag has a value that its rule does not allow.
    case invalid(String)
    /// `v=` is not 1.
    case version
    /// `a=` is nothing we know.
    case algorithm
    /// `h=` does not hold From.
    case fromNotSigned
    /// `i=` is not within `d=`.
    case identity
}

/// One DKIM-Signature or ARC-Message-Signature field, parsed (RFC 6376 §3.5, RFC 8617 §4.1.2).
package struct DKIMSignature: Sendable {
    package enum Form: Sendable { case dkim, arc }

    package let algorithm: SignatureAlgorithm
    /// As written, lower case.
    package let domain: [UInt8]
    package let selector: [UInt8]
    /// Where the key is.
    package let keyName: DNSName
    package let headerCanonicalization: Canonicalization
    package let bodyKey: BodyHashKey
    package let bodyHash: [UInt8]
    package let signature: [UInt8]
    /// Lower case, in order.
    package let signedNames: [[UInt8]]
    /// `i=` of DKIM as written, nil when absent.
    package let identity: [UInt8]?
    package let identityDomain: [UInt8]
    package let signedAt: UInt64?
    package let expires: UInt64?
    /// What `b=` spans inside the field's value.
    package let signatureRange: Range<Int>

    /// Most names in `h=`.
    package static let signedNamesMax = 1_000

    package init(_ value: [UInt8], form: Form = .dkim) throws(SignatureSyntaxError) {
        let tags: TagList
        do throws(TagListError) { tags = try TagList(value) } catch { throw .tagList(error) }
        // RFC 8617 §4.1.2: a version tag is ignored there.
        if form == .dkim {
            guard let version = tags.value("v") else { throw .missing("v") }
            guard version == [0x31] else { throw .version }
        }
        guard let algorithm = SignatureAlgorithm(try Self.required(tags.value("a"), "a")) else { throw .algorithm }
        self.algorithm = algorithm
        domain = try Self.domain(tags)
        selector = try Self.selector(tags)
        guard let name = Self.keyName(selector: selector, domain: domain) else { throw .invalid("s") }
        keyName = name
        signature = try Self.base64(tags, "b", octets: 1...2_048)
        bodyHash = try Self.base64(tags, "bh", octets: algorithm == .rsaSHA1 ? 20...20 : 32...32)
        guard let range = tags.signatureRange else { throw .missing("b") }
        signatureRange = range
        let forms = try Self.canonicalizations(tags)
        headerCanonicalization = forms.header
        bodyKey = BodyHashKey(forms.body, limit: try Self.number(tags, "l", digits: 76))
        signedNames = try Self.names(tags, form)
        let agent = form == .dkim ? try Self.identity(tags, domain) : nil
        identity = agent?.whole
        identityDomain = agent?.domain ?? domain
        signedAt = try Self.number(tags, "t", digits: 12)
        expires = try Self.number(tags, "x", digits: 12)
        if let signedAt, let expires, expires <= signedAt { throw .invalid("x") }
        try Self.checkQuery(tags)
    }

    private static func required(_ value: [UInt8]?, _ tag: String) throws(SignatureSyntaxError) -> [UInt8] {
        guard let value else { throw .missing(tag) }
        guard !value.isEmpty else { throw .invalid(tag) }
        return value
    }

    static func base64(
        _ tags: TagList, _ tag: String, octets: ClosedRange<Int>
    ) throws(SignatureSyntaxError) -> [UInt8] {
        let text = try required(tags.compact(tag), tag)
        guard let bytes = Base64.decode(text.span), octets.contains(bytes.count) else { throw .invalid(tag) }
        return bytes
    }

    static func domain(_ tags: TagList) throws(SignatureSyntaxError) -> [UInt8] {
        let text = ASCII.lowercased(try required(tags.value("d"), "d"))
        guard SigningName.isValid(text), text.contains(ASCII.dot) else { throw .invalid("d") }
        return text
    }

    static func selector(_ tags: TagList) throws(SignatureSyntaxError) -> [UInt8] {
        let text = ASCII.lowercased(try required(tags.value("s"), "s"))
        guard SigningName.isValid(text) else { throw .invalid("s") }
        return text
    }

    /// RFC 6376 §3.6.2.1, with U-labels looked up as A-labels (RFC 8616 §5).
    static func keyName(selector: [UInt8], domain: [UInt8]) -> DNSName? {
        guard let s = SigningName.ascii(selector), let d = SigningName.ascii(domain) else { return nil }
        return DNSName(dotted: s + Array("._domainkey.".utf8) + d)
    }

    private static func canonicalizations(
        _ tags: TagList
    ) throws(SignatureSyntaxError) -> (header: Canonicalization, body: Canonicalization) {
        guard let value = tags.value("c") else { return (.simple, .simple) }
        let parts = value.split(separator: ASCII.slash, maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count <= 2, let header = Canonicalization(parts[0]) else { throw .invalid("c") }
        guard parts.count == 2 else { return (header, .simple) }
        guard let body = Canonicalization(parts[1]) else { throw .invalid("c") }
        return (header, body)
    }

    private static func names(_ tags: TagList, _ form: Form) throws(SignatureSyntaxError) -> [[UInt8]] {
        guard let value = tags.value("h") else { throw .missing("h") }
        if value.isEmpty, form == .arc { return [] }
        let names = TagList.list(value).map { ASCII.lowercased($0) }
        guard names.count <= signedNamesMax,
            names.allSatisfy({ name in !name.isEmpty && name.allSatisfy { $0 > ASCII.space && $0 < 0x7F } })
        else { throw .invalid("h") }
        switch form {
        case .dkim:
            // RFC 6376 §5.4
            guard names.contains(Array("from".utf8)) else { throw .fromNotSigned }
        case .arc:
            // RFC 8617 §4.1.2; own results in older chains are let pass, a seal never.
            guard !names.contains(Array("arc-seal".utf8)) else { throw .invalid("h") }
        }
        return names
    }

    private static func identity(
        _ tags: TagList, _ domain: [UInt8]
    ) throws(SignatureSyntaxError) -> (whole: [UInt8], domain: [UInt8])? {
        guard let text = tags.compact("i") else { return nil }
        guard let at = text.lastIndex(of: ASCII.at) else { throw .invalid("i") }
        let host = ASCII.lowercased(Array(text[(at + 1)...]))
        guard SigningName.isValid(host), let a = SigningName.ascii(host), let b = SigningName.ascii(domain),
            let name = DNSName(dotted: a), let parent = DNSName(dotted: b)
        else { throw .invalid("i") }
        // RFC 6376 §3.5: the same as, or a subdomain of, d=.
        guard name.isWithin(parent) else { throw .identity }
        return (text, host)
    }

    static func number(_ tags: TagList, _ tag: String, digits: Int) throws(SignatureSyntaxError) -> UInt64? {
        guard let text = tags.value(tag) else { return nil }
        guard (1...digits).contains(text.count), text.allSatisfy({ ASCII.isDigit($0) }) else { throw .invalid(tag) }
        // More than 64 bits is more than any body or clock: as good as the largest number.
        return Decimal.parse(Array(text.drop { $0 == 0x30 }.isEmpty ? [0x30] : text.drop { $0 == 0x30 }).span) ?? .max
    }

    private static func checkQuery(_ tags: TagList) throws(SignatureSyntaxError) {
        guard let value = tags.value("q") else { return }
        guard TagList.list(value).contains(where: { $0.elementsEqual("dns/txt".utf8) }) else { throw .invalid("q") }
    }
}

/// Domains and selectors as signatures write them.
enum SigningName {
    /// Labels of letters, digits, hyphens and underscores, or of UTF-8.
    static func isValid(_ name: [UInt8]) -> Bool {
        guard (1...253).contains(name.count) else { return false }
        return name.split(separator: ASCII.dot, omittingEmptySubsequences: false).allSatisfy { label in
            (1...63).contains(label.count) && label.first != ASCII.hyphen && label.last != ASCII.hyphen
                && label.allSatisfy { ASCII.isAlphanumeric($0) || $0 == ASCII.hyphen || $0 == 0x5F || $0 >= 0x80 }
        }
    }

    static func ascii(_ name: [UInt8]) -> [UInt8]? {
        ByteScan.containsNonASCII(name.span) ? IDNA.toASCII(name) : name
    }
}
