import Base

/// Where an AUTH exchange stands.
enum SASLExchange {
    case idle
    case plain
    case loginUser
    case loginPassword(user: [UInt8])
    case scram(isFirst: Bool)
}

/// RFC 4616 §2: `[authzid] NUL authcid NUL passwd`.
enum SASLPlain {
    static func parse(_ message: [UInt8]) -> SASLRequest? {
        let parts = message.split(separator: ASCII.nul, maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[1].isEmpty, !parts[2].isEmpty, UTF8Check.isValid(message.span) else {
            return nil
        }
        return .password(authorization: Array(parts[0]), user: Array(parts[1]), password: Secret(Array(parts[2])))
    }
}
