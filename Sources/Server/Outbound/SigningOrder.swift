import Base
import MailAuth
import Protocols

/// What is wanted of a message's signatures of our own: made on the loop, carried out on a worker thread, where an RSA
/// signature's millisecond holds nobody up.
struct SigningOrder: Sendable {
    var header: HeaderIndex
    var hashes: [BodyHashKey: BodyHash]
    /// Keys of the author's domain: mail of our own.
    var keys: [DomainKey] = []
    /// Domains that forward the message and seal it; the results to be sealed are known later.
    var sealers: [(domain: [UInt8], key: DomainKey)] = []
    let hostname: [UInt8]
    let now: UInt64

    struct Signed: Sendable {
        var signatures: [UInt8] = []
        /// By forwarding domain.
        var seals: [[UInt8]: [UInt8]] = [:]
    }

    /// A key that libcrypto refuses leaves its signature out.
    func carriedOut(results: AuthResults) -> Signed {
        var out = Signed()
        if !keys.isEmpty, let hash = hashes[SubmissionSigner.bodyKey] {
            out.signatures = SubmissionSigner.fields(header, bodyHash: hash, keys: keys, now: now)
        }
        // A chain that could not be verified just now must not be sealed as a failed one: that stays for ever.
        guard let hash = hashes[ARCSealer.bodyKey], results.arc?.result != .temperror else { return out }
        for (domain, key) in sealers {
            let sealer = ARCSealer(domain: key.domain, selector: key.selector, key: key.key, authservID: hostname)
            let fields = try? sealer.seal(
                ARCFields(header), bodyHash: hash, results: statements(results),
                chain: Self.status(results.arc), now: now)
            if let fields { out.seals[domain] = fields.bytes }
        }
        return out
    }

    /// What Authentication-Results says behind our name.
    private func statements(_ results: AuthResults) -> [UInt8] {
        let text = AuthenticationResults.body(results, servedBy: hostname)
        guard let end = text.firstIndex(of: ASCII.semicolon) else { return Array("none".utf8) }
        return Array(text[(end + 1)...].drop { $0 <= ASCII.space })
    }

    private static func status(_ arc: AuthResults.ARC?) -> ARCStatus {
        switch arc?.result {
        case .pass: .pass
        case .absent, nil: .absent
        default: .fail
        }
    }
}
