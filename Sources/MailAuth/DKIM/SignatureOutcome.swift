/// How one signature ended (RFC 6376 §3.9 in the words of RFC 8601 §2.7.1).
package enum SignatureStatus: String, Sendable, Hashable {
    case pass, fail, permerror, temperror
}

/// Why it ended so.
package enum SignatureReason: Sendable, Hashable {
    case verified
    case syntax(SignatureSyntaxError)
    /// rsa-sha1
    case historicAlgorithm
    case expired
    /// The body is not the one that was signed.
    case bodyHash
    /// `l=` is more than the body has.
    case bodyShort
    /// No key record at the selector.
    case keyMissing
    /// DNS could not tell.
    case keyUnavailable
    case keyRecord(KeyRecordError)
    /// `k=` or the key data do not fit `a=`.
    case keyMismatch
    case keyShort(bits: Int)
    case keyLong(bits: Int)
    /// `t=s`, and `i=` is in a subdomain.
    case strictIdentity
    /// The signed header fields or the signature itself were changed.
    case signature

    package var status: SignatureStatus {
        switch self {
        case .verified: .pass
        case .expired, .bodyHash, .signature: .fail
        case .keyUnavailable: .temperror
        case .syntax, .historicAlgorithm, .bodyShort, .keyMissing, .keyRecord, .keyMismatch, .keyShort, .keyLong,
            .strictIdentity:
            .permerror
        }
    }

    /// For Authentication-Results comments, `explain` and logs; never holds bytes of the message.
    package var text: String {
        switch self {
        case .verified: "verified"
        case .syntax(let error): error.text
        case .historicAlgorithm: "rsa-sha1 is not accepted"
        case .expired: "signature expired"
        case .bodyHash: "body hash mismatch"
        case .bodyShort: "l= exceeds the body"
        case .keyMissing: "no key"
        case .keyUnavailable: "key unavailable"
        case .keyRecord(let error): error.text
        case .keyMismatch: "key does not fit a="
        case .keyShort(let bits): "\(bits)-bit key is too short"
        case .keyLong(let bits): "\(bits)-bit key is too long"
        case .strictIdentity: "i= is not d="
        case .signature: "signature mismatch"
        }
    }
}

extension SignatureSyntaxError {
    package var text: String {
        switch self {
        case .tagList(.malformed): "malformed tag list"
        case .tagList(.duplicate): "duplicate tag"
        case .tagList(.tooLong): "tag list too long"
        case .missing(let tag): "no \(tag)="
        case .invalid(let tag): "invalid \(tag)="
        case .version: "unknown version"
        case .algorithm: "unknown algorithm"
        case .fromNotSigned: "From is not signed"
        case .identity: "i= is outside d="
        }
    }
}

extension KeyRecordError {
    package var text: String {
        switch self {
        case .syntax: "malformed key record"
        case .revoked: "key revoked"
        case .keyType: "unknown key type"
        case .hash: "key not for SHA-256"
        case .service: "key not for email"
        case .data: "malformed key data"
        }
    }
}
