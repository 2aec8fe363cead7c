import Base
import Delivery
import MailAuth
import Protocols
import Testing

/// `TLSPolicy.combine`, every row: DANE finding × MTA-STS finding × route × demand, and plans under MTA-STS.
@Suite struct TLSPolicyTests {
    private static let host = "mx.x.example".octets
    private static let records = [
        TLSAData(usage: 3, selector: 1, matchingType: 1, data: [UInt8](repeating: 1, count: 32))
    ]
    private static let dane = HostSecurity.dane(records: records, names: [host])
    private static let pki = HostSecurity.webPKI(names: [host])

    static let danes: [(String, TLSPolicy.DANEFinding)] = [
        ("none", .absent), ("unusable", .unusable), ("usable", .usable(records, names: [host])),
        ("failed", .failed(detail: [])),
    ]
    static let stses: [(String, TLSPolicy.STSFinding)] = [
        ("none", .absent), ("enforce", .matches(isEnforced: true)), ("testing", .matches(isEnforced: false)),
        ("enforce-other", .mismatch(isEnforced: true)), ("testing-other", .mismatch(isEnforced: false)),
    ]

    /// DANE, MTA-STS, then what is asked with a route of none, opportunistic, required, verified; then under REQUIRETLS
    /// at a proven host. P plain, O opportunistic, E encrypted, W web PKI, D DANE; small letters: tested against
    /// w the host, x a policy without it; - skipped for the domain's sake, ! for ours.
    static let table = """
        none      none           P  O  E  W   W
        none      enforce        W  W  W  W   W
        none      testing        Pw Ow Ew W   W
        none      enforce-other  -  -  -  -   -
        none      testing-other  Px Ox Ex Wx  Wx
        unusable  none           E  E  E  W   W
        unusable  enforce        W  W  W  W   W
        unusable  testing        Ew Ew Ew W   W
        unusable  enforce-other  -  -  -  -   -
        unusable  testing-other  Ex Ex Ex Wx  Wx
        usable    none           D  D  D  D   D
        usable    enforce        D  D  D  D   D
        usable    testing        D  D  D  D   D
        usable    enforce-other  D  D  D  D   D
        usable    testing-other  D  D  D  D   D
        failed    none           -  -  -  -   -
        failed    enforce        -  -  -  -   -
        failed    testing        -  -  -  -   -
        failed    enforce-other  -  -  -  -   -
        failed    testing-other  -  -  -  -   -
        """

    private func letters(_ decision: TLSPolicy.Decision) -> String {
        switch decision {
        case .skip(let refusal): return refusal.result == nil ? "!" : "-"
        case .use(let security, let tested):
            let first =
                switch security {
                case .plain: "P"
                case .opportunistic: "O"
                case .encrypted: "E"
                case .webPKI(let names): names == [Self.host] ? "W" : "?"
                case .dane: security == Self.dane ? "D" : "?"
                }
            let second =
                switch tested {
                case nil: ""
                case .webPKI(let names): names.isEmpty ? "x" : names == [Self.host] ? "w" : "?"
                case .dane: "d"
                case .plain, .opportunistic, .encrypted: "e"
                }
            return first + second
        }
    }

    private func combine(
        _ dane: TLSPolicy.DANEFinding, _ sts: TLSPolicy.STSFinding, _ floor: DeliveryRoute.TLSMode,
        _ demand: DeliveryPlan.Demand = .ordinary, isProven: Bool = true, host: [UInt8] = host
    ) -> String {
        letters(
            TLSPolicy.combine(
                TLSPolicy.Inputs(
                    dane: dane, sts: sts, floor: floor, demand: demand, isHostProven: isProven, host: host)))
    }

    @Test func everyRow() throws {
        let rows = Self.table.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        #expect(rows.count == Self.danes.count * Self.stses.count)
        for row in rows {
            let dane = try #require(Self.danes.first { $0.0 == row[0] }).1
            let sts = try #require(Self.stses.first { $0.0 == row[1] }).1
            for (i, floor) in DeliveryRoute.TLSMode.allCases.enumerated() {
                #expect(combine(dane, sts, floor) == row[2 + i], "\(row[0]) \(row[1]) \(floor)")
                #expect(combine(dane, sts, floor, .verifiedTLS) == row[6], "\(row[0]) \(row[1]) \(floor) REQUIRETLS")
            }
        }
    }

    @Test func nothingPublishedStopsBestEffort() {
        for (_, dane) in Self.danes {
            for (_, sts) in Self.stses {
                #expect(combine(dane, sts, .opportunistic, .bestEffort).first == "O")
                #expect(combine(dane, sts, .required, .bestEffort).first == "E")
            }
        }
        #expect(combine(.usable(Self.records, names: [Self.host]), .absent, .opportunistic, .bestEffort) == "Od")
        #expect(combine(.absent, .matches(isEnforced: true), .opportunistic, .bestEffort) == "Ow")
    }

