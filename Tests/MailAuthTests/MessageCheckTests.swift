import Base
import MailAuth
import Protocols
import Testing

@Suite struct MessageCheckTests {
    private struct Run {
        var results: AuthResults
        var facts = Facts()
        var rounds = 0
    }

    private func run(_ message: String, _ zone: SPFZone, ip: String = "192.0.2.1", from sender: String) throws -> Run {
        let bytes = Array(message.utf8)
        let header = HeaderIndex(bytes)
        let dkim = DKIMFields(header)
        let arc = ARCFields(header)
        let hashers = BodyHashers(dkim.bodyKeys + arc.bodyKeys)
        hashers.feed(bytes.span.extracting(header.bodyStart..<bytes.count))
        let address = try #require(IPAddress(ip))
        let helo = Array("mail.example.com".utf8)
        let check = MessageCheck(
            client: .init(
                iprev: IPRevCheck(address), helo: SPFCheck(ip: address, helo: helo),
                mailFrom: SPFCheck(ip: address, helo: helo, mailFrom: Array(sender.utf8))),
            dkim: dkim, arc: arc, bodyHashes: hashers.finish(), author: Author(message: bytes.span), now: 0)
        var facts = Facts()
        var rounds = 0
        while true {
            do throws(Missing) {
                return Run(results: try check.evaluate(facts), facts: facts, rounds: rounds)
            } catch {
                rounds += 1
                for case .dns(let question) in error.keys { facts.learn(question, zone.answer(question)) }
            }
        }
    }

    private let zone = SPFZone(
        """
        1.2.0.192.in-addr.arpa PTR mail.example.com
        mail.example.com A 192.0.2.1
        mail.example.com TXT v=spf1 a -all
        bounce.example.com TXT v=spf1 ip4:192.0.2.0/24 -all
        example.com TXT v=spf1 -all
        _dmarc.example.com TXT v=DMARC1; p=reject
        """)

    @Test func everyCheckEndsAndTheyAskTogether() throws {
        let run = try run("From: a@example.com\r\n\r\nhello\r\n", zone, from: "x@bounce.example.com")
        #expect(run.results.iprev?.result == .pass)
        #expect(run.results.helo?.result == .pass)
        #expect(run.results.spf?.result == .pass)
        #expect(run.results.dkim.isEmpty)
        #expect(run.results.arc?.result == .absent)
        #expect(run.results.dmarc?.result == .pass && run.results.dmarc?.spfAligned == true)
        // Nothing here is further than two questions from the start.
        #expect(run.rounds == 2)
    }

    @Test func theNullSenderIsJudgedByItsHELO() throws {
        let run = try run("From: mailer@example.com\r\n\r\n", zone, from: "")
        #expect(run.results.spf?.domain == Array("mail.example.com".utf8))
        #expect(run.results.dmarc?.result == .pass)
    }

    @Test func severalAuthorsAreNotDecided() throws {
        let run = try run("From: a@example.com\r\nFrom: b@example.net\r\n\r\n", zone, from: "x@bounce.example.com")
        #expect(run.results.dmarc?.result == .permerror)
        #expect(run.results.dmarc?.authorProblem == .severalFields)
    }

    @Test func aDeadResolverGivesTemporaryResults() throws {
        var dead = SPFZone()
        for name in [
            "1.2.0.192.in-addr.arpa", "mail.example.com", "bounce.example.com", "_dmarc.example.com", "_dmarc.com",
            "_dmarc.bounce.example.com", "s._domainkey.example.com",
        ] {
            dead.fail(try #require(DNSName(name)))
        }
        let signature =
            "DKIM-Signature: v=1; a=rsa-sha256; d=example.com; s=s; h=from; b=AAAA;\r\n"
            + " bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; c=relaxed/relaxed\r\n"
        let run = try run(signature + "From: a@example.com\r\n\r\n", dead, from: "x@bounce.example.com")
        #expect(run.results.iprev?.result == .temperror)
        #expect(run.results.spf?.result == .temperror)
        #expect(run.results.dkim.map(\.result) == [.temperror])
        #expect(run.results.dmarc?.result == .temperror && run.results.dmarc?.couldFail == true)
    }
}
