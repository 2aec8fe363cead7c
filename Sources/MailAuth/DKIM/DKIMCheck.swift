import Base
package import Protocols

/// What one DKIM-Signature came to.
package struct DKIMResult: Sendable {
    package let reason: SignatureReason
    /// The parsed field; nil when it could not be.
    package let signature: DKIMSignature?
    package let keyBits: Int?
    /// `t=y`: a failure means no more than a missing signature (RFC 6376 §3.6.1).
    package let isTesting: Bool
    /// False when `l=` leaves octets at the end unsigned.
    package let coversBody: Bool

    package var status: SignatureStatus { reason.status }
    /// A pass that says something about all of the message; only such count for DMARC.
    package var isWholePass: Bool { status == .pass && coversBody }

    /// The first characters of `b=`, by which results are told apart (RFC 6008 §4).
    package var signatureHead: [UInt8] { signature.map { Array(Base64.encode($0.signature).prefix(8)) } ?? [] }
}

/// All signatures of one message, top to bottom.
package struct DKIMVerdict: Sendable {
    package let results: [DKIMResult]
    /// Signature fields that were not looked at.
    package let ignored: Int

    /// The result for the message: a pass of any signature, or else what could still change, or else the first failure.
    /// nil: no signature.
    package var status: SignatureStatus? { best?.status }

    package var best: DKIMResult? {
        results.first { $0.isWholePass } ?? results.first { $0.status == .pass }
            ?? results.first { $0.status == .temperror } ?? results.first { $0.status == .fail } ?? results.first
    }
}

/// RFC 6376 §6.1 over the fields, the hashes of the body that came with them, and DNS.
package struct DKIMCheck: Evaluation {
    private let fields: DKIMFields
    private let bodyHashes: [BodyHashKey: BodyHash]
    private let now: UInt64

    /// `now` is Unix time in seconds, for `x=`.
    package init(_ fields: DKIMFields, bodyHashes: [BodyHashKey: BodyHash], now: UInt64) {
        self.fields = fields
        self.bodyHashes = bodyHashes
        self.now = now
    }

    package func evaluate(_ facts: Facts) throws(Missing) -> DKIMVerdict {
        // Every key is there before the first is used: one round of questions, and nothing verified twice.
        let open = fields.entries.compactMap { entry -> DKIMSignature? in
            guard case .success(let signature) = entry.signature, reasonWithoutKey(signature) == nil else { return nil }
            return signature
        }
        _ = try facts.need(all: open.map { DNSQuestion($0.keyName, .txt) })
        var results: [DKIMResult] = []
        for entry in fields.entries { results.append(try result(entry, facts)) }
        return DKIMVerdict(results: results, ignored: fields.ignored)
    }

    private func result(_ entry: DKIMFields.Entry, _ facts: Facts) throws(Missing) -> DKIMResult {
        let signature: DKIMSignature
        switch entry.signature {
        case .failure(let error):
            return DKIMResult(
                reason: .syntax(error), signature: nil, keyBits: nil, isTesting: false, coversBody: false)
        case .success(let parsed): signature = parsed
        }
        var outcome = SignatureVerifier.Outcome(reason: .verified)
        if let reason = reasonWithoutKey(signature) {
            outcome.reason = reason
        } else {
            outcome = SignatureVerifier.verify(
                signature.signature,
                digest: SignatureVerifier.headerHash(signature, at: entry.place, in: fields.header),
                signature.algorithm, keys: try facts.need(signature.keyName, .txt),
                inDomain: signature.identityDomain == signature.domain)
        }
        return DKIMResult(
            reason: outcome.reason, signature: signature, keyBits: outcome.keyBits, isTesting: outcome.isTesting,
            coversBody: coversBody(signature))
    }

    /// What is wrong whatever the key.
    private func reasonWithoutKey(_ signature: DKIMSignature) -> SignatureReason? {
        // RFC 8301 §3.1
        if signature.algorithm == .rsaSHA1 { return .historicAlgorithm }
        // RFC 6376 §3.5
        if let expires = signature.expires, now > expires { return .expired }
        return SignatureVerifier.bodyReason(signature, bodyHashes[signature.bodyKey])
    }

    private func coversBody(_ signature: DKIMSignature) -> Bool {
        guard let limit = signature.bodyKey.limit else { return true }
        return limit >= bodyHashes[signature.bodyKey]?.canonicalLength ?? .max
    }
}
