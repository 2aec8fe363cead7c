import Base
import Delivery
import MailAuth
import Protocols
import Testing

/// The matrix of RFC 7672: each row a zone, and what the only host `mx.x.example` must show, or why it gets no mail.
@Suite struct DANEPlanTests {
    enum Expected: Sendable, Equatable {
        case opportunistic
        case encrypted
        /// Usages of the records, names for usage 2.
        case dane([UInt8], names: [String])
        /// Skipped, and mail waits.
        case dnssecInvalid
        /// Nothing about transport security: no host.
        case waits
    }

    struct Row: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let zone: String
        let expected: Expected
        var notAsked: [(String, DNSRecordType)] = []

        init(_ name: String, _ zone: String, _ expected: Expected, notAsked: [(String, DNSRecordType)] = []) {
            testDescription = name
            self.zone = zone
            self.expected = expected
            self.notAsked = notAsked
        }
    }

    private static let secure = "x.example MX secure 10 mx.x.example\nmx.x.example A secure 192.0.2.1\n"
    private static let tlsa = "_25._tcp.mx.x.example TLSA"
    private static let names = ["mx.x.example", "x.example"]

    static let rows: [Row] = [
        Row("3 1 1", secure + "\(tlsa) secure 3 1 1 32", .dane([3], names: names)),
        Row("2 0 1", secure + "\(tlsa) secure 2 0 1 32", .dane([2], names: names)),
        Row(
            "unusable ones beside a usable one are left out",
            secure + "\(tlsa) secure 1 1 1 32\n\(tlsa) secure 3 1 1 32\n\(tlsa) secure 3 1 9 32",
            .dane([3], names: names)),
        Row("PKIX-EE is unusable", secure + "\(tlsa) secure 1 1 1 32", .encrypted),
        Row("PKIX-TA is unusable", secure + "\(tlsa) secure 0 0 1 32", .encrypted),
        Row("an unknown selector is unusable", secure + "\(tlsa) secure 3 2 1 32", .encrypted),
        Row("a digest of the wrong length is unusable", secure + "\(tlsa) secure 3 1 1 31", .encrypted),
        Row("no records, proven", secure + "\(tlsa) secure-nxdomain", .opportunistic),
        Row("no data, proven", secure + "\(tlsa) secure-nodata", .opportunistic),
        Row("records that are not signed", secure + "\(tlsa) insecure 3 1 1 32", .opportunistic),
        Row("bogus records", secure + "\(tlsa) bogus", .dnssecInvalid),
        Row("SERVFAIL", secure + "\(tlsa) servfail", .dnssecInvalid),
        Row("timeout", secure + "\(tlsa) timeout", .dnssecInvalid),
        Row("refused", secure + "\(tlsa) refused", .dnssecInvalid),
        Row(
            "the MX set is not signed",
            "x.example MX insecure 10 mx.x.example\nmx.x.example A secure 192.0.2.1\n\(tlsa) secure 3 1 1 32",
            .opportunistic, notAsked: [("_25._tcp.mx.x.example", .tlsa)]),
        Row("the MX set is bogus", "x.example MX bogus\nx.example A secure 192.0.2.1", .waits),
        Row(
            "the address is not signed: no question that such servers choke on",
            "x.example MX secure 10 mx.x.example\nmx.x.example A insecure 192.0.2.1\n\(tlsa) servfail",
            .opportunistic, notAsked: [("_25._tcp.mx.x.example", .tlsa), ("mx.x.example", .cname)]),
        Row(
            "the address is bogus",
            "x.example MX secure 10 mx.x.example\nmx.x.example A bogus\n\(tlsa) secure 3 1 1 32",
            .dnssecInvalid),
        Row(
            "one family is not signed",
            "x.example MX secure 10 mx.x.example\nmx.x.example A secure 192.0.2.1\nmx.x.example AAAA insecure 2001:db8::1\n"
                + "\(tlsa) secure 3 1 1 32", .opportunistic),
        Row(
            "one family does not exist, unsigned",
            "x.example MX secure 10 mx.x.example\nmx.x.example A secure 192.0.2.1\nmx.x.example AAAA nodata\n"
                + "\(tlsa) secure 3 1 1 32", .dane([3], names: names)),
        Row(
            "a signed alias: records at its end",
            "x.example MX secure 10 mx.x.example\nmx.x.example A secure >host.y.example 192.0.2.1\n"
                + "_25._tcp.host.y.example TLSA secure 3 1 1 32\n\(tlsa) secure 2 0 1 32",
            .dane([3], names: ["host.y.example", "x.example"]), notAsked: [("_25._tcp.mx.x.example", .tlsa)]),
        Row(
            "a signed alias: records at the alias",
            "x.example MX secure 10 mx.x.example\nmx.x.example A secure >host.y.example 192.0.2.1\n"
                + "_25._tcp.host.y.example TLSA secure-nxdomain\n\(tlsa) secure 2 0 1 32", .dane([2], names: names)),
        Row(
            "a signed alias: unsigned records at its end do not count",
            "x.example MX secure 10 mx.x.example\nmx.x.example A secure >host.y.example 192.0.2.1\n"
                + "_25._tcp.host.y.example TLSA insecure 3 1 1 32\n\(tlsa) secure 2 0 1 32", .dane([2], names: names)),
        Row(
            "a signed alias: no answer at its end is final",
            "x.example MX secure 10 mx.x.example\nmx.x.example A secure >host.y.example 192.0.2.1\n"
                + "_25._tcp.host.y.example TLSA servfail\n\(tlsa) secure 2 0 1 32", .dnssecInvalid),
        Row(
            "a signed alias into an unsigned zone",
            "x.example MX secure 10 mx.x.example\nmx.x.example A insecure >host.y.example 192.0.2.1\n"
                + "mx.x.example CNAME secure host.y.example\n\(tlsa) secure 3 1 1 32",
            .dane([3], names: names), notAsked: [("_25._tcp.host.y.example", .tlsa)]),
        Row(
            "an unsigned alias",
            "x.example MX secure 10 mx.x.example\nmx.x.example A insecure >host.y.example 192.0.2.1\n"
                + "mx.x.example CNAME insecure host.y.example\n\(tlsa) secure 3 1 1 32",
            .opportunistic, notAsked: [("_25._tcp.mx.x.example", .tlsa)]),
        Row(
            "an alias that cannot be judged",
            "x.example MX secure 10 mx.x.example\nmx.x.example A insecure >host.y.example 192.0.2.1\n"
                + "mx.x.example CNAME servfail\n\(tlsa) secure 3 1 1 32", .dnssecInvalid),
        Row(
            "records through an alias: the base stays",
            secure + "\(tlsa) secure >_25._tcp.shared.y.example 2 0 1 32", .dane([2], names: names)),
        Row(
            "the domain is an alias: both names are its own",
            "x.example MX secure >y.example 10 mx.x.example\nmx.x.example A secure 192.0.2.1\n\(tlsa) secure 2 1 2 64",
            .dane([2], names: names + ["y.example"])),
        Row(
            "implicit MX under the same rules",
            "x.example MX secure-nodata\nx.example A secure 192.0.2.1\n_25._tcp.x.example TLSA secure 3 1 1 32",
            .dane([3], names: ["x.example"])),
        Row(
            "implicit MX without proof",
            "x.example MX nodata\nx.example A secure 192.0.2.1\n_25._tcp.x.example TLSA secure 3 1 1 32",
            .opportunistic),
    ]

    @Test(arguments: rows)
    func matrix(row: Row) throws {
        let run = PlanZone(row.zone).plan("x.example")
        switch row.expected {
        case .opportunistic:
            #expect(run.hosts.map(\.security) == [.opportunistic])
            #expect(run.hosts.first?.policies.map(\.type) == [.noPolicyFound])
        case .encrypted:
            #expect(run.hosts.map(\.security) == [.encrypted])
            #expect(run.hosts.first?.policies.map(\.type) == [.tlsa])
        case .dane(let usages, let names):
            let host = try #require(run.hosts.first)
            guard case .dane(let records, let found) = host.security else {
                Issue.record("not DANE: \(host.security)")
                return
            }
            #expect(records.map(\.usage) == usages)
            #expect(found.map { String(decoding: $0, as: UTF8.self) } == names)
            #expect(host.serverName == names[0].octets, "SNI is the TLSA base domain")
            #expect(host.policies.map(\.type) == [.tlsa])
            #expect(host.policies.first?.domain == names[0].octets)
        case .dnssecInvalid:
            #expect(run.failure?.permanence == .temporary)
            #expect(run.verdict.skipped.map(\.result) == [.dnssecInvalid])
            #expect(run.verdict.skipped.first?.policies.map(\.type) == [.tlsa])
        case .waits:
            #expect(run.failure?.permanence == .temporary)
            #expect(run.verdict.policyProblem?.result == .dnssecInvalid)
        }
        for (name, type) in row.notAsked { #expect(!run.asked(name, type), "\(name) \(type) was asked for") }
    }

    @Test func aHostWithoutProofIsSkippedAndTheNextServes() {
        let run = PlanZone(
            """
            x.example MX secure 10 bad.x.example
            x.example MX secure 20 mx.x.example
            bad.x.example A secure 192.0.2.1
            _25._tcp.bad.x.example TLSA bogus
            mx.x.example A secure 192.0.2.2
            _25._tcp.mx.x.example TLSA secure 3 1 1 32
            """
        ).plan("x.example")
        #expect(run.names == ["mx.x.example"])
        #expect(run.verdict.skipped.map(\.result) == [.dnssecInvalid])
        #expect(run.verdict.skipped.first?.failure.status == EnhancedStatus(4, 7, 5))
    }

    @Test func aBetterHostWithoutRecordsGoesFirst() {
        let run = PlanZone(
            """
            x.example MX secure 10 a.x.example
            x.example MX secure 20 b.x.example
            a.x.example A secure 192.0.2.1
            _25._tcp.a.x.example TLSA secure-nodata
            b.x.example A secure 192.0.2.2
            _25._tcp.b.x.example TLSA secure 3 1 1 32
            """
        ).plan("x.example")
        #expect(run.names == ["a.x.example", "b.x.example"])
        #expect(run.hosts.map(\.security.isVerified) == [false, true])
    }

    @Test func theRecordsAreThoseOfThePort() {
        var rules = DeliveryRules()
        rules.port = 2525
        let run = PlanZone(Self.secure + "_2525._tcp.mx.x.example TLSA secure 3 1 1 32").plan("x.example", rules: rules)
        #expect(run.hosts.first?.security.isVerified == true)
        #expect(run.hosts.first?.port == 2525)
    }

    @Test func aSmarthostHasRecordsToo() {
        let rules = DeliveryRules(
            routes: RouteTable([DeliveryRoute(pattern: "*".octets, host: "relay.y.example".octets, port: 587)]))
        let zone = PlanZone(
            "relay.y.example A secure 192.0.2.1\n_587._tcp.relay.y.example TLSA secure 2 0 1 32")
        guard case .dane(_, let names) = zone.plan("x.example", rules: rules).hosts.first?.security else {
            Issue.record("not DANE")
            return
        }
        #expect(names == ["relay.y.example".octets])
    }

    @Test func reportsSayWhatWasPublished() {
        let run = PlanZone(Self.secure + "\(Self.tlsa) secure 3 1 1 32\n\(Self.tlsa) secure 1 1 1 2").plan("x.example")
        let strings = run.hosts.first?.policies.first?.strings.map { String(decoding: $0, as: UTF8.self) }
        #expect(strings == ["3 1 1 " + String(repeating: "AB", count: 32), "1 1 1 ABAB"])
    }

    @Test func reportsThemselvesGoOutWhateverHappens() {
        let bogus = PlanZone(Self.secure + "\(Self.tlsa) bogus").plan("x.example", demand: .bestEffort)
        #expect(bogus.hosts.map(\.security) == [.opportunistic])
        let usable = PlanZone(Self.secure + "\(Self.tlsa) secure 3 1 1 32").plan("x.example", demand: .bestEffort)
        #expect(usable.hosts.map(\.security) == [.opportunistic])
        #expect(usable.hosts.first?.tested?.isVerified == true)
    }
}
