import Base
import Protocols

extension LedgerDecoder {
    mutating func results() -> AuthResults {
        var out = AuthResults()
        while let field = next() {
            var inner = group(field)
            switch field.tag {
            case 1: out.helo = inner.spf()
            case 2: out.spf = inner.spf()
            case 3: if out.dkim.count < Self.listMax { out.dkim += inner.dkim().map { [$0] } ?? [] }
            case 4: out.arc = inner.arc()
            case 5: out.dmarc = inner.dmarc()
            case 6: out.iprev = inner.iprev()
            case 7: out.bimi = inner.bimi()
            case 8: out.auth = text(field)
            default: break
            }
        }
        return out
    }

    private mutating func spf() -> AuthResults.SPF? {
        var result: AuthResult?
        var out = AuthResults.SPF(result: .absent, domain: [], identity: [])
        while let field = next() {
            switch field.tag {
            case 1: result = AuthResult(code: field.number)
            case 2: out.domain = text(field)
            case 3: out.identity = text(field)
            case 4: out.mechanism = text(field)
            case 5: out.record = text(field)
            case 6: out.explanation = text(field)
            case 7: out.reason = text(field)
            case 8: out.lookups = field.int
            case 9: out.isSecure = field.flag
            default: break
            }
        }
        guard let result else { return nil }
        out.result = result
        return out
    }

    private mutating func dkim() -> AuthResults.DKIM? {
        var result: AuthResult?
        var out = AuthResults.DKIM(result: .absent, domain: [])
        while let field = next() {
            switch field.tag {
            case 1: result = AuthResult(code: field.number)
            case 2: out.domain = text(field)
            case 3: out.selector = text(field)
            case 4: out.identity = text(field)
            case 5: out.algorithm = text(field)
            case 6: out.signature = text(field)
            case 7: out.keyBits = field.int
            case 8: out.isTesting = field.flag
            case 9: out.coversBody = !field.flag
            case 10: out.reason = text(field)
            case 11: out.isSecure = field.flag
            default: break
            }
        }
        guard let result else { return nil }
        out.result = result
        return out
    }

    private mutating func arc() -> AuthResults.ARC? {
        var result: AuthResult?
        var out = AuthResults.ARC(result: .absent)
        while let field = next() {
            switch field.tag {
            case 1: result = AuthResult(code: field.number)
            case 2: out.reason = text(field)
            case 3:
                var inner = group(field)
                if out.seals.count < Self.listMax { out.seals.append(inner.seal()) }
            default: break
            }
        }
        guard let result else { return nil }
        out.result = result
        return out
    }

    private mutating func seal() -> AuthResults.ARC.Seal {
        var out = AuthResults.ARC.Seal(instance: 0, domain: [])
        while let field = next() {
            switch field.tag {
            case 1: out.instance = field.int
            case 2: out.domain = text(field)
            case 3: out.selector = text(field)
            case 4: out.dmarc = AuthResult(code: field.number)
            case 5: out.author = text(field)
            default: break
            }
        }
        return out
    }

    private mutating func dmarc() -> AuthResults.DMARC? {
        var result: AuthResult?
        var out = AuthResults.DMARC(result: .absent, author: [])
        while let field = next() {
            switch field.tag {
            case 1: result = AuthResult(code: field.number)
            case 2: out.author = text(field)
            case 3: out.authorProblem = AuthResults.AuthorProblem(code: field.number)
            case 4: out.organization = text(field)
            case 5: out.policyDomain = text(field)
            case 6: out.record = text(field)
            case 7: out.policy = DMARCPolicy(code: field.number) ?? out.policy
            case 8: out.policySource = AuthResults.DMARC.PolicySource(code: field.number) ?? out.policySource
            case 9: out.applied = DMARCPolicy(code: field.number) ?? out.applied
            case 10: out.isTestMode = field.flag
            case 11: out.isSampledOut = field.flag
            case 12: out.couldFail = field.flag
            case 13: out.spfAligned = field.flag
            case 14: out.dkimAligned = text(field)
            case 15: out.reason = text(field)
            case 16: out.isSecure = field.flag
            default: break
            }
        }
        guard let result else { return nil }
        out.result = result
        return out
    }

    mutating func iprev() -> AuthResults.IPRev? {
        var result: AuthResult?
        var out = AuthResults.IPRev(result: .absent, address: [])
        while let field = next() {
            switch field.tag {
            case 1: result = AuthResult(code: field.number)
            case 2: out.address = text(field)
            case 3: out.name = text(field)
            case 4: out.reason = text(field)
            case 5: out.isSecure = field.flag
            default: break
            }
        }
        guard let result else { return nil }
        out.result = result
        return out
    }

    private mutating func bimi() -> AuthResults.BIMI? {
        var result: AuthResults.BIMI.Result?
        var out = AuthResults.BIMI(result: .absent)
        while let field = next() {
            switch field.tag {
            case 1: result = AuthResults.BIMI.Result(code: field.number)
            case 2: out.domain = text(field)
            case 3: out.selector = text(field)
            case 4: out.location = text(field)
            case 5: out.authority = text(field)
            case 6: out.reason = text(field)
            case 7: out.isSecure = field.flag
            default: break
            }
        }
        guard let result else { return nil }
        out.result = result
        return out
    }
}
