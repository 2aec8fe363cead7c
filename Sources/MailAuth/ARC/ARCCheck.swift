import Crypto
package import Protocols

/// Chain Validation Status (RFC 8617 §4.4).
package enum ARCStatus: String, Sendable, Hashable {
    case absent = "none"
    case pass, fail
}

/// What a chain came to. `fail` is worth what no chain is worth (RFC 8617 §5.2).
package struct ARCVerdict: Sendable {
    package let reason: ARCReason
    /// Sets in the chain; 0 unless their structure is sound.
    package let setCount: Int
    /// The oldest set whose message signature still holds, 0 when all do, nil unless the chain passed.
    package let oldestPass: Int?
    /// Domains of the seals, newest first. Whether one is trusted is for the policy to say.
    package let sealers: [[UInt8]]

    package var status: ARCStatus {
        switch reason {
        case .verified: .pass
        case .noChain: .absent
        default: .fail
        }
    }

    /// Whether asking DNS again later may end otherwise.
    package var isTemporary: Bool {
        switch reason {
        case .message(.keyUnavailable, _), .seal(.keyUnavailable, _): true
        default: false
        }
    }
}

/// RFC 8617 §5.2 over the sets, the hashes of the body that came with them, and DNS.
package struct ARCCheck: Evaluation {
    private let fields: ARCFields
    private let bodyHashes: [BodyHashKey: BodyHash]

    package init(_ fields: ARCFields, bodyHashes: [BodyHashKey: BodyHash]) {
        self.fields = fields
        self.bodyHashes = bodyHashes
    }

    package func evaluate(_ facts: Facts) throws(Missing) -> ARCVerdict {
        if let problem = fields.problem { return verdict(problem) }
        guard let newest = fields.sets.last else { return verdict(.noChain) }
        // A body that was changed needs no keys.
        if let reason = bodyReason(newest) { return verdict(.message(reason, instance: newest.instance)) }
        _ = try facts.need(all: fields.questions)
        let reason = messageReason(newest, try facts.need(newest.message.keyName, .txt))
        if reason != .verified { return verdict(.message(reason, instance: newest.instance)) }
        let sealReasons = try sealReasons(facts)
        for (set, reason) in zip(fields.sets, sealReasons).reversed() where reason != .verified {
            return verdict(.seal(reason, instance: set.instance))
        }
        return verdict(.verified, oldestPass: oldestPass(facts))
    }

    private func verdict(_ reason: ARCReason, oldestPass: Int? = nil) -> ARCVerdict {
        ARCVerdict(
            reason: reason, setCount: fields.sets.count, oldestPass: oldestPass,
            sealers: fields.sets.reversed().map(\.seal.domain))
    }

    private func bodyReason(_ set: ARCSet) -> SignatureReason? {
        // RFC 8301 §3.1
        if set.message.algorithm == .rsaSHA1 { return .historicAlgorithm }
        return SignatureVerifier.bodyReason(set.message, bodyHashes[set.message.bodyKey])
    }

    private func messageReason(_ set: ARCSet, _ keys: DNSAnswer) -> SignatureReason {
        if let reason = bodyReason(set) { return reason }
        return SignatureVerifier.verify(
            set.message.signature,
            digest: SignatureVerifier.headerHash(set.message, at: set.messagePlace, in: fields.header),
            set.message.algorithm, keys: keys, inDomain: true
        ).reason
    }

    /// Each seal over all sets up to its own, oldest first.
    private func sealReasons(_ facts: Facts) throws(Missing) -> [SignatureReason] {
        var sealed: [UInt8] = []
        var reasons: [SignatureReason] = []
        for set in fields.sets {
            SealScope.append(set.resultsPlace, set.messagePlace, of: fields.header, to: &sealed)
            var input = sealed
            HeaderCanonicalizer.appendSignature(
                fields.header.fields[set.sealPlace], of: fields.header.bytes, without: set.seal.signatureRange,
                .relaxed, to: &input)
            SealScope.append(set.sealPlace, of: fields.header, to: &sealed)
            guard set.seal.algorithm != .rsaSHA1 else {
                reasons.append(.historicAlgorithm)
                continue
            }
            let outcome = SignatureVerifier.verify(
                set.seal.signature, digest: Digest.sha256(input), set.seal.algorithm,
                keys: try facts.need(set.seal.keyName, .txt), inDomain: true)
            reasons.append(outcome.reason)
        }
        return reasons
    }

    /// RFC 8617 §5.2 step 5, as far as the keys at hand reach: it is no reason to ask DNS for more.
    private func oldestPass(_ facts: Facts) -> Int {
        for set in fields.sets.dropLast().reversed() {
            guard let keys = facts.known(DNSQuestion(set.message.keyName, .txt)),
                messageReason(set, keys) == .verified
            else { return set.instance + 1 }
        }
        return 0
    }
}

/// What a seal signs (RFC 8617 §5.1.1): fields in relaxed form, by instance, results before signature before seal.
enum SealScope {
    static func append(_ places: Int..., of header: HeaderIndex, to out: inout [UInt8]) {
        for place in places {
            HeaderCanonicalizer.append(header.fields[place], of: header.bytes, .relaxed, to: &out)
        }
    }
}
