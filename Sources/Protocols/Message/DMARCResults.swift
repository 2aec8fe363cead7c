/// What a domain owner asks to be done with mail that fails DMARC, in rising order.
package enum DMARCPolicy: String, Sendable, Hashable, CaseIterable, Comparable {
    /// p=none
    case monitor = "none"
    case quarantine, reject

    /// One level below (RFC 9989 §4.7, t).
    package var lowered: DMARCPolicy { self == .reject ? .quarantine : .monitor }

    private var level: Int {
        switch self {
        case .monitor: 0
        case .quarantine: 1
        case .reject: 2
        }
    }

    package static func < (a: DMARCPolicy, b: DMARCPolicy) -> Bool { a.level < b.level }
}

extension AuthResults {
    /// DMARC of the message: the author domain, the record that applies, and which identifiers were aligned.
    package struct DMARC: Sendable, Hashable {
        package var result: AuthResult
        /// The author domain (A-labels, lower case); empty when From names no or more than one.
        package var author: [UInt8]
        /// What is wrong with From, if anything is.
        package var authorProblem: AuthorProblem?
        package var organization: [UInt8] = []
        /// Where the record that applies was found, without `_dmarc.`.
        package var policyDomain: [UInt8] = []
        /// The record as found.
        package var record: [UInt8] = []
        /// What the record asks for: p, sp or np.
        package var policy = DMARCPolicy.monitor
        package var policySource = PolicySource.domain
        /// What is to be applied after t=y (RFC 9989) or the dice of pct (RFC 7489); meant for a result of fail only.
        package var applied = DMARCPolicy.monitor
        /// t=y lowered the policy.
        package var isTestMode = false
        /// pct left this message out; only under `dmarc.mode = rfc7489`.
        package var isSampledOut = false
        /// Of a temperror: another try could end in a failure that the policy acts on, so the mail had better wait.
        package var couldFail = false
        package var spfAligned = false
        /// The d= of a signature that is good and aligned.
        package var dkimAligned: [UInt8]?
        package var reason: [UInt8] = []
        package var isSecure = false

        package init(result: AuthResult, author: [UInt8]) {
            self.result = result
            self.author = author
        }

        /// Whether a record applies, so that `policy` and `applied` mean something.
        package var hasPolicy: Bool {
            switch result {
            case .pass, .fail: true
            case .temperror: !policyDomain.isEmpty
            case .absent, .softfail, .neutral, .policy, .permerror: false
            }
        }

        package enum PolicySource: String, Sendable, Hashable {
            case domain = "p"
            case subdomain = "sp"
            case nonexistent = "np"
        }
    }

    /// Why a message has not the one author domain that DMARC needs (RFC 9989 §5.3.1, §11.5).
    package enum AuthorProblem: String, Sendable, Hashable {
        case missing, severalFields, malformed, severalDomains, noDomain, notADomain

        package var text: String {
            switch self {
            case .missing: "no From field"
            case .severalFields: "more than one From field"
            case .malformed: "the From field is malformed"
            case .severalDomains: "From names more than one domain"
            case .noDomain: "From names no domain"
            case .notADomain: "the domain of From is not a domain name"
            }
        }
    }
}
