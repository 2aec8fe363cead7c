import Base
package import Protocols

/// The one place where what a domain publishes, what this server's routes say and what the message asks come together.
package enum TLSPolicy {
    /// What DANE says of one host.
    package enum DANEFinding: Sendable, Hashable {
        /// Not signed, or no records, proven.
        case absent
        /// Records, none of use.
        case unusable
        case usable([TLSAData], names: [[UInt8]])
        /// A question on the way to the records had no answer that can be believed.
        case failed(detail: [UInt8])
    }

    /// What the domain's MTA-STS policy says of one host.
    package enum STSFinding: Sendable, Hashable {
        case absent
        case matches(isEnforced: Bool)
        case mismatch(isEnforced: Bool)
    }

    package struct Inputs: Sendable, Hashable {
        package var dane: DANEFinding
        package var sts: STSFinding
        /// What our own route asks at least.
        package var floor: DeliveryRoute.TLSMode
        package var demand: DeliveryPlan.Demand
        /// The host is the right one: DNSSEC, the domain's MTA-STS policy or our configuration says so.
        package var isHostProven: Bool
        /// The name to verify; empty: there is only an address.
        package var host: [UInt8]

        package init(
            dane: DANEFinding, sts: STSFinding, floor: DeliveryRoute.TLSMode, demand: DeliveryPlan.Demand,
            isHostProven: Bool, host: [UInt8]
        ) {
            self.dane = dane
            self.sts = sts
            self.floor = floor
            self.demand = demand
            self.isHostProven = isHostProven
            self.host = host
        }
    }

    package enum Decision: Sendable, Hashable {
        /// `tested`: what is not enforced and yet reported; `webPKI` without names fails for any certificate
        /// (the host is not in the policy).
        case use(HostSecurity, tested: HostSecurity?)
        case skip(Refusal)
    }

    /// Why a host gets no mail although it could be connected to.
    package struct Refusal: Sendable, Hashable {
        package var permanence: DeliveryFailure.Permanence
        package var status: EnhancedStatus
        /// nil: our side's rule and nothing the domain published.
        package var result: TLSResultType?
        package var detail: [UInt8]
    }

    /// DANE before MTA-STS before our own rules; what is asked for by several is asked for once, at its strictest.
    package static func combine(_ inputs: Inputs) -> Decision {
        let published = published(inputs)
        let own = own(inputs)
        guard inputs.demand != .bestEffort else {
            // RFC 8460 §3 and RFC 8689 §4.2.2: tried as published, and delivered whatever comes of it.
            return lenient(published, own)
        }
        if case .skip = published { return published }
        if case .skip = own { return own }
        guard case .use(let theirs, let tested) = published, case .use(let ours, _) = own else { return published }
        let security = stricter(theirs, ours)
        return .use(security, tested: security.isVerified ? unmetTest(tested) : tested)
    }

    /// What the recipient's domain asks for.
    private static func published(_ inputs: Inputs) -> Decision {
        switch inputs.dane {
        case .failed(let detail):
            // RFC 7672 §2.1.2: such a server is as good as unreachable.
            return .skip(
                Refusal(
                    permanence: .temporary, status: EnhancedStatus(4, 7, 5), result: .dnssecInvalid, detail: detail))
        case .usable(let records, let names):
            // RFC 8461 §2: MTA-STS never overrides DANE.
            return .use(.dane(records: records, names: names), tested: nil)
        case .unusable, .absent:
            break
        }
        // RFC 7672 §2.2: records that are all unusable promise TLS nevertheless.
        let base: HostSecurity = inputs.dane == .unusable ? .encrypted : .opportunistic
        switch inputs.sts {
        case .absent: return .use(base, tested: nil)
        case .matches(isEnforced: true): return .use(.webPKI(names: [inputs.host]), tested: nil)
        case .matches(isEnforced: false): return .use(base, tested: .webPKI(names: [inputs.host]))
        case .mismatch(isEnforced: false): return .use(base, tested: .webPKI(names: []))
        case .mismatch(isEnforced: true):
            // RFC 8461 §5: no mail to hosts that fail MX matching.
            return .skip(
                Refusal(
                    permanence: .temporary, status: EnhancedStatus(4, 7, 5), result: .validationFailure,
                    detail: notInPolicy))
        }
    }

    static let notInPolicy = Array("the host is not in the domain's MTA-STS policy".utf8)

    /// What the route and the message ask for.
    private static func own(_ inputs: Inputs) -> Decision {
        var security: HostSecurity
        switch inputs.floor {
        case .off: security = .plain
        case .opportunistic: security = .opportunistic
        case .required: security = .encrypted
        case .verified:
            guard !inputs.host.isEmpty else {
                return refusal(.temporary, 4, "a host without a name cannot be verified, as the route asks")
            }
            security = .webPKI(names: [inputs.host])
        }
        guard inputs.demand == .verifiedTLS else { return .use(security, tested: nil) }
        // RFC 8689 §4.2.1
        guard inputs.isHostProven, !inputs.host.isEmpty else {
            return refusal(
                .permanent, 5, "REQUIRETLS: neither DNSSEC nor an MTA-STS policy proves that this is the right host")
        }
        security = .webPKI(names: [inputs.host])
        return .use(security, tested: nil)
    }

    private static func refusal(
        _ permanence: DeliveryFailure.Permanence, _ category: UInt8, _ detail: StaticString
    ) -> Decision {
        var text: [UInt8] = []
        text.append(ascii: detail)
        // RFC 5248 and RFC 8689 §4.2.1: x.7.10, encryption needed.
        return .skip(
            Refusal(permanence: permanence, status: EnhancedStatus(category, 7, 10), result: nil, detail: text))
    }

    /// Our own rule stands; the domain's is only tested.
    private static func lenient(_ published: Decision, _ own: Decision) -> Decision {
        guard case .use(let ours, _) = own else { return own }
        guard case .use(let theirs, let tested) = published else { return .use(ours, tested: nil) }
        return .use(ours, tested: theirs.allowsPlaintext ? tested : theirs)
    }

    /// Both conditions: DANE proves more than names do, any TLS more than none.
    private static func stricter(_ a: HostSecurity, _ b: HostSecurity) -> HostSecurity {
        // A route that wants no TLS is heard where the domain promises none.
        if b == .plain { return a == .opportunistic ? .plain : a }
        return rank(a) >= rank(b) ? a : b
    }

    private static func rank(_ security: HostSecurity) -> Int {
        switch security {
        case .plain: 0
        case .opportunistic: 1
        case .encrypted: 2
        case .webPKI: 3
        case .dane: 4
        }
    }

    /// A test that the enforced verification makes superfluous is dropped.
    private static func unmetTest(_ tested: HostSecurity?) -> HostSecurity? {
        tested == .webPKI(names: []) ? tested : nil
    }
}

extension HostSecurity {
    /// Whether the certificate proves who the host is.
    package var isVerified: Bool {
        switch self {
        case .plain, .opportunistic, .encrypted: false
        case .webPKI, .dane: true
        }
    }
}
