/// How a question ended.
package enum DNSStatus: String, Sendable, Hashable, CaseIterable {
    /// At least one record of the type asked for.
    case noError = "NOERROR"
    /// The name exists, records of this type do not (RFC 2308 §2.2).
    case noData = "NODATA"
    case nxDomain = "NXDOMAIN"
    /// The servers failed, their answer was malformed, or validation failed (`security` then says bogus).
    case servFail = "SERVFAIL"
    case refused = "REFUSED"
    /// No answer in time, or no resolver to ask.
    case timeout = "TIMEOUT"

    /// Nothing is known; asking later may tell (RFC 7208 §2.6.6 and others: temperror).
    package var isTemporary: Bool {
        switch self {
        case .noError, .noData, .nxDomain: false
        case .servFail, .refused, .timeout: true
        }
    }
}

/// RFC 4035 §4.3, as our own validation found it; never a remote AD bit.
package enum DNSSecurity: String, Sendable, Hashable, CaseIterable {
    case secure
    case insecure
    case bogus
}

/// What DNS said to one question. `records` are of the type asked for, at the end of any CNAME chain.
package struct DNSAnswer: Sendable, Hashable {
    package var status: DNSStatus
    package var records: [RecordData]
    package var security: DNSSecurity
    /// Seconds, the least along the chain; for how long a negative answer holds when there are no records.
    package var ttl: UInt32
    /// Where CNAMEs led, when that is not the name asked for.
    package var canonicalName: DNSName?
    /// Why validation failed, for people.
    package var reason: String?

    package init(
        status: DNSStatus, records: [RecordData] = [], security: DNSSecurity = .insecure, ttl: UInt32 = 0,
        canonicalName: DNSName? = nil, reason: String? = nil
    ) {
        self.status = status
        self.records = records
        self.security = security
        self.ttl = ttl
        self.canonicalName = canonicalName
        self.reason = reason
    }

    /// An answer with these records, for fixtures.
    package static func records(
        _ records: [RecordData], security: DNSSecurity = .insecure, ttl: UInt32 = 300
    ) -> DNSAnswer {
        DNSAnswer(status: records.isEmpty ? .noData : .noError, records: records, security: security, ttl: ttl)
    }

    package static let timeout = DNSAnswer(status: .timeout)

    package var isTemporary: Bool { status.isTemporary }
    /// RFC 7208 §4.6.4: an existing name without such records, or no such name.
    package var isVoid: Bool { status == .noData || status == .nxDomain }
    package var addresses: [IPAddress] { records.compactMap(\.address) }
    package var texts: [[UInt8]] { records.compactMap(\.text) }
    package var targets: [DNSName] { records.compactMap(\.target) }
}
