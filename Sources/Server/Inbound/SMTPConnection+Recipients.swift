import Base
import MailAuth
import Policy
import Protocols
import Reactor
import Telemetry

/// RCPT, one command after the other: rate, directory, score, greylist, filters; and the tarpit before the answer.
extension SMTPConnection {
    func take(_ arrival: RecipientCase) {
        gate.append(arrival)
        advanceGate()
    }

    /// As far as it goes. Called again from within (an answer that came at once, an effect of an answer) it only makes
    /// the loop go round once more.
    func advanceGate() {
        gateHasNews = true
        guard !isAdvancingGate else { return }
        isAdvancingGate = true
        defer { isAdvancingGate = false }
        while gateHasNews {
            gateHasNews = false
            advanceFirst()
        }
    }

    private func advanceFirst() {
        markInProgress()
        while let first = gate.first {
            var current = first
            let answer = advance(&current)
            // What was asked meanwhile may have ended the transaction.
            guard gate.first?.ticket == current.ticket else { return }
            guard let answer else {
                gate[0] = current
                return askFiltersOfFirst()
            }
            gate.removeFirst()
            give(current.ticket, answer)
        }
    }

    /// The answer, or nil when it has to wait.
    private func advance(_ current: inout RecipientCase) -> Answer? {
        // Each turn goes one stage further or returns.
        while true {
            switch current.stage {
            case .arrived:
                if let refusal = refusalByRate(of: current.address) {
                    tally.refusedRecipients += 1
                    return .refused(refusal)
                }
                switch isFrontEnd ? lookHere(current.address) : look(up: current.address) {
                case .known(let resolved): current.stage = .known(resolved)
                case .refused(let result, let reply, let why):
                    let told = refusing(.directory, reply, subject: current.address.wire, because: why)
                    return answerFailure(&current, refuse(result, told), result)
                }
            case .known(let resolved):
                guard let step = weigh(current, resolved) else { return beginWaiting(&current) }
                if current.waitsSince != nil { endWaiting(&current) }
                switch step {
                case .go(let stage): current.stage = stage
                case .refused(let reply): return answerFailure(&current, refuse(.rejected, reply), .rejected)
                }
            case .weighed(let resolved, let score):
                guard let step = greylist(current, resolved, score: score) else { return beginWaiting(&current) }
                if current.waitsSince != nil { endWaiting(&current) }
                switch step {
                case .go(let stage): current.stage = stage
                case .refused(let reply): return refuse(.deferred, reply)
                }
            case .filtering(let resolved):
                guard chain == nil else { return nil }
                current.stage = .filtered(resolved, .proceed)
            case .asked: return nil
            case .filtered(let resolved, let verdict): return answer(to: current, resolved, verdict)
            case .held(let answer): return defense.held == nil ? answer : nil
            }
        }
    }

    enum GateStep {
        case go(RecipientCase.Stage)
        case refused(Reply)
    }

    // MARK: Rates

    private func refusalByRate(of address: MailAddress) -> Reply? {
        let services = loop.services.defense
        let limits = services.limits.current
        let verdict = services.clients.recipient(client, limits, exempt: defense.isExempt, now: loop.reactor.now)
        guard var event = LimitReplies.recipient(verdict, limits), let reply = event.reply else {
            return refusalOfAccount(address)
        }
        loop.services.metrics.recipients.add(.deferred)
        loop.services.metrics.defense.limits.add(.recipientRate)
        event.subject = address.wire
        return refusing(event, reply)
    }

    // MARK: Failures

    /// The answer to a recipient that was not there or not to be had. Who tries many waits longer for each.
    private func answerFailure(_ current: inout RecipientCase, _ answer: Answer, _ result: RecipientResult) -> Answer? {
        guard result == .unknown || result == .relayDenied || result == .rejected, !isOwnMail else { return answer }
        let policy = directory.rules(ofDomain: current.address.domain)?.policy.defense.tarpit
        let delay = tarpitDelay(policy, current.address.domain)
        guard delay > 0,
            hold(.recipient(current.ticket, answer), of: current.address.wire, seconds: delay)
        else { return answer }
        current.stage = .held(answer)
        return nil
    }

    // MARK: Score

    /// What DNS lists, reverse DNS, HELO and early talk add up to; nil while something of it is being asked.
    private func weigh(_ current: RecipientCase, _ resolved: ResolvedRecipient) -> GateStep? {
        guard !isOwnMail, !defense.isExempt, !current.isPostmaster, let ip = client,
            let rules = directory.rules(ofDomain: current.address.domain)?.policy.defense, rules.wantsScore
        else { return .go(.weighed(resolved, score: nil)) }
        guard let evidence = evidence(of: ip, rules.score) else { return nil }
        if loop.services.ledger != nil { defense.add(evidence) }
        let score = ClientScore(evidence, rules.score)
        count(score, evidence, rules.score)
        let domain = current.address.domain
        defense.scores[domain] = score.total
        switch score.decision {
        case .accept: break
        case .quarantine: defense.junk.insert(domain)
        case .reject:
            guard let reply = score.reply, let event = score.event(subject: current.address.wire) else { break }
            return .refused(refusing(event, reply))
        }
        if let event = score.event(subject: domain) { noteOnce(event) }
        return .go(.weighed(resolved, score: score.total))
    }

