import Base
import Protocols

extension LedgerEncoder {
    mutating func results(_ tag: Int, _ results: AuthResults) {
        group(tag) { e in
            if let helo = results.helo { e.spf(1, helo) }
            if let spf = results.spf { e.spf(2, spf) }
            for signature in results.dkim.prefix(LedgerBounds.list) { e.dkim(3, signature) }
            if let arc = results.arc { e.arc(4, arc) }
            if let dmarc = results.dmarc { e.dmarc(5, dmarc) }
            if let iprev = results.iprev { e.iprev(6, iprev) }
            if let bimi = results.bimi { e.bimi(7, bimi) }
            if let auth = results.auth { e.present(8, auth) }
        }
    }

    private mutating func spf(_ tag: Int, _ spf: AuthResults.SPF) {
        group(tag) { e in
            e.code(1, spf.result)
            e.text(2, spf.domain)
            e.text(3, spf.identity)
            e.text(4, spf.mechanism)
            e.text(5, spf.record, limit: LedgerBounds.record)
            e.text(6, spf.explanation)
            e.text(7, spf.reason)
            e.number(8, spf.lookups)
            e.flag(9, spf.isSecure)
        }
    }

    private mutating func dkim(_ tag: Int, _ dkim: AuthResults.DKIM) {
        group(tag) { e in
            e.code(1, dkim.result)
            e.text(2, dkim.domain)
            e.text(3, dkim.selector)
            e.text(4, dkim.identity)
            e.text(5, dkim.algorithm)
            e.text(6, dkim.signature)
            e.number(7, dkim.keyBits)
            e.flag(8, dkim.isTesting)
            e.flag(9, !dkim.coversBody)
            e.text(10, dkim.reason)
            e.flag(11, dkim.isSecure)
        }
    }

    private mutating func arc(_ tag: Int, _ arc: AuthResults.ARC) {
        group(tag) { e in
            e.code(1, arc.result)
            e.text(2, arc.reason)
            for seal in arc.seals.prefix(LedgerBounds.list) {
                e.group(3) { e in
                    e.number(1, seal.instance)
                    e.text(2, seal.domain)
                    e.text(3, seal.selector)
                    if let dmarc = seal.dmarc { e.code(4, dmarc) }
                    e.text(5, seal.author)
                }
            }
        }
    }

    private mutating func dmarc(_ tag: Int, _ dmarc: AuthResults.DMARC) {
        group(tag) { e in
            e.code(1, dmarc.result)
            e.text(2, dmarc.author)
            if let problem = dmarc.authorProblem { e.code(3, problem) }
            e.text(4, dmarc.organization)
            e.text(5, dmarc.policyDomain)
            e.text(6, dmarc.record, limit: LedgerBounds.record)
            e.code(7, dmarc.policy)
            e.code(8, dmarc.policySource)
            e.code(9, dmarc.applied)
            e.flag(10, dmarc.isTestMode)
            e.flag(11, dmarc.isSampledOut)
            e.flag(12, dmarc.couldFail)
            e.flag(13, dmarc.spfAligned)
            if let aligned = dmarc.dkimAligned { e.present(14, aligned) }
            e.text(15, dmarc.reason)
            e.flag(16, dmarc.isSecure)
        }
    }

    mutating func iprev(_ tag: Int, _ iprev: AuthResults.IPRev) {
        group(tag) { e in
            e.code(1, iprev.result)
            e.text(2, iprev.address)
            e.text(3, iprev.name)
            e.text(4, iprev.reason)
            e.flag(5, iprev.isSecure)
        }
    }

    private mutating func bimi(_ tag: Int, _ bimi: AuthResults.BIMI) {
        group(tag) { e in
            e.code(1, bimi.result)
            e.text(2, bimi.domain)
            e.text(3, bimi.selector)
            e.text(4, bimi.location, limit: LedgerBounds.record)
            e.text(5, bimi.authority, limit: LedgerBounds.record)
            e.text(6, bimi.reason)
            e.flag(7, bimi.isSecure)
        }
    }
}

/// What one record may hold. Texts without a bound of their own are cut at 512 octets.
enum LedgerBounds {
    /// Elements of a list inside the results.
    static let list = 64
    /// Octets of a DNS record's text.
    static let record = 4_096
    /// Octets of a record after which no more rules of domains are written.
    static let policies = 98_304
    /// Octets of a record after which no more DNS answers are written.
    static let facts = 196_608
    /// Records of one answer.
    static let answer = 100
    /// Octets of a whole record, as a reader allows; a single answer can lead beyond `facts` by far less than the rest.
    static let octets = 1 << 20
}
