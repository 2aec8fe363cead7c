import Foundation
import Protocols
import ResolverUnbound
import Testing

/// A signed private tree: `MARTLET_DNSLAB` is `ADDRESS@PORT:ANCHORFILE`.
struct DNSLab {
    let server: String
    let anchor: String

    static let shared: DNSLab? = ProcessInfo.processInfo.environment["MARTLET_DNSLAB"].flatMap { text in
        guard let colon = text.firstIndex(of: ":") else { return nil }
        return DNSLab(server: String(text[..<colon]), anchor: String(text[text.index(after: colon)...]))
    }
}

@Suite(.enabled(if: DNSLab.shared != nil, "MARTLET_DNSLAB names no signed tree")) struct ValidationTests {
    static let states: [(String, DNSRecordType, DNSStatus, DNSSecurity)] = [
        ("good.example", .mx, .noError, .secure), ("mx.good.example", .a, .noError, .secure),
        ("_25._tcp.mx.good.example", .tlsa, .noError, .secure), ("nope.good.example", .a, .nxDomain, .secure),
        ("mx-notlsa.good.example", .txt, .noData, .secure), ("x.wild.good.example", .txt, .noError, .secure),
        ("big.good.example", .txt, .noError, .secure), ("mx-cname.good.example", .a, .noError, .secure),
        ("mx-cname-out.good.example", .a, .noError, .insecure), ("nullmx.good.example", .mx, .noError, .secure),
        ("insecure.example", .mx, .noError, .insecure), ("nope.insecure.example", .a, .nxDomain, .insecure),
        ("host.test", .a, .noError, .insecure), ("25.0.0.127.in-addr.arpa", .ptr, .noError, .secure),
        ("30.0.0.127.in-addr.arpa", .ptr, .nxDomain, .secure), ("bogus.example", .mx, .servFail, .bogus),
        ("_25._tcp.mx.bogus.example", .tlsa, .servFail, .bogus), ("expired.example", .mx, .servFail, .bogus),
        ("wrongds.example", .mx, .servFail, .bogus), ("doesnotexist.example", .mx, .nxDomain, .secure),
    ]

    private func answers(_ anchors: ResolverConfiguration.TrustAnchors) throws -> [DNSAnswer] {
        let lab = try #require(DNSLab.shared)
        let resolver = try Resolver(ResolverConfiguration(forward: [lab.server], anchors: anchors))
        defer { resolver.stop() }
        return try #require(resolver.wait(Self.states.map { question($0.0, $0.1) }))
    }

    // RFC 4035 §4.3
    @Test func everySecurityState() throws {
        let anchor = try #require(DNSLab.shared).anchor
        for ((name, type, status, security), answer) in zip(Self.states, try answers(.file(anchor))) {
            #expect(answer.status == status, "\(name) \(type)")
            #expect(answer.security == security, "\(name) \(type)")
            #expect((answer.reason != nil) == (security == .bogus), "\(name) \(type)")
        }
    }

    @Test func withoutAnAnchorNothingIsSecureOrBogus() throws {
        #expect(try answers(.none).allSatisfy { $0.security == .insecure && !$0.isTemporary })
    }

    /// The public root's keys did not sign this tree.
    @Test func anotherAnchorMakesAllOfItBogus() throws {
        #expect(try answers(.builtIn).allSatisfy { $0.security == .bogus && $0.records.isEmpty })
    }
}
