import Base
import Delivery
import Protocols
import Testing

/// RFC 5321 §5.1, null MX, loops, literals and routes: everything of a plan but transport security.
@Suite struct RoutingTests {
    private struct Failing: CustomTestStringConvertible {
        var testDescription: String
        var zone: String
        var permanence: DeliveryFailure.Permanence
        var status: EnhancedStatus
    }

    private static let failing: [Failing] = [
        Failing(
            testDescription: "the domain does not exist", zone: "x.example MX nxdomain", permanence: .permanent,
            status: EnhancedStatus(5, 1, 2)),
        Failing(
            testDescription: "null MX", zone: "x.example MX insecure 0 .\nx.example A insecure 192.0.2.1",
            permanence: .permanent, status: EnhancedStatus(5, 1, 10)),
        Failing(
            testDescription: "neither MX nor address", zone: "x.example MX nodata\nx.example A nodata",
            permanence: .permanent, status: EnhancedStatus(5, 1, 2)),
        Failing(
            testDescription: "an MX without address", zone: "x.example MX insecure 10 mx.x.example",
            permanence: .permanent, status: EnhancedStatus(5, 4, 4)),
        Failing(
            testDescription: "MX of a host that does not answer",
            zone: "x.example MX insecure 10 mx.x.example\nmx.x.example A timeout\nmx.x.example AAAA nodata",
            permanence: .temporary, status: EnhancedStatus(4, 4, 3)),
        Failing(
            testDescription: "no answer for MX is no licence to use A",
            zone: "x.example MX timeout\nx.example A insecure 192.0.2.1", permanence: .temporary,
            status: EnhancedStatus(4, 4, 3)),
        Failing(
            testDescription: "nor is SERVFAIL", zone: "x.example MX servfail\nx.example A insecure 192.0.2.1",
            permanence: .temporary, status: EnhancedStatus(4, 4, 3)),
        Failing(
            testDescription: "nor is a bogus answer", zone: "x.example MX bogus\nx.example A insecure 192.0.2.1",
            permanence: .temporary, status: EnhancedStatus(4, 4, 3)),
        Failing(
            testDescription: "only names that are none", zone: "x.example MX insecure 10 a@b.x.example",
            permanence: .permanent, status: EnhancedStatus(5, 4, 4)),
    ]

    @Test(arguments: failing.indices)
    func failures(index: Int) {
        let row = Self.failing[index]
        let run = PlanZone(row.zone).plan("x.example")
        #expect(run.failure?.permanence == row.permanence, "\(row.testDescription)")
        #expect(run.failure?.status == row.status, "\(row.testDescription)")
        #expect(row.permanence == .permanent || run.verdict.ttlSeconds == 0)
    }

    @Test func nullMXAmongOthersIsIgnored() {
        let zone = PlanZone(
            "x.example MX insecure 0 .\nx.example MX insecure 10 mx.x.example\nmx.x.example A insecure 192.0.2.1")
        #expect(zone.plan("x.example").names == ["mx.x.example"])
    }

    @Test func implicitMX() {
        let run = PlanZone("x.example MX nodata\nx.example A insecure 192.0.2.1").plan("x.example")
        #expect(run.names == ["x.example"])
        #expect(run.hosts.first?.addresses == [IPAddress(v4: 192, 0, 2, 1)])
        #expect(run.hosts.first?.port == 25)
        #expect(run.hosts.first?.security == .opportunistic)
        #expect(run.hosts.first?.policies.map(\.type) == [.noPolicyFound])
    }

