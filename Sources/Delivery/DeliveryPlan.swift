import Base
import MailAuth
package import Protocols

/// Which hosts mail for one destination may go to, in which order, and what each must show: the routes, RFC 5321 §5.1,
/// null MX, DANE and MTA-STS as one pure function of DNS answers. Driven by a `FactGatherer`.
package struct DeliveryPlan: Evaluation {
    /// What the message itself asks of the way (RFC 8689).
    package enum Demand: Sendable, Hashable, CaseIterable {
        case ordinary
        /// REQUIRETLS: hosts proven by DNSSEC or MTA-STS, with verified certificates, or none. Not for a null
        /// reverse-path (RFC 8689 §4.2.1).
        case verifiedTLS
        /// `TLS-Required: No`, and TLS reports themselves: policies are followed, their failure stops nothing.
        case bestEffort
    }

    /// Seconds that a verdict may be used again at most, and when a host was skipped for a failure that may pass.
    private static let ttlMax: UInt32 = 300
    private static let ttlMaxAfterFailure: UInt32 = 30

    /// Lower-case A-labels, or an address literal with its brackets.
    package let destination: [UInt8]
    package let rules: DeliveryRules
    package let sts: STSVerdict
    package let demand: Demand
    /// Shuffles hosts of equal preference: another number for another message.
    package let seed: UInt64
    let route: DeliveryRoute?

    package init(
        destination: [UInt8], rules: DeliveryRules, sts: STSVerdict = .absent, demand: Demand = .ordinary,
        seed: UInt64 = 0
    ) {
        self.destination = destination
        self.rules = rules
        self.sts = sts
        self.demand = demand
        self.seed = seed
        route = rules.routes.route(for: destination)
    }

    /// The domain whose MTA-STS policy holds for mail to `destination`, to be looked up before the plan is made; nil:
    /// there is none to ask for.
    // RFC 8461 §3.4: a smarthost's name is the policy domain; address literals have no policy.
    package static func policyDomain(_ destination: [UInt8], _ rules: DeliveryRules) -> [UInt8]? {
        guard let route = rules.routes.route(for: destination), !route.host.isEmpty else {
            return destination.first == ASCII.leftBracket ? nil : destination
        }
        guard !route.isLMTP, route.tls != .off, address(of: route.host) == nil else { return nil }
        return route.host
    }

    package func evaluate(_ facts: Facts) throws(Missing) -> DeliveryPlanVerdict {
        var verdict = try outcome(facts)
        verdict.policyProblem = verdict.policyProblem ?? stsProblem
        verdict.ttlSeconds = ttl(verdict, facts)
        return verdict
    }

    private func outcome(_ facts: Facts) throws(Missing) -> DeliveryPlanVerdict {
        if let route, !route.host.isEmpty { return try routed(facts, route) }
        if destination.first == ASCII.leftBracket { return literal() }
        return try exchanged(facts)
    }

    // MARK: Address literals

    private func literal() -> DeliveryPlanVerdict {
        guard let address = Self.literalAddress(destination) else {
            return .failed(.permanent, .dns, 5, 1, 2, "not an address literal that can be sent to")
        }
        guard !rules.loopGuard.isOwn(address, port: port) else { return loop() }
        return assemble(
            [Candidate(name: Array("\(address)".utf8), isNamed: false, addresses: [address], dane: .absent)],
            isProven: false, skipped: [])
    }

    /// `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
    // RFC 5321 §4.1.3
    static func literalAddress(_ literal: [UInt8]) -> IPAddress? {
        guard literal.count > 2, literal.first == ASCII.leftBracket, literal.last == ASCII.rightBracket else {
            return nil
        }
        let inner = Array(literal[1..<(literal.count - 1)])
        let tag = Array("ipv6:".utf8)
        let isTagged = ASCII.lowercased(Array(inner.prefix(tag.count))) == tag
        let text = isTagged ? Array(inner[tag.count...]) : inner
        guard isTagged == text.contains(ASCII.colon) else { return nil }
        return Self.address(of: text)
    }

    static func address(of text: [UInt8]) -> IPAddress? {
        IPAddress.parse(text).flatMap { IPAddress(bytes: $0) }
    }

    // MARK: Configured hosts

    private func routed(_ facts: Facts, _ route: DeliveryRoute) throws(Missing) -> DeliveryPlanVerdict {
        if let address = Self.address(of: route.host) {
            guard !isOwnListener(address) else { return loop(isRoute: true) }
            return assemble(
                [Candidate(name: route.host, isNamed: false, addresses: [address], dane: .absent)], isProven: true,
                skipped: [])
        }
        guard let name = DNSName(dotted: route.host), name.isHostName else {
            return .failed(.temporary, .local, 4, 3, 5, "the route leads to what is no host name")
        }
        let host = HostFacts(name: name, port: port)
        let known: [IPAddress]
        let isSecure: Bool
        switch try host.addresses(facts, rules) {
        case .known(let addresses, let secure): (known, isSecure) = (addresses, secure)
        // The domain is not to blame for a route that leads nowhere: nothing bounces for it.
        case .absent: return .failed(.temporary, .dns, 4, 4, 4, "the route's host has no address")
        case .unknown(_, let detail): return .failed(.temporary, .dns, 4, 4, 3, detail)
        }
        let addresses = known.filter { !isOwnListener($0) }
        guard !addresses.isEmpty else { return loop(isRoute: true) }
        let isPublic = !route.isLMTP && route.tls != .off
        let dane =
            isPublic ? try host.dane(facts, isSecure: isSecure, provenFrom: [name.lowercasedText]) : .absent
        return assemble(
            [Candidate(name: name.lowercasedText, isNamed: true, addresses: addresses, dane: dane)], isProven: true,
            skipped: [])
    }

    /// A back-end may well live on this machine, only not on our own port.
    private func isOwnListener(_ address: IPAddress) -> Bool {
        var listeners = rules.loopGuard
        listeners.addresses = []
        return listeners.isOwn(address, port: port)
    }

    // MARK: Mail exchangers

    private func exchanged(_ facts: Facts) throws(Missing) -> DeliveryPlanVerdict {
        guard let domain = DNSName(dotted: destination), !domain.isRoot else {
            return .failed(.permanent, .dns, 5, 1, 2, "not a domain name")
        }
        let answer = try facts.need(domain, .mx)
        guard !answer.isTemporary else { return noAnswer(answer, domain) }
        // RFC 5321 §5.1: a domain that does not exist has no implicit MX.
        if answer.status == .nxDomain { return .failed(.permanent, .dns, 5, 1, 2, "the domain does not exist") }
        let exchangers = Exchangers(answer, domain)
        if exchangers.isNull {
            // RFC 7505 §3 and §4.2
            return .failed(.permanent, .dns, 5, 1, 10, "the domain takes no mail (null MX)")
        }
        guard !exchangers.list.isEmpty else {
            return .failed(.permanent, .dns, 5, 4, 4, "no MX record of the domain names a host")
        }
        return try hosts(facts, exchangers)
    }

    // RFC 5321 §5.1: a temporary failure is no licence to guess at an address.
    private func noAnswer(_ answer: DNSAnswer, _ domain: DNSName) -> DeliveryPlanVerdict {
        let detail = HostFacts.problem(answer, "MX records of", domain)
        var verdict = DeliveryPlanVerdict.failed(.temporary, .dns, 4, 4, 3, detail)
        if answer.security == .bogus {
            verdict.policyProblem = TLSPolicyProblem(
                result: .dnssecInvalid, detail: detail, policy: TLSPolicyFact(type: .tlsa, domain: destination))
        }
        return verdict
    }

    private func hosts(_ facts: Facts, _ exchangers: Exchangers) throws(Missing) -> DeliveryPlanVerdict {
        var all = HostOrder.sorted(exchangers.list, by: \.preference, seed: seed)
        // RFC 5321 §5.1: ours and all that are no better are left out.
        if let own = all.first(where: { rules.loopGuard.isOwn($0.name) }) {
            all.removeAll { $0.preference >= own.preference }
            guard !all.isEmpty else { return loop() }
        }
        var candidates: [Candidate] = []
        var skipped: [SkippedHost] = []
        var ownPreference: UInt16?
        var missing = Missing([DNSQuestion]())
        for exchanger in all.prefix(rules.hostsMax) {
            do throws(Missing) {
                switch try examine(facts, exchanger, exchangers) {
                case .candidate(let candidate): candidates.append(candidate)
                case .skipped(let host): skipped.append(host)
                case .own: ownPreference = min(ownPreference ?? .max, exchanger.preference)
                }
            } catch {
                missing.merge(error)
            }
        }
        guard missing.keys.isEmpty else { throw missing }
        if let ownPreference {
            candidates.removeAll { $0.preference >= ownPreference }
            skipped.removeAll { $0.preference >= ownPreference }
            if candidates.isEmpty, skipped.isEmpty { return loop() }
        }
        return assemble(candidates, isProven: exchangers.isSecure, skipped: skipped)
    }

    private enum Examined {
        case candidate(Candidate)
        case skipped(SkippedHost)
        case own
    }

    private func examine(
        _ facts: Facts, _ exchanger: Exchangers.Host, _ exchangers: Exchangers
    ) throws(Missing) -> Examined {
        let name = exchanger.name
        if !exchangers.isSecure, demand != .bestEffort, stsFinding(name) == .mismatch(isEnforced: true) {
            // No DANE can save it, so nothing more is asked about a host that the policy does not know.
            return .candidate(
                Candidate(
                    name: name, preference: exchanger.preference, isNamed: true, addresses: [], dane: .absent))
        }
        let host = HostFacts(name: exchanger.domainName, port: port)
        switch try host.addresses(facts, rules) {
        case .absent:
            let isOnly = exchangers.isImplicit
            return .skipped(
                SkippedHost(
                    name: name, preference: exchanger.preference,
                    failure: DeliveryFailure(
                        .permanent, .dns, isOnly ? EnhancedStatus(5, 1, 2) : EnhancedStatus(5, 4, 4),
                        text: Array(
                            (isOnly ? "the domain has neither MX nor address" : "the host has no address").utf8),
                        host: name)))
        case .unknown(let isBogus, let detail):
            return .skipped(
                SkippedHost(
                    name: name, preference: exchanger.preference,
                    failure: DeliveryFailure(
                        .temporary, .dns, EnhancedStatus(4, 4, 3), text: detail, host: name),
                    result: isBogus ? .dnssecInvalid : nil,
                    policies: isBogus ? [TLSPolicyFact(type: .tlsa, domain: name)] : []))
        case .known(let addresses, let isSecure):
            if addresses.contains(where: { rules.loopGuard.isOwn($0, port: port) }) { return .own }
            let dane = try host.dane(
                facts, isSecure: isSecure, provenFrom: exchangers.isSecure ? exchangers.names : [])
            return .candidate(
                Candidate(
                    name: name, preference: exchanger.preference, isNamed: true, addresses: addresses, dane: dane))
        }
    }

    // MARK: Security, and the sum of it

    /// A host that could be connected to.
    private struct Candidate {
        var name: [UInt8]
        var preference: UInt16 = 0
        var isNamed: Bool
        var addresses: [IPAddress]
        var dane: DANEAnswer
    }

    private var isBackEnd: Bool { route.map { $0.isLMTP && !$0.host.isEmpty } ?? false }

    private var port: UInt16 {
        guard let route, route.port != 0 else { return rules.port }
        return route.port
    }

    private func assemble(
        _ candidates: [Candidate], isProven: Bool, skipped: [SkippedHost]
    ) -> DeliveryPlanVerdict {
        var hosts: [PlannedHost] = []
        var skipped = skipped
        for candidate in candidates {
            switch decide(candidate, isProven: isProven) {
            case .use(let security, let tested): hosts.append(planned(candidate, security, tested))
            case .skip(let refusal):
                skipped.append(
                    SkippedHost(
                        name: candidate.name, preference: candidate.preference,
                        failure: DeliveryFailure(
                            refusal.permanence, .tls, refusal.status, text: refusal.detail, host: candidate.name),
                        result: refusal.result, policies: policies(candidate, refusal.result)))
            }
        }
        guard hosts.isEmpty else { return DeliveryPlanVerdict(outcome: .hosts(hosts), skipped: skipped) }
        return DeliveryPlanVerdict(outcome: .failed(Self.summary(skipped)), skipped: skipped)
    }

    private func decide(_ candidate: Candidate, isProven: Bool) -> TLSPolicy.Decision {
        // Back-ends are ours: what is published, and what a message asks of the Internet, does not concern them.
        let sts = candidate.isNamed && !isBackEnd ? stsFinding(candidate.name) : .absent
        var floor = route?.tls ?? .opportunistic
        // A password is not sent in the clear unless the route says that there is no TLS.
        if route?.credentials != nil, floor == .opportunistic { floor = .required }
        let isMatched = if case .matches = sts { true } else { false }
        return TLSPolicy.combine(
            TLSPolicy.Inputs(
                dane: candidate.dane.finding, sts: sts, floor: floor, demand: isBackEnd ? .ordinary : demand,
                isHostProven: isProven || isMatched, host: candidate.isNamed ? candidate.name : []))
    }

    private func planned(
        _ candidate: Candidate, _ security: HostSecurity, _ tested: HostSecurity?
    ) -> PlannedHost {
        var serverName = candidate.isNamed ? candidate.name : []
        // RFC 7672 §8.1: with DANE the server is asked by the TLSA base domain.
        if !candidate.dane.base.isEmpty { serverName = candidate.dane.base }
        var host = PlannedHost(
            name: candidate.name, preference: candidate.preference,
            addresses: HostOrder.interleaved(candidate.addresses, max: rules.addressesMax, seed: seed), port: port,
            security: security, serverName: serverName, policies: policies(candidate, nil))
        host.tested = tested
        if let route, !route.host.isEmpty {
            host.isLMTP = route.isLMTP
            host.credentials = route.credentials
            // RFC 8314 §3.3
            host.isImplicitTLS = !route.isLMTP && port == 465 && route.tls != .off
        }
        return host
    }

    private func stsFinding(_ host: [UInt8]) -> TLSPolicy.STSFinding {
        guard case .policy(let policy, _) = sts, policy.mode != .absent else { return .absent }
        let isEnforced = policy.mode == .enforce
        return policy.matches(host) ? .matches(isEnforced: isEnforced) : .mismatch(isEnforced: isEnforced)
    }

    private var stsFact: TLSPolicyFact? {
        guard case .policy(let policy, _) = sts, policy.mode != .absent else { return nil }
        return TLSPolicyFact(
            type: .sts, domain: Self.policyDomain(destination, rules) ?? destination, strings: policy.lines,
            mxHosts: policy.patterns)
    }

    private var stsProblem: TLSPolicyProblem? {
        guard case .fetchFailed(let result, let detail) = sts else { return nil }
        return TLSPolicyProblem(
            result: result, detail: detail,
            policy: TLSPolicyFact(type: .sts, domain: Self.policyDomain(destination, rules) ?? destination))
    }

    /// Under which policies a session with this host counts.
    private func policies(_ candidate: Candidate, _ refused: TLSResultType?) -> [TLSPolicyFact] {
        var facts: [TLSPolicyFact] = []
        if let fact = candidate.dane.policyFact {
            facts.append(fact)
        } else if refused == .dnssecInvalid {
            facts.append(TLSPolicyFact(type: .tlsa, domain: candidate.name))
        }
        if candidate.isNamed, !isBackEnd, let fact = stsFact { facts.append(fact) }
        if facts.isEmpty { facts.append(TLSPolicyFact(type: .noPolicyFound, domain: destination)) }
        return facts
    }

    private func loop(isRoute: Bool = false) -> DeliveryPlanVerdict {
        isRoute
            ? .failed(.temporary, .local, 4, 4, 6, "the route leads back to this server")
            : .failed(.permanent, .local, 5, 4, 6, "mail for the domain would come back to this server")
    }

    /// Why no host is left: temporary when one of the causes is.
    private static func summary(_ skipped: [SkippedHost]) -> DeliveryFailure {
        let temporary = skipped.filter { $0.failure.permanence == .temporary }
        // A cause in transport security says more than one of DNS.
        let decisive =
            temporary.first { $0.failure.source == .tls } ?? temporary.first ?? skipped.first {
                $0.failure.source == .tls
            }
            ?? skipped.first
        guard var failure = decisive?.failure else {
            return DeliveryFailure(.temporary, .dns, EnhancedStatus(4, 4, 4), text: Array("no host".utf8))
        }
        guard skipped.count > 1 else { return failure }
        var text: [UInt8] = []
        for host in skipped {
            if !text.isEmpty { text.append(ASCII.lf) }
            text += host.name + [ASCII.colon, ASCII.space] + host.failure.text
        }
        failure.text = Array(text.prefix(DeliveryFailure.textMax))
        failure.host = []
        return failure
    }

    /// All facts were asked for this plan, so the least of their TTLs is its own.
    private func ttl(_ verdict: DeliveryPlanVerdict, _ facts: Facts) -> UInt32 {
        if case .failed(let failure) = verdict.outcome, failure.permanence == .temporary { return 0 }
        var ttl = Self.ttlMax
        if verdict.skipped.contains(where: { $0.failure.permanence == .temporary }) { ttl = Self.ttlMaxAfterFailure }
        for question in facts.questions {
            guard let answer = facts.known(question) else { continue }
            ttl = min(ttl, answer.isTemporary ? Self.ttlMaxAfterFailure : answer.ttl)
        }
        return ttl
    }
}

extension DeliveryPlanVerdict {
    static func failed(
        _ permanence: DeliveryFailure.Permanence, _ source: DeliveryFailure.Source, _ category: UInt8,
        _ subject: UInt16, _ detail: UInt16, _ text: StaticString
    ) -> DeliveryPlanVerdict {
        var bytes: [UInt8] = []
        bytes.append(ascii: text)
        return failed(permanence, source, category, subject, detail, bytes)
    }

    static func failed(
        _ permanence: DeliveryFailure.Permanence, _ source: DeliveryFailure.Source, _ category: UInt8,
        _ subject: UInt16, _ detail: UInt16, _ text: [UInt8]
    ) -> DeliveryPlanVerdict {
        DeliveryPlanVerdict(
            outcome: .failed(DeliveryFailure(permanence, source, EnhancedStatus(category, subject, detail), text: text))
        )
    }
}
