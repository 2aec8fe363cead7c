import Base
import Protocols
import Store

/// Adds up what attempts tell of transport security until it is written. Bounded: past `rowsMax` it asks to be emptied.
struct TLSResultCollector {
    static let rowsMax = 2_000
    private var rows: [TLSResultRow.Key: TLSResultRow] = [:]

    var isEmpty: Bool { rows.isEmpty }
    var isFull: Bool { rows.count >= Self.rowsMax }

    mutating func add(_ attempt: AttemptRecord) {
        // Sessions are counted, not messages. Trouble with a policy as a whole has no host.
        guard !attempt.isReused, let tls = attempt.tls, tls.result != .success || !tls.version.isEmpty
        else { return }
        let none = TLSPolicyFact(type: .noPolicyFound, domain: attempt.destination)
        for fact in tls.policies.isEmpty ? [none] : tls.policies where Self.concerns(tls.result, fact.type) {
            let row = Self.row(attempt, tls, fact)
            if rows[row.key] == nil { rows[row.key] = row } else { rows[row.key]?.add(row) }
        }
    }

    mutating func takeAll() -> [TLSResultRow] {
        let all = Array(rows.values)
        rows.removeAll()
        return all
    }

    mutating func putBack(_ taken: [TLSResultRow]) {
        for row in taken where rows.count < Self.rowsMax {
            var sum = row
            if let newer = rows[row.key] { sum.add(newer) }
            rows[row.key] = sum
        }
    }

    // RFC 8460 §4.3: some failures belong to one kind of policy.
    private static func concerns(_ result: TLSResultType, _ policy: TLSPolicyType) -> Bool {
        switch result {
        case .tlsaInvalid, .dnssecInvalid, .daneRequired: policy == .tlsa
        case .stsPolicyFetchError, .stsPolicyInvalid, .stsWebPKIInvalid: policy != .tlsa
        case .success, .startTLSNotSupported, .certificateHostMismatch, .certificateExpired, .certificateNotTrusted,
            .validationFailure:
            true
        }
    }

    private static func row(_ attempt: AttemptRecord, _ tls: AttemptRecord.TLS, _ fact: TLSPolicyFact) -> TLSResultRow {
        var row = TLSResultRow(
            key: .init(
                day: Int(attempt.began.seconds / 86_400), domain: attempt.destination, host: attempt.host,
                policy: fact.type, result: tls.result), last: attempt.began)
        row.address = attempt.address
        row.policyDomain = fact.domain
        row.policyStrings = fact.strings
        row.policyHosts = fact.mxHosts
        row.isTesting = tls.isTesting
        row.detail = tls.detail
        row.version = tls.version
        row.cipher = tls.cipher
        row.group = tls.group
        row.hasForwardSecrecy = tls.hasForwardSecrecy
        row.isVerified = tls.isVerified
        row.certificate = tls.certificate
        return row
    }
}