    @Test func preferenceThenChance() {
        let zone = PlanZone(
            """
            x.example MX insecure 20 b1.x.example
            x.example MX insecure 10 a1.x.example
            x.example MX insecure 10 a2.x.example
            x.example MX insecure 20 b2.x.example
            a1.x.example A insecure 192.0.2.1
            a2.x.example A insecure 192.0.2.2
            b1.x.example A insecure 192.0.2.3
            b2.x.example A insecure 192.0.2.4
            """)
        var orders: Set<[String]> = []
        for seed in 0..<64 {
            let run = zone.plan("x.example", seed: UInt64(seed))
            #expect(Set(run.names.prefix(2)) == ["a1.x.example", "a2.x.example"])
            #expect(Set(run.names.suffix(2)) == ["b1.x.example", "b2.x.example"])
            #expect(run.names == zone.plan("x.example", seed: UInt64(seed)).names, "the seed decides, nothing else")
            orders.insert(run.names)
        }
        #expect(orders.count == 4)
        // All hosts are asked for together.
        #expect(zone.plan("x.example").rounds == 2)
        let hosts = zone.plan("x.example").hosts
        let again = Set((0..<64).map { HostOrder.reshuffled(hosts, seed: $0).map(\.name) })
        #expect(again.count == 4)
    }

    @Test func theSameHostTwiceIsTriedOnceAtItsBest() {
        let zone = PlanZone(
            """
            x.example MX insecure 30 MX.x.example
            x.example MX insecure 10 mx.X.example
            x.example MX insecure 20 other.x.example
            mx.x.example A insecure 192.0.2.1
            other.x.example A insecure 192.0.2.2
            """)
        #expect(zone.plan("x.example").names == ["mx.x.example", "other.x.example"])
    }

    @Test func familiesTakeTurns() {
        let zone = PlanZone(
            """
            x.example MX insecure 10 mx.x.example
            mx.x.example A insecure 192.0.2.1
            mx.x.example A insecure 192.0.2.2
            mx.x.example A insecure 192.0.2.3
            mx.x.example AAAA insecure 2001:db8::1
            mx.x.example AAAA insecure 2001:db8::2
            """)
        let addresses = zone.plan("x.example").hosts.first?.addresses ?? []
        #expect(addresses.map(\.isIPv4) == [false, true, false, true, true])
        #expect(Set(addresses).count == 5)
        var rules = DeliveryRules()
        rules.addressesMax = 2
        #expect(zone.plan("x.example", rules: rules).hosts.first?.addresses.count == 2)
        rules.usesIPv6 = false
        let four = zone.plan("x.example", rules: rules)
        #expect(four.hosts.first?.addresses.allSatisfy(\.isIPv4) == true)
        #expect(!four.asked("mx.x.example", .aaaa))
    }

    @Test func oneFamilyThatDoesNotAnswerIsNoObstacle() {
        let zone = PlanZone(
            "x.example MX insecure 10 mx.x.example\nmx.x.example A insecure 192.0.2.1\nmx.x.example AAAA servfail")
        let run = zone.plan("x.example")
        #expect(run.names == ["mx.x.example"])
        #expect(run.verdict.ttlSeconds == 30)
    }

    @Test func hostsAreBounded() {
        var zone = ""
        for i in 0..<50 {
            zone += "x.example MX insecure \(i) h\(i).x.example\nh\(i).x.example A insecure 192.0.2.\(i)\n"
        }
        let run = PlanZone(zone).plan("x.example")
        #expect(run.names == (0..<10).map { "h\($0).x.example" })
        #expect(!run.asked("h10.x.example", .a))
    }

    @Test func aHostThatFailsIsRememberedAndTheOthersServe() {
        let zone = PlanZone(
            """
            x.example MX insecure 10 gone.x.example
            x.example MX insecure 20 mute.x.example
            x.example MX insecure 30 mx.x.example
            mute.x.example A timeout
            mute.x.example AAAA timeout
            mx.x.example A insecure 192.0.2.1
            """)
        let run = zone.plan("x.example")
        #expect(run.names == ["mx.x.example"])
        #expect(run.verdict.skipped.map(\.failure.permanence) == [.permanent, .temporary])
        #expect(run.verdict.skipped.allSatisfy { $0.result == nil })
    }

    @Test func causesAreToldTogether() {
        let zone = PlanZone(
            """
            x.example MX insecure 10 gone.x.example
            x.example MX insecure 20 mute.x.example
            mute.x.example A timeout
            mute.x.example AAAA timeout
            """)
        let text = String(decoding: zone.plan("x.example").failure?.text ?? [], as: UTF8.self)
        #expect(text.contains("gone.x.example: the host has no address"))
        #expect(text.contains("mute.x.example: address of mute.x.example: TIMEOUT"))
        #expect(zone.plan("x.example").failure?.permanence == .temporary)
    }

