import Base
package import Policy
package import Protocols

// What defences decided by, as values. Everything here is new fields of records: who does not know them passes them over.

extension DNSListFinding.Outcome: LedgerCoded {
    package static let ledgerCodes: [DNSListFinding.Outcome] = [.listed, .notListed, .unanswered, .declined, .broken]
}

extension HELOFinding: LedgerCoded {
    package static let ledgerCodes: [HELOFinding] = [.good, .noDomain, .malformed, .bareAddress, .otherAddress, .ours]
}

extension DefenseFigures.Greylist.Step: LedgerCoded {
    package static let ledgerCodes: [DefenseFigures.Greylist.Step] = [.new, .early, .passed, .known, .skipped]
}

extension GreylistSkip: LedgerCoded {
    package static let ledgerCodes: [GreylistSkip] = [
        .off, .trusted, .noClient, .allowedClient, .allowedDomain, .skipDomain, .score,
    ]
}

extension ClientEvidence {
    /// Address and name stand with the session.
    mutating func belongs(to session: SessionFacts) {
        if let peer = session.peer { address = peer }
        if helo != nil { heloName = session.helo }
    }
}

extension LedgerEncoder {
    mutating func evidence(_ tag: Int, _ evidence: ClientEvidence) {
        group(tag) { e in
            for finding in evidence.lists.prefix(ClientEvidence.listsMax) {
                e.group(1) { e in
                    e.text(1, finding.zone, limit: 255)
                    e.code(2, finding.outcome)
                    for answer in finding.answers.prefix(DNSListFinding.answersMax) { e.text(3, answer.bytes) }
                    e.text(4, finding.text, limit: DNSListFinding.textMax)
                }
            }
            if let reverse = evidence.reverse { e.code(2, reverse) }
            if let helo = evidence.helo { e.code(3, helo) }
            e.flag(4, evidence.spokeEarly)
        }
    }

    mutating func tally(_ tag: Int, _ tally: FailureTally) {
        group(tag) { e in
            e.text(1, tally.domain, limit: 255)
            for (i, n) in tally.steps.enumerated() { e.number(2 + i, n) }
            e.number(2 + FailureTally.stepsMax, tally.heldSeconds)
        }
    }

    mutating func rules(_ tag: Int, _ rules: ConnectionRecord.Rules) {
        group(tag) { e in
            e.text(1, rules.domain, limit: 255)
            for text in PolicyText.differences(rules.policy) { e.text(2, text) }
        }
    }

    /// Tags 1 to 4: one for each kind.
    mutating func figures(_ tag: Int, _ figures: DefenseFigures) {
        group(tag) { e in
            switch figures {
            case .limit(let limit):
                e.group(1) { e in
                    e.text(1, limit.key)
                    e.number(2, limit.limit)
                    e.flag(3, limit.isOfNetwork)
                    e.number(4, limit.retrySeconds)
                }
            case .greylist(let greylist):
                e.group(2) { e in
                    e.code(1, greylist.step)
                    if let skip = greylist.skip { e.code(2, skip) }
                    e.text(3, greylist.identity)
                    e.text(4, greylist.sender)
                    e.text(5, greylist.proven)
                    e.number(6, greylist.seconds)
                }
            case .tarpit(let tarpit):
                e.group(3) { e in
                    e.number(1, tarpit.failures)
                    e.number(2, tarpit.seconds)
                }
            case .score(let total): e.signed(4, Int64(total))
            }
        }
    }
}

extension LedgerDecoder {
    mutating func evidence() -> ClientEvidence {
        var out = ClientEvidence(address: IPAddress(v4: 0, 0, 0, 0))
        while let field = next() {
            var inner = group(field)
            switch field.tag {
            case 1: if out.lists.count < ClientEvidence.listsMax { out.lists += inner.finding().map { [$0] } ?? [] }
            case 2: out.reverse = AuthResult(code: field.number)
            case 3: out.helo = HELOFinding(code: field.number)
            case 4: out.spokeEarly = field.flag
            default: break
            }
        }
        return out
    }

    private mutating func finding() -> DNSListFinding? {
        var out = DNSListFinding(zone: [], outcome: .unanswered)
        var outcome: DNSListFinding.Outcome?
        while let field = next() {
            switch field.tag {
            case 1: out.zone = text(field)
            case 2: outcome = DNSListFinding.Outcome(code: field.number)
            case 3:
                if out.answers.count < DNSListFinding.answersMax, let address = IPAddress(bytes: text(field)) {
                    out.answers.append(address)
                }
            case 4: out.text = text(field)
            default: break
            }
        }
        guard let outcome else { return nil }
        out.outcome = outcome
        return out
    }

    mutating func tally() -> FailureTally {
        var domain: [UInt8] = []
        var steps = Array(repeating: 0, count: FailureTally.stepsMax)
        var held = 0
        while let field = next() {
            switch field.tag {
            case 1: domain = text(field)
            case 2..<UInt64(2 + FailureTally.stepsMax): steps[Int(field.tag) - 2] = min(field.int, Int(Int32.max))
            case UInt64(2 + FailureTally.stepsMax): held = min(field.int, Int(Int32.max))
            default: break
            }
        }
        var out = FailureTally(domain: domain, steps: steps)
        out.heldSeconds = held
        return out
    }

    mutating func rules() -> ConnectionRecord.Rules {
        var out = ConnectionRecord.Rules(domain: [], policy: DomainPolicy())
        while let field = next() {
            switch field.tag {
            case 1: out.domain = text(field)
            case 2: PolicyText.apply(string(field), to: &out.policy)
            default: break
            }
        }
        return out
    }

    /// nil: of a kind that this version does not know.
    mutating func figures() -> DefenseFigures? {
        while let field = next() {
            var inner = group(field)
            switch field.tag {
            case 1: return .limit(inner.limit())
            case 2: return inner.greylist().map { .greylist($0) }
            case 3: return .tarpit(inner.tarpit())
            case 4: return .score(Int(truncatingIfNeeded: min(max(field.signed, -1_000_000), 1_000_000)))
            default: break
            }
        }
        return nil
    }

    private mutating func limit() -> DefenseFigures.Limit {
        var out = DefenseFigures.Limit("", 0)
        while let field = next() {
            switch field.tag {
            case 1: out.key = text(field)
            case 2: out.limit = field.int
            case 3: out.isOfNetwork = field.flag
            case 4: out.retrySeconds = field.int
            default: break
            }
        }
        return out
    }

    private mutating func greylist() -> DefenseFigures.Greylist? {
        var step: DefenseFigures.Greylist.Step?
        var out = DefenseFigures.Greylist(step: .new, identity: [], sender: [], seconds: 0)
        while let field = next() {
            switch field.tag {
            case 1: step = DefenseFigures.Greylist.Step(code: field.number)
            case 2: out.skip = GreylistSkip(code: field.number)
            case 3: out.identity = text(field)
            case 4: out.sender = text(field)
            case 5: out.proven = text(field)
            case 6: out.seconds = field.int
            default: break
            }
        }
        guard let step else { return nil }
        out.step = step
        return out
    }

    private mutating func tarpit() -> DefenseFigures.Tarpit {
        var out = DefenseFigures.Tarpit(failures: 0, seconds: 0)
        while let field = next() {
            switch field.tag {
            case 1: out.failures = field.int
            case 2: out.seconds = field.int
            default: break
            }
        }
        return out
    }
}