    private func evidence(of ip: IPAddress, _ rules: DomainDefense.Score) -> ClientEvidence? {
        var out = ClientEvidence(address: ip)
        out.spokeEarly = defense.talkedEarly
        out.heloName = session.heloName
        out.helo = HELOFinding(session.heloName, client: ip, ownNames: [loop.services.hostname])
        ensureInquiry()
        guard let current = inquiry else { return out }
        let check = DNSListCheck(ip, zones: rules.zones, explained: rules.explainedZones)
        let lists = rules.lists.isEmpty ? nil : current.advance(check, memo: loop.memo, now: loop.reactor.now)
        let reverse =
            rules.reverseWeight == 0 ? nil : current.advance(IPRevCheck(ip), memo: loop.memo, now: loop.reactor.now)
        var waits = false
        switch lists {
        case .verdict(let findings): out.lists = findings
        case .wait(let questions):
            waits = true
            defense.waitForLists(questions, from: loop.reactor.now)
            put(questions)
        case .gaveUp: out.lists = rules.zones.map { DNSListFinding(zone: $0, outcome: .unanswered) }
        case nil: break
        }
        if case .wait = lists {} else { defense.endListWait(loop.reactor.now) }
        switch reverse {
        case .verdict(let found): out.reverse = found.result
        case .wait(let questions):
            waits = true
            put(questions)
        case .gaveUp, nil: break
        }
        return waits ? nil : out
    }

    // MARK: Greylist

    private func greylist(_ current: RecipientCase, _ resolved: ResolvedRecipient, score: Int?) -> GateStep? {
        let address = current.address
        guard let domain = directory.rules(ofDomain: address.domain) else { return .go(.filtering(resolved)) }
        guard domain.policy.defense.greylist.isOn else {
            loop.services.metrics.greylist.skips.add(.off)
            return .go(.filtering(resolved))
        }
        guard !isOwnMail, !isFrontEnd else {
            loop.services.metrics.greylist.skips.add(.trusted)
            return .go(.filtering(resolved))
        }
        guard !current.isPostmaster, !sender.isEmpty else { return .go(.filtering(resolved)) }
        let rules = domain.policy.defense.greylist
        guard let results = clientResults() else { return nil }
        let spf = results.known?.spf
        let proven = spf.flatMap { $0.result == .pass ? $0.domain : nil }
        guard let deferral = deferral(of: address, rules, score: score, proven) else {
            return .go(.filtering(resolved))
        }
        return .refused(deferral)
    }

    /// What SPF came to for the client; nil while it is being asked. Where mail is not checked nothing is asked: DNS may be
    /// out of reach, and each first recipient would wait for it.
    private func clientResults() -> (known: MessageCheck.Client.Results?, Void)? {
        guard settings.auth.isEnabled else { return (nil, ()) }
        ensureInquiry()
        guard let current = inquiry else { return (nil, ()) }
        if let known = current.client.known { return (known, ()) }
        let step = current.advance(current.client, memo: loop.memo, now: loop.reactor.now)
        switch step {
        case .verdict(let results): return (results, ())
        case .gaveUp: return (nil, ())
        case .wait(let questions):
            put(questions)
            return nil
        }
    }

    // MARK: Waiting for facts

    private func beginWaiting(_ current: inout RecipientCase) -> Answer? {
        current.waitsSince = current.waitsSince ?? loop.reactor.now
        return nil
    }

    private func endWaiting(_ current: inout RecipientCase) {
        guard let since = current.waitsSince else { return }
        current.waitsSince = nil
        defense.recipientWait += UInt64(max(0, loop.reactor.now.seconds(since: since)) * 1e6)
    }

    /// The first in line waits for DNS.
    var gateWaitsForFacts: Bool {
        switch gate.first?.stage {
        case .known, .weighed: true
        case .arrived, .filtering, .asked, .filtered, .held, nil: false
        }
    }

    /// When the lists in DNS are waited for no longer; nil: they are not.
    var listsDue: Instant? {
        guard case .known = gate.first?.stage else { return nil }
        return defense.listsDue
    }

    /// The lists had their time: they are no evidence, but SPF and reverse DNS may still have theirs.
    func stopWaitingForLists() {
        inquiry?.giveUpWaiting(for: defense.endListWait(loop.reactor.now))
        advanceGate()
    }

    /// The time for it is over: what is not known speaks neither for nor against the client.
    func stopGatheringForRecipients() {
        inquiry?.giveUpWaiting()
        advanceGate()
    }

    // MARK: Filters

    /// The first in line has passed everything but the filters.
    private func askFiltersOfFirst() {
        guard let first = gate.first, case .filtering(let resolved) = first.stage else { return }
        let ticket = first.ticket
        gate[0].stage = .asked
        askFilters(of: first.address, ticket) { connection, verdict in
            guard connection.gate.first?.ticket == ticket else { return }
            connection.gate[0].stage = .filtered(resolved, verdict)
            connection.advanceGate()
        }
    }

    private func answer(to current: RecipientCase, _ resolved: ResolvedRecipient, _ verdict: MilterVerdict) -> Answer {
        switch verdict {
        case .proceed, .accept, .discard: return accept(resolved)
        case .refuse(let reply):
            return refuse(reply.code >= 500 ? .rejected : .deferred, filtered(reply, current.address.wire))
        }
    }

    private func count(_ score: ClientScore, _ evidence: ClientEvidence, _ rules: DomainDefense.Score) {
        let metrics = loop.services.metrics.defense
        metrics.observe(score: score.total)
        for list in rules.lists {
            guard let finding = evidence.lists.first(where: { $0.zone == list.zone }) else { continue }
            if finding.outcome == .broken { metrics.listHits.add(.broken) }
            if list.matches(finding) { metrics.listHits.add(list.weight > 0 ? .block : .welcome) }
        }
    }
}