    @Test func nothingIsEverLessThanDANEAsksFor() {
        for (_, sts) in Self.stses {
            for floor in DeliveryRoute.TLSMode.allCases {
                for demand in [DeliveryPlan.Demand.ordinary, .verifiedTLS] {
                    #expect(combine(.usable(Self.records, names: [Self.host]), sts, floor, demand) == "D")
                    #expect(combine(.failed(detail: []), sts, floor, demand) == "-")
                    #expect(!["P", "O"].contains(combine(.unusable, sts, floor, demand).first.map(String.init)))
                }
            }
        }
    }

    @Test func requireTLSWantsAProvenHost() {
        #expect(combine(.absent, .absent, .opportunistic, .verifiedTLS, isProven: false) == "!")
        #expect(combine(.absent, .absent, .opportunistic, .verifiedTLS, host: []) == "!")
        #expect(combine(.absent, .absent, .verified, host: []) == "!")
    }

    // MARK: Plans under MTA-STS

    private static let zone = PlanZone(
        """
        x.example MX insecure 10 mx.x.example
        x.example MX insecure 20 a.mail.x.example
        x.example MX insecure 30 other.y.example
        mx.x.example A insecure 192.0.2.1
        a.mail.x.example A insecure 192.0.2.2
        other.y.example A insecure 192.0.2.3
        """)

    @Test func enforceLeavesOnlyHostsOfThePolicy() throws {
        let run = Self.zone.plan(
            "x.example", sts: MTASTSPolicy.sample(.enforce, ["mx.x.example", "*.mail.x.example"]))
        #expect(run.names == ["mx.x.example", "a.mail.x.example"])
        #expect(run.hosts.map(\.security) == [Self.pki, .webPKI(names: ["a.mail.x.example".octets])])
        let skipped = try #require(run.verdict.skipped.first)
        #expect(skipped.name == "other.y.example".octets)
        #expect(skipped.result == .validationFailure)
        #expect(skipped.failure.permanence == .temporary)
        #expect(skipped.policies.map(\.type) == [.sts])
        #expect(!run.asked("other.y.example", .a), "nothing is asked about a host that cannot be used")
        let fact = try #require(run.hosts.first?.policies.first)
        #expect(fact.type == .sts)
        #expect(fact.domain == "x.example".octets)
        #expect(fact.mxHosts.count == 2)
        #expect(fact.strings.first == "version: STSv1".octets)
    }

    @Test func enforceWithoutAnyHostWaits() {
        let run = Self.zone.plan("x.example", sts: MTASTSPolicy.sample(.enforce, ["nobody.example"]))
        #expect(run.failure?.permanence == .temporary)
        #expect(run.failure?.status == EnhancedStatus(4, 7, 5))
        #expect(run.verdict.skipped.count == 3)
    }

    @Test func testingDeliversAndReports() {
        let run = Self.zone.plan("x.example", sts: MTASTSPolicy.sample(.testing, ["mx.x.example"]))
        #expect(run.hosts.map(\.security) == [.opportunistic, .opportunistic, .opportunistic])
        #expect(run.hosts.map(\.tested) == [Self.pki, .webPKI(names: []), .webPKI(names: [])])
    }

    @Test func noneIsNoPolicy() {
        let run = Self.zone.plan("x.example", sts: MTASTSPolicy.sample(.absent, ["mx.x.example"]))
        #expect(run.hosts.map(\.security) == [.opportunistic, .opportunistic, .opportunistic])
        #expect(run.hosts.first?.policies.map(\.type) == [.noPolicyFound])
    }

    @Test func aPolicyThatCouldNotBeHadIsReported() {
        let run = Self.zone.plan(
            "x.example", sts: .fetchFailed(.stsWebPKIInvalid, detail: "expired".octets))
        #expect(run.names.count == 3)
        #expect(run.verdict.policyProblem?.result == .stsWebPKIInvalid)
        #expect(run.verdict.policyProblem?.policy.domain == "x.example".octets)
    }

    @Test func dANEGoesBeforeMTASTS() {
        let zone = PlanZone(
            """
            x.example MX secure 10 mx.x.example
            mx.x.example A secure 192.0.2.1
            _25._tcp.mx.x.example TLSA secure 3 1 1 32
            """)
        let run = zone.plan("x.example", sts: MTASTSPolicy.sample(.enforce, ["nobody.example"]))
        #expect(run.hosts.first?.policies.map(\.type) == [.tlsa, .sts])
        if case .dane = run.hosts.first?.security {} else { Issue.record("not DANE") }
    }

    @Test func requireTLSByMTASTSOrDNSSEC() {
        let plain = Self.zone.plan("x.example", demand: .verifiedTLS)
        #expect(plain.failure?.permanence == .permanent)
        #expect(plain.failure?.status == EnhancedStatus(5, 7, 10))
        let sts = Self.zone.plan(
            "x.example", sts: MTASTSPolicy.sample(.testing, ["mx.x.example"]), demand: .verifiedTLS)
        #expect(sts.names == ["mx.x.example"])
        #expect(sts.hosts.map(\.security) == [Self.pki])
        let signed = PlanZone(
            "x.example MX secure 10 mx.x.example\nmx.x.example A secure 192.0.2.1\n_25._tcp.mx.x.example TLSA secure-nodata"
        ).plan("x.example", demand: .verifiedTLS)
        #expect(signed.hosts.map(\.security) == [Self.pki])
    }
}
