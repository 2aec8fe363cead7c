package import Policy
package import Protocols

// The numbers of enum cases in records: places in these lists. Only ever append.

extension AuthResult: LedgerCoded {
    package static let ledgerCodes: [AuthResult] = [
        .absent, .pass, .fail, .softfail, .neutral, .policy, .temperror, .permerror,
    ]
}

extension AuthResults.BIMI.Result: LedgerCoded {
    package static let ledgerCodes: [AuthResults.BIMI.Result] = [
        .pass, .absent, .fail, .temperror, .declined, .skipped,
    ]
}

extension AuthResults.AuthorProblem: LedgerCoded {
    package static let ledgerCodes: [AuthResults.AuthorProblem] = [
        .missing, .severalFields, .malformed, .severalDomains, .noDomain, .notADomain,
    ]
}

extension DMARCPolicy: LedgerCoded {
    package static let ledgerCodes: [DMARCPolicy] = [.monitor, .quarantine, .reject]
}

extension AuthResults.DMARC.PolicySource: LedgerCoded {
    package static let ledgerCodes: [AuthResults.DMARC.PolicySource] = [.domain, .subdomain, .nonexistent]
}

extension Disposition.Action: LedgerCoded {
    package static let ledgerCodes: [Disposition.Action] = [.accept, .quarantine, .postpone, .reject]
}

extension Disposition.Rule: LedgerCoded {
    package static let ledgerCodes: [Disposition.Rule] = [
        .noObjection, .trustedClient, .brokenFrom, .spfFail, .spfTemporary, .dmarcPass, .dmarcPolicy, .dmarcTemporary,
    ]
}

extension Disposition.Override.Kind: LedgerCoded {
    package static let ledgerCodes: [Disposition.Override.Kind] = [
        .trustedForwarder, .localPolicy, .testMode, .sampledOut,
    ]
}

extension DNSStatus: LedgerCoded {
    package static let ledgerCodes: [DNSStatus] = [.noError, .noData, .nxDomain, .servFail, .refused, .timeout]
}

extension DNSSecurity: LedgerCoded {
    package static let ledgerCodes: [DNSSecurity] = [.insecure, .secure, .bogus]
}

extension DeliveryFailure.Permanence: LedgerCoded {
    package static let ledgerCodes: [DeliveryFailure.Permanence] = [.temporary, .permanent]
}

extension DeliveryFailure.Source: LedgerCoded {
    package static let ledgerCodes: [DeliveryFailure.Source] = [.remote, .dns, .network, .tls, .local]
}

extension TLSResultType: LedgerCoded {
    package static let ledgerCodes: [TLSResultType] = [
        .success, .startTLSNotSupported, .certificateHostMismatch, .certificateExpired, .certificateNotTrusted,
        .validationFailure, .tlsaInvalid, .dnssecInvalid, .daneRequired, .stsPolicyFetchError, .stsPolicyInvalid,
        .stsWebPKIInvalid,
    ]
}

extension TLSPolicyType: LedgerCoded {
    package static let ledgerCodes: [TLSPolicyType] = [.tlsa, .sts, .noPolicyFound]
}
