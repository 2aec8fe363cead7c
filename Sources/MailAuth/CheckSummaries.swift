import Base
package import Protocols

extension DKIMVerdict {
    /// The part that all checks have in common, for policy, `Authentication-Results` and the ledger.
    package var summaries: [AuthResults.DKIM] { results.map(\.summary) }
}

extension DKIMResult {
    package var summary: AuthResults.DKIM {
        var out = AuthResults.DKIM(result: status.result, domain: signature?.domain ?? [])
        if let signature {
            out.selector = signature.selector
            out.identity = signature.identity ?? []
            out.algorithm = Array(signature.algorithm.name.utf8)
        }
        out.signature = signatureHead
        out.keyBits = keyBits ?? 0
        out.isTesting = isTesting
        out.coversBody = coversBody
        if reason != .verified { out.reason = Array(reason.text.utf8.prefix(AuthResults.reasonMax)) }
        return out
    }
}

extension SignatureStatus {
    package var result: AuthResult {
        switch self {
        case .pass: .pass
        case .fail: .fail
        case .permerror: .permerror
        case .temperror: .temperror
        }
    }
}

extension ARCVerdict {
    /// With what each sealer says it measured, read from the chain.
    package func summary(_ fields: ARCFields) -> AuthResults.ARC {
        let result: AuthResult =
            switch status {
            case .absent: .absent
            case .pass: .pass
            // Not for the field (RFC 8617 §10.1), but another try may find the chain whole.
            case .fail: isTemporary ? .temperror : .fail
            }
        var out = AuthResults.ARC(result: result)
        out.seals = fields.sets.map { set in
            let value = fields.header.value(of: set.resultsPlace)
            // RFC 8617 §4.1.1: instance, then what an Authentication-Results field holds.
            let text = value.firstIndex(of: ASCII.semicolon).map { Array(value[($0 + 1)...]) } ?? []
            return AuthResults.ARC.Seal(
                instance: set.instance, domain: ASCII.lowercased(set.seal.domain), selector: set.seal.selector,
                statements: AuthenticationResultsParser.parse(text.span))
        }
        if status == .fail { out.reason = Array(reason.text.utf8.prefix(AuthResults.reasonMax)) }
        return out
    }
}
