import Base
import MailAuth
import Protocols
import Testing

@Suite struct DMARCReportAuthorizationTests {
    private func run(_ zone: SPFZone, _ domain: String, _ uris: [String]) throws -> ReportAuthorization.Verdict {
        let check = ReportAuthorization(policyDomain: try #require(DNSName(domain)), uris: uris.map { Array($0.utf8) })
        var facts = Facts()
        while true {
            do throws(Missing) {
                return try check.evaluate(facts)
            } catch {
                for case .dns(let question) in error.keys { facts.learn(question, zone.answer(question)) }
            }
        }
    }

    private func texts(_ uris: [[UInt8]]) -> [String] { uris.map { String(decoding: $0, as: UTF8.self) } }

    /// Case `extdest` of the shared vectors.
    @Test func strangersHaveToAgree() throws {
        let zone = SPFZone("example.org._report._dmarc.external.org TXT v=DMARC1")
        let out = try run(
            zone, "example.org",
            ["mailto:dmarc@example.org", "mailto:dmarc@external.org", "mailto:domain@other.org"])
        #expect(texts(out.authorized) == ["mailto:dmarc@example.org", "mailto:dmarc@external.org"])
        #expect(texts(out.refused) == ["mailto:domain@other.org"])
    }

    @Test func theOwnOrganizationNeedNotBeAsked() throws {
        let zone = SPFZone("_dmarc.example.org TXT v=DMARC1; p=none")
        let out = try run(zone, "example.org", ["mailto:a@reports.example.org"])
        #expect(out.authorized.count == 1)
    }

    @Test func aDestinationMayNameAnotherAddressOfItsOwn() throws {
        let zone = SPFZone(
            """
            a.test._report._dmarc.b.example TXT v=DMARC1; rua=mailto:other@b.example
            a.test._report._dmarc.c.example TXT v=DMARC1; rua=mailto:victim@d.example
            a.test._report._dmarc.e.example TXT p=none
            a.test._report._dmarc.f.example FAIL
            """)
        let out = try run(
            zone, "a.test",
            [
                "mailto:x@b.example", "mailto:x@c.example", "mailto:x@e.example", "mailto:x@f.example",
                "ftp://b.example/",
            ])
        #expect(texts(out.authorized) == ["mailto:other@b.example"])
        #expect(texts(out.refused) == ["mailto:x@c.example", "mailto:x@e.example", "ftp://b.example/"])
        #expect(texts(out.undecided) == ["mailto:x@f.example"])
    }

    @Test(arguments: [
        ("mailto:a@b.example", "b.example"), ("MAILTO:a@B.Example?subject=x", "b.example"),
        ("https://r.example:8443/x", "r.example"), ("https://u@r.example/", nil), ("mailto:a", nil), ("x", nil),
        ("http://r.example/", nil),
    ])
    func hosts(uri: String, host: String?) {
        #expect(ReportAuthorization.host(of: Array(uri.utf8)) == host.flatMap { DNSName($0) })
    }
}
