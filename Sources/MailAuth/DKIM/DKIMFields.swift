package import Protocols

/// The DKIM-Signature fields of a message, parsed as soon as the header is complete: says what to hash of the body and
/// what to ask DNS. At most `signaturesMax` are looked at, from the top.
package struct DKIMFields: Sendable {
    package struct Entry: Sendable {
        package let place: Int
        package let signature: Result<DKIMSignature, SignatureSyntaxError>
    }

    package let header: HeaderIndex
    package let entries: [Entry]
    /// Signature fields beyond the bound.
    package let ignored: Int

    /// RFC 6376 §6.1 lets a verifier limit how many it tries.
    package static let signaturesMax = 10

    package init(_ header: HeaderIndex) {
        self.header = header
        let places = header.places(of: Array("dkim-signature".utf8))
        entries = places.prefix(Self.signaturesMax).map { place in
            Entry(place: place, signature: Self.parse(header.value(of: place)))
        }
        ignored = max(0, places.count - Self.signaturesMax)
    }

    private static func parse(_ value: [UInt8]) -> Result<DKIMSignature, SignatureSyntaxError> {
        do throws(SignatureSyntaxError) { return .success(try DKIMSignature(value)) } catch { return .failure(error) }
    }

    package var bodyKeys: [BodyHashKey] { usable.map(\.bodyKey) }

    /// What a verdict will need from DNS; ask for it while the body arrives.
    package var questions: [DNSQuestion] {
        var out: [DNSQuestion] = []
        for signature in usable {
            let question = DNSQuestion(signature.keyName, .txt)
            if !out.contains(question) { out.append(question) }
        }
        return out
    }

    private var usable: [DKIMSignature] {
        entries.compactMap { entry in
            guard case .success(let signature) = entry.signature, signature.algorithm != .rsaSHA1 else { return nil }
            return signature
        }
    }
}
