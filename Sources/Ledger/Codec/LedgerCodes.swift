import Policy
import Protocols

// The numbers of enum cases in records: places in these lists. Only ever append.

extension AuthResult: LedgerCoded {
    static let codes: [AuthResult] = [
        .absent, .pass, .fail, .softfail, .neutral, .policy, .temperror, .permerror,
    ]
}

extension AuthResults.BIMI.Result: LedgerCoded {
    static let codes: [AuthResults.BIMI.Result] = [.pass, .absent, .fail, .temperror, .declined, .skipped]
}

extension AuthResults.AuthorProblem: LedgerCoded {
    static let codes: [AuthResults.AuthorProblem] = [
        .missing, .severalFields, .malformed, .severalDomains, .noDomain, .notADomain,
    ]
}

extension DMARCPolicy: LedgerCoded {
    static let codes: [DMARCPolicy] = [.monitor, .quarantine, .reject]
}

extension AuthResults.DMARC.PolicySource: LedgerCoded {
    static let codes: [AuthResults.DMARC.PolicySource] = [.domain, .subdomain, .nonexistent]
}

extension Disposition.Action: LedgerCoded {
    static let codes: [Disposition.Action] = [.accept, .quarantine, .postpone, .reject]
}

extension Disposition.Rule: LedgerCoded {
    static let codes: [Disposition.Rule] = [
        .noObjection, .trustedClient, .brokenFrom, .spfFail, .spfTemporary, .dmarcPass, .dmarcPolicy, .dmarcTemporary,
    ]
}

extension Disposition.Override.Kind: LedgerCoded {
    static let codes: [Disposition.Override.Kind] = [.trustedForwarder, .localPolicy, .testMode, .sampledOut]
}

extension DNSStatus: LedgerCoded {
    static let codes: [DNSStatus] = [.noError, .noData, .nxDomain, .servFail, .refused, .timeout]
}

extension DNSSecurity: LedgerCoded {
    static let codes: [DNSSecurity] = [.insecure, .secure, .bogus]
}

extension DeliveryFailure.Permanence: LedgerCoded {
    static let codes: [DeliveryFailure.Permanence] = [.temporary, .permanent]
}

extension DeliveryFailure.Source: LedgerCoded {
    static let codes: [DeliveryFailure.Source] = [.remote, .dns, .network, .tls, .local]
}

extension TLSResultType: LedgerCoded {
    static let codes: [TLSResultType] = [
        .success, .startTLSNotSupported, .certificateHostMismatch, .certificateExpired, .certificateNotTrusted,
        .validationFailure, .tlsaInvalid, .dnssecInvalid, .daneRequired, .stsPolicyFetchError, .stsPolicyInvalid,
        .stsWebPKIInvalid,
    ]
}

extension TLSPolicyType: LedgerCoded {
    static let codes: [TLSPolicyType] = [.tlsa, .sts, .noPolicyFound]
}
