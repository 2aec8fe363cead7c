import Crypto
import Protocols

/// The steps that DKIM signatures and both ARC signatures share. Pure; looks at `recordsMax` key records at most.
enum SignatureVerifier {
    /// RFC 8301 §3.2
    static let rsaBitsMin = 1_024
    /// Signatures of longer keys cost more than they tell.
    static let rsaBitsMax = 8_192
    /// RFC 6376 §3.6.2.2 leaves several records undefined; a few are tried.
    static let recordsMax = 4

    struct Outcome {
        var reason: SignatureReason
        var keyBits: Int?
        var isTesting = false
    }

    /// Checks `signature` over `digest` with the keys that DNS gave. `inDomain`: `i=` names `d=` itself.
    static func verify(
        _ signature: [UInt8], digest: [UInt8], _ algorithm: SignatureAlgorithm, keys: DNSAnswer, inDomain: Bool
    ) -> Outcome {
        // RFC 6376 §6.1.2: what DNS may tell later is a temporary failure.
        if keys.isTemporary { return Outcome(reason: .keyUnavailable) }
        let texts = keys.texts
        guard !texts.isEmpty else { return Outcome(reason: .keyMissing) }
        var best: Outcome?
        for text in texts.prefix(recordsMax) {
            let outcome = verify(signature, digest: digest, algorithm, record: text, inDomain: inDomain)
            if outcome.reason == .verified { return outcome }
            if best == nil || best?.reason.status == .permerror && outcome.reason.status == .fail { best = outcome }
        }
        return best ?? Outcome(reason: .keyMissing)
    }

    private static func verify(
        _ signature: [UInt8], digest: [UInt8], _ algorithm: SignatureAlgorithm, record text: [UInt8], inDomain: Bool
    ) -> Outcome {
        let record: DKIMKeyRecord
        do throws(KeyRecordError) {
            record = try DKIMKeyRecord(text)
        } catch { return Outcome(reason: .keyRecord(error)) }
        var outcome = Outcome(reason: .verified, isTesting: record.isTesting)
        guard record.kind == algorithm.keyKind, let key = publicKey(record) else {
            outcome.reason = .keyMismatch
            return outcome
        }
        outcome.keyBits = key.bits
        if key.kind == .rsa, key.bits < rsaBitsMin {
            outcome.reason = .keyShort(bits: key.bits)
        } else if key.kind == .rsa, key.bits > rsaBitsMax {
            outcome.reason = .keyLong(bits: key.bits)
        } else if record.isStrict, !inDomain {
            outcome.reason = .strictIdentity
        } else if !key.verifies(signature, digest: digest) {
            outcome.reason = .signature
        }
        return outcome
    }

    private static func publicKey(_ record: DKIMKeyRecord) -> PublicKey? {
        switch record.kind {
        case .rsa: PublicKey(rsa: record.key)
        case .ed25519: PublicKey(ed25519: record.key)
        }
    }

    /// The hash of RFC 6376 §3.7 that `b=` signs: the selected fields, then the signature field itself without it.
    static func headerHash(_ signature: DKIMSignature, at place: Int, in header: HeaderIndex) -> [UInt8] {
        var input: [UInt8] = []
        for i in header.selection(signature.signedNames) {
            HeaderCanonicalizer.append(
                header.fields[i], of: header.bytes, signature.headerCanonicalization, to: &input)
        }
        HeaderCanonicalizer.appendSignature(
            header.fields[place], of: header.bytes, without: signature.signatureRange,
            signature.headerCanonicalization, to: &input)
        return Digest.sha256(input)
    }

    /// What the body alone says against a signature, or nil.
    static func bodyReason(_ signature: DKIMSignature, _ hash: BodyHash?) -> SignatureReason? {
        guard let hash else { return .bodyHash }
        // RFC 6376 §3.5: l= must not exceed the canonical body.
        if let limit = signature.bodyKey.limit, limit > hash.canonicalLength { return .bodyShort }
        return Digest.equalInConstantTime(hash.digest, signature.bodyHash) ? nil : .bodyHash
    }
}
