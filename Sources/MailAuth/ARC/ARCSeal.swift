package import Protocols

/// `cv=` of a seal (RFC 8617 §4.1.3).
package enum ChainValidation: String, Sendable, Hashable {
    case absent = "none"
    case fail, pass

    init?(_ text: [UInt8]) {
        if text.elementsEqual("none".utf8) {
            self = .absent
        } else if text.elementsEqual("fail".utf8) {
            self = .fail
        } else if text.elementsEqual("pass".utf8) {
            self = .pass
        } else {
            return nil
        }
    }
}

/// One ARC-Seal field, parsed.
package struct ARCSeal: Sendable {
    package let algorithm: SignatureAlgorithm
    package let chain: ChainValidation
    package let domain: [UInt8]
    package let selector: [UInt8]
    package let keyName: DNSName
    package let signature: [UInt8]
    package let signatureRange: Range<Int>
    package let signedAt: UInt64?

    package init(_ value: [UInt8]) throws(SignatureSyntaxError) {
        let tags: TagList
        do throws(TagListError) { tags = try TagList(value) } catch { throw .tagList(error) }
        // RFC 8617 §4.1.3: a seal has no list of fields; one that has is not valid.
        guard tags.value("h") == nil else { throw .invalid("h") }
        guard let a = tags.value("a") else { throw .missing("a") }
        guard let algorithm = SignatureAlgorithm(a) else { throw .algorithm }
        guard let cv = tags.value("cv") else { throw .missing("cv") }
        guard let chain = ChainValidation(cv) else { throw .invalid("cv") }
        self.algorithm = algorithm
        self.chain = chain
        domain = try DKIMSignature.domain(tags)
        selector = try DKIMSignature.selector(tags)
        guard let name = DKIMSignature.keyName(selector: selector, domain: domain) else { throw .invalid("s") }
        keyName = name
        signature = try DKIMSignature.base64(tags, "b", octets: 1...2_048)
        guard let range = tags.signatureRange else { throw .missing("b") }
        signatureRange = range
        signedAt = try DKIMSignature.number(tags, "t", digits: 12)
    }
}
