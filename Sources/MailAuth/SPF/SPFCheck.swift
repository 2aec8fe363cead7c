package import Base
import Crypto
package import Protocols

/// `check_host()` of RFC 7208 for one identity of one SMTP client. Pure: DNS answers come as facts, limits are counted
/// here, and the same facts give the same verdict.
package struct SPFCheck: Evaluation, Sendable {
    package enum Identity: String, Sendable, Hashable {
        case mailFrom = "mailfrom"
        case helo
    }

    package let ip: IPAddress
    /// As the client gave it.
    package let helo: [UInt8]
    package let identity: Identity
    /// For `%{r}`; empty: "unknown".
    package let receiver: [UInt8]
    /// For `%{t}`.
    package let now: WallTime
    /// Whether a "fail" is worth one more question, for its text.
    package let wantsExplanation: Bool
    let local: [UInt8]
    /// The domain of the identity, A-labels, no final dot. nil: it cannot be one.
    let domain: [UInt8]?
    /// The same as it was given, when it is none.
    let givenDomain: [UInt8]

    /// The MAIL FROM identity; `mailFrom` is the reverse-path without its brackets, empty for the null one.
    package init(
        ip: IPAddress, helo: [UInt8], mailFrom: [UInt8], receiver: [UInt8] = [],
        now: WallTime = WallTime(microseconds: 0), wantsExplanation: Bool = true
    ) {
        // RFC 7208 §2.4: a null reverse-path stands for postmaster at the HELO name.
        let sender = mailFrom.isEmpty ? helo : mailFrom
        let at = mailFrom.isEmpty ? nil : sender.lastIndex(of: ASCII.at)
        self.init(
            ip: ip, helo: helo, identity: .mailFrom, local: at.map { Array(sender[..<$0]) } ?? [],
            domain: at.map { Array(sender[($0 + 1)...]) } ?? sender, receiver: receiver, now: now,
            wantsExplanation: wantsExplanation)
    }

    /// The HELO identity (RFC 7208 §2.3).
    package init(
        ip: IPAddress, helo: [UInt8], receiver: [UInt8] = [], now: WallTime = WallTime(microseconds: 0),
        wantsExplanation: Bool = true
    ) {
        self.init(
            ip: ip, helo: helo, identity: .helo, local: [], domain: helo, receiver: receiver, now: now,
            wantsExplanation: wantsExplanation)
    }

    private init(
        ip: IPAddress, helo: [UInt8], identity: Identity, local: [UInt8], domain: [UInt8], receiver: [UInt8],
        now: WallTime, wantsExplanation: Bool
    ) {
        self.ip = ip
        self.helo = helo
        self.identity = identity
        self.receiver = receiver.isEmpty ? Array("unknown".utf8) : receiver
        self.now = now
        self.wantsExplanation = wantsExplanation
        // RFC 7208 §4.3
        self.local = local.isEmpty ? Array("postmaster".utf8) : local
        givenDomain = domain
        self.domain = Self.asciiDomain(domain)
    }

    package func evaluate(_ facts: Facts) throws(Missing) -> SPFVerdict {
        guard let domain else {
            var verdict = SPFVerdict(
                identity: identity, sender: local + [ASCII.at] + givenDomain, domain: givenDomain)
            verdict.problem = "\"\(Array(givenDomain.prefix(128)).escapedText)\" is not a domain name"
            return verdict
        }
        var evaluator = SPFEvaluator(self, domain: domain, facts)
        return try evaluator.verdict()
    }

    /// RFC 7208 §4.3 and RFC 8616 §4: A-labels, well formed, more than one label. nil: not a domain.
    static func asciiDomain(_ text: [UInt8]) -> [UInt8]? {
        guard text.count <= 1_024, text.first != ASCII.leftBracket else { return nil }
        var out: [UInt8] = []
        for (n, label) in text.split(separator: ASCII.dot, omittingEmptySubsequences: false).enumerated() {
            if n > 0 { out.append(ASCII.dot) }
            if label.allSatisfy({ $0 < 0x80 }) {
                out += label
            } else {
                guard let ascii = IDNA.toASCII(Array(label)) else { return nil }
                out += ascii
            }
        }
        if out.last == ASCII.dot { out.removeLast() }
        guard let name = DNSName(dotted: out), name.labelCount > 1 else { return nil }
        return out
    }
}