    // MARK: Loops

    private static let backups = PlanZone(
        """
        x.example MX insecure 10 best.x.example
        x.example MX insecure 20 US.x.example
        x.example MX insecure 20 same.x.example
        x.example MX insecure 30 worse.x.example
        best.x.example A insecure 192.0.2.1
        us.x.example A insecure 192.0.2.2
        same.x.example A insecure 192.0.2.3
        worse.x.example A insecure 192.0.2.4
        """)

    @Test func asBackupOnlyBetterHostsAreTried() {
        let byName = DeliveryRules(loopGuard: LoopGuard(names: ["us.x.example".octets]))
        #expect(Self.backups.plan("x.example", rules: byName).names == ["best.x.example"])
        let byAddress = DeliveryRules(loopGuard: LoopGuard(addresses: [IPAddress(v4: 192, 0, 2, 2)]))
        #expect(Self.backups.plan("x.example", rules: byAddress).names == ["best.x.example"])
    }

    @Test func asBestHostMailWouldLoop() {
        let rules = DeliveryRules(loopGuard: LoopGuard(names: ["best.x.example".octets]))
        let run = Self.backups.plan("x.example", rules: rules)
        #expect(run.failure?.status == EnhancedStatus(5, 4, 6))
        #expect(run.failure?.permanence == .permanent)
    }

    @Test(arguments: [
        ("127.0.0.1", 25, true), ("127.9.9.9", 25, true), ("127.0.0.1", 2525, false), ("192.0.2.9", 25, false),
        ("0.0.0.0", 99, true), ("::", 99, true), ("::1", 25, true), ("198.51.100.1", 99, true),
        ("198.51.100.2", 2526, true), ("198.51.100.2", 25, false),
    ])
    func ownAddresses(address: String, port: Int, isOwn: Bool) throws {
        let any = try #require(IPAddress("0.0.0.0"))
        let local = try #require(IPAddress("198.51.100.1"))
        let listener = try #require(IPAddress("198.51.100.2"))
        let guardian = LoopGuard(
            addresses: [local],
            listeners: [
                LoopGuard.Endpoint(address: any, port: 25), LoopGuard.Endpoint(address: listener, port: 2526),
            ])
        #expect(guardian.isOwn(try #require(IPAddress(address)), port: UInt16(port)) == isOwn)
    }

    // MARK: Literals and routes

    @Test(arguments: [
        ("[192.0.2.1]", "192.0.2.1"), ("[IPv6:2001:db8::1]", "2001:db8::1"), ("[ipv6:2001:DB8::1]", "2001:db8::1"),
        ("[2001:db8::1]", nil), ("[IPv6:192.0.2.1]", nil), ("[x400:foo]", nil), ("[]", nil), ("[300.1.1.1]", nil),
    ])
    func literals(destination: String, address: String?) {
        let run = PlanZone("").plan(destination)
        #expect(run.hosts.first?.addresses.map { "\($0)" } == address.map { [$0] })
        #expect(run.facts.count == 0)
        if address == nil {
            #expect(run.failure?.status == EnhancedStatus(5, 1, 2))
        } else {
            #expect(run.hosts.first?.serverName == [])
        }
    }

    @Test func firstRouteThatFits() {
        let table = RouteTable([
            DeliveryRoute(pattern: "a.example".octets, host: "one".octets),
            DeliveryRoute(pattern: "*.example".octets, host: "two".octets),
            DeliveryRoute(pattern: "b.example".octets, host: "three".octets),
            DeliveryRoute(pattern: "*".octets, host: "four".octets),
            DeliveryRoute(pattern: "c.test".octets, host: "five".octets),
        ])
        let found = ["a.example", "b.example", "x.y.example", "example", "c.test", "[192.0.2.1]"].map {
            table.route(for: $0.octets).map { String(decoding: $0.host, as: UTF8.self) }
        }
        #expect(found == ["one", "two", "two", "four", "four", "four"])
        #expect(RouteTable([]).route(for: "a.example".octets) == nil)
    }

