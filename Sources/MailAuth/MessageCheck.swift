import Base
package import Protocols

/// Everything that is checked of one message, as one evaluation: SPF of both identities, reverse DNS, DKIM, ARC, DMARC.
/// All questions that can be known are asked side by side, and no signature is verified before every key is there.
package struct MessageCheck: Evaluation, Sendable {
    /// Who handed the message over; nil for mail of our own, of which only the signatures mean something.
    private let client: Client?
    private let dkim: DKIMFields
    private let arc: ARCFields
    private let bodyHashes: [BodyHashKey: BodyHash]
    private let author: Author
    private let now: UInt64
    private let mode: DMARCMode
    private let dice: Int
    private let looksUpIndicators: Bool

    /// The client's address and names: known at MAIL, so checked before the message comes.
    package struct Client: Evaluation, Sendable {
        package let iprev: IPRevCheck
        package let helo: SPFCheck
        package let mailFrom: SPFCheck
        /// Set when all three were evaluated already: with the same facts they come to the same.
        package var known: Results?

        package struct Results: Sendable {
            package let iprev: AuthResults.IPRev
            package let helo: AuthResults.SPF
            package let spf: AuthResults.SPF
        }

        package init(iprev: IPRevCheck, helo: SPFCheck, mailFrom: SPFCheck) {
            self.iprev = iprev
            self.helo = helo
            self.mailFrom = mailFrom
        }

        package func evaluate(_ facts: Facts) throws(Missing) -> Results {
            if let known { return known }
            var missing = Missing([DNSQuestion]())
            var iprev: AuthResults.IPRev?
            var helo: AuthResults.SPF?
            var spf: AuthResults.SPF?
            do throws(Missing) { iprev = try self.iprev.evaluate(facts) } catch { missing.merge(error) }
            do throws(Missing) { helo = try self.helo.evaluate(facts).summary } catch { missing.merge(error) }
            do throws(Missing) { spf = try mailFrom.evaluate(facts).summary } catch { missing.merge(error) }
            guard let iprev, let helo, let spf else { throw missing }
            return Results(iprev: iprev, helo: helo, spf: spf)
        }
    }

    package init(
        client: Client?, dkim: DKIMFields, arc: ARCFields, bodyHashes: [BodyHashKey: BodyHash], author: Author,
        now: UInt64, mode: DMARCMode = .rfc9989, dice: Int = 0,
        looksUpIndicators: Bool = false
    ) {
        self.client = client
        self.dkim = dkim
        self.arc = arc
        self.bodyHashes = bodyHashes
        self.author = author
        self.now = now
        self.mode = mode
        self.dice = dice
        self.looksUpIndicators = looksUpIndicators
    }

    package func evaluate(_ facts: Facts) throws(Missing) -> AuthResults {
        let keys = dkim.questions + arc.questions
        // With a key or the client still to come, everything else is asked beside them; with all there, what DMARC asks further is
        // rare enough to verify the signatures once more for it.
        let isEarly = keys.contains { facts.known($0) == nil } || client.map { $0.known == nil } ?? false
        var out = try gathered(facts, isThorough: isEarly)
        out.dkim = try DKIMCheck(dkim, bodyHashes: bodyHashes, now: now).evaluate(facts).summaries
        out.arc = try ARCCheck(arc, bodyHashes: bodyHashes).evaluate(facts).summary(arc)
        let dmarc = try DMARCCheck(author: author, spf: out.spf, dkim: out.dkim, mode: mode, dice: dice)
            .evaluate(facts)
        out.dmarc = dmarc
        guard looksUpIndicators else { return out }
        let selector = BIMISelector.read(dkim.header, dkim: dkim, results: out.dkim, aligned: dmarc.dkimAligned)
        let indicator = try BIMICheck(dmarc: dmarc, selector: selector).evaluate(facts)
        if indicator.result != .skipped { out.bimi = indicator }
        return out
    }

    /// The part that needs no body: what the client's address and name came to, with every fact that the signatures and
    /// DMARC can want known.
    private func gathered(_ facts: Facts, isThorough: Bool = true) throws(Missing) -> AuthResults {
        var out = AuthResults()
        var missing = Missing((dkim.questions + arc.questions).filter { facts.known($0) == nil })
        if let client {
            do throws(Missing) {
                let results = try client.evaluate(facts)
                out.iprev = results.iprev
                out.helo = results.helo
                out.spf = results.spf
            } catch {
                missing.merge(error)
            }
        }
        guard isThorough else {
            if missing.keys.isEmpty { return out }
            throw missing
        }
        do throws(Missing) {
            let best = try expectation.evaluate(facts)
            if looksUpIndicators { _ = try BIMICheck(dmarc: best).evaluate(facts) }
        } catch { missing.merge(error) }
        guard missing.keys.isEmpty else { throw missing }
        return out
    }

    /// Asks for everything a `MessageCheck` can want without waiting for the body: run it while the message arrives.
    package struct Preparation: Evaluation, Sendable {
        private let check: MessageCheck

        package init(_ check: MessageCheck) { self.check = check }

        package func evaluate(_ facts: Facts) throws(Missing) { _ = try check.gathered(facts) }
    }

    /// DMARC as if SPF and every signature passed: wants all the records that DMARC can want.
    private var expectation: DMARCCheck {
        var spf: AuthResults.SPF?
        if let domain = client?.mailFrom.senderDomain {
            spf = AuthResults.SPF(result: .pass, domain: domain, identity: domain)
        }
        let signatures = dkim.entries.compactMap { entry -> AuthResults.DKIM? in
            guard case .success(let signature) = entry.signature else { return nil }
            return AuthResults.DKIM(result: .pass, domain: signature.domain)
        }
        return DMARCCheck(author: author, spf: spf, dkim: signatures)
    }
}

extension SPFCheck {
    /// The domain whose record is asked for, if there is one.
    fileprivate var senderDomain: [UInt8]? { domain }
}