    @Test func routeToABackEnd() {
        let rules = DeliveryRules(
            routes: RouteTable([
                DeliveryRoute(
                    pattern: "x.example".octets, host: "127.0.0.1".octets, port: 24, isLMTP: true, tls: .off,
                    credentials: RouteCredentials(user: "u".octets, password: Secret("p".octets)))
            ]), loopGuard: LoopGuard(addresses: [IPAddress(v4: 127, 0, 0, 1)]))
        let run = PlanZone("").plan("x.example", rules: rules)
        let host = run.hosts.first
        #expect(host?.isLMTP == true)
        #expect(host?.port == 24)
        #expect(host?.security == .plain)
        #expect(host?.credentials?.user == "u".octets)
        #expect(run.facts.count == 0)
        #expect(DeliveryPlan.policyDomain("x.example".octets, rules) == nil)
    }

    @Test func routeToOurOwnListenerWaits() {
        let rules = DeliveryRules(
            routes: RouteTable([DeliveryRoute(pattern: "*".octets, host: "127.0.0.1".octets, port: 2525)]),
            loopGuard: LoopGuard(listeners: [LoopGuard.Endpoint(address: IPAddress(v4: 127, 0, 0, 1), port: 2525)]))
        #expect(PlanZone("").plan("x.example", rules: rules).failure?.status == EnhancedStatus(4, 4, 6))
    }

    @Test func smarthost() {
        let rules = DeliveryRules(
            routes: RouteTable([
                DeliveryRoute(
                    pattern: "*".octets, host: "relay.example.net".octets, port: 465, tls: .verified,
                    credentials: RouteCredentials(user: "u".octets, password: Secret("p".octets)))
            ]))
        let run = PlanZone("relay.example.net A insecure 192.0.2.9").plan("x.example", rules: rules)
        #expect(run.hosts.first?.security == .webPKI(names: ["relay.example.net".octets]))
        #expect(run.hosts.first?.isImplicitTLS == true)
        #expect(!run.asked("x.example", .mx))
        // RFC 8461 §3.4
        #expect(DeliveryPlan.policyDomain("x.example".octets, rules) == "relay.example.net".octets)
    }

    @Test(arguments: ["nxdomain", "nodata", "timeout", "bogus"])
    func aRouteThatLeadsNowhereBouncesNothing(state: String) {
        let rules = DeliveryRules(
            routes: RouteTable([DeliveryRoute(pattern: "*".octets, host: "relay.example.net".octets)]))
        let zone = PlanZone("relay.example.net A \(state)\nrelay.example.net AAAA \(state)")
        #expect(zone.plan("x.example", rules: rules).failure?.permanence == .temporary)
    }

    @Test func aPasswordIsNotSentInTheClear() {
        func security(_ tls: DeliveryRoute.TLSMode) -> HostSecurity? {
            let rules = DeliveryRules(
                routes: RouteTable([
                    DeliveryRoute(
                        pattern: "*".octets, host: "192.0.2.9".octets, tls: tls,
                        credentials: RouteCredentials(user: "u".octets, password: Secret("p".octets)))
                ]))
            return PlanZone("").plan("x.example", rules: rules).hosts.first?.security
        }
        #expect(security(.opportunistic) == .encrypted)
        #expect(security(.required) == .encrypted)
        #expect(security(.off) == .plain)
    }

    @Test func aRouteWithoutAHostOnlyAsksForMore() {
        let rules = DeliveryRules(
            routes: RouteTable([DeliveryRoute(pattern: "x.example".octets, host: [], tls: .required)]))
        let run = PlanZone("x.example MX insecure 10 mx.x.example\nmx.x.example A insecure 192.0.2.1").plan(
            "x.example", rules: rules)
        #expect(run.names == ["mx.x.example"])
        #expect(run.hosts.first?.security == .encrypted)
        #expect(DeliveryPlan.policyDomain("x.example".octets, rules) == "x.example".octets)
    }

    @Test func theLeastTTLIsThePlans() {
        let run = PlanZone("x.example MX insecure 10 mx.x.example\nmx.x.example A insecure 192.0.2.1").plan("x.example")
        #expect(run.verdict.ttlSeconds == 300)
    }
}
