import Base
import Delivery
import Protocols
import Testing

@Suite struct VERPTests {
    private let now = WallTime(seconds: 1_790_000_000)
    private let token = VERP.Token(message: MessageID(rawValue: 0x1234_5678_9ABC_DEF0), recipient: 12)

    private func verp(_ key: String = "key") throws -> VERP {
        try #require(VERP(keys: [Secret(Array(key.utf8))]))
    }

    @Test func readsItsOwnTokensOnly() throws {
        let verp = try verp()
        let address = verp.address(for: token, domain: Array("ours.example".utf8), now: now)
        #expect(address.firstIndex(of: ASCII.at).map { $0 <= 64 } == true)
        #expect(verp.read(address, now: now) == .token(token))
        #expect(verp.read(ASCII.lowercased(address), now: now) == .token(token))
        #expect(verp.read(address, now: WallTime(seconds: now.seconds + 40 * 86_400)) == .invalid)
        #expect(try self.verp("other").read(address, now: now) == .invalid)
        var changed = address
        changed[20] = changed[20] == 0x61 ? 0x62 : 0x61
        #expect(verp.read(changed, now: now) == .invalid)
        #expect(verp.read(Array("bounces+x=y@ours.example".utf8), now: now) == .invalid)
        #expect(verp.read(Array("ann+x=y@ours.example".utf8), now: now) == .foreign)
    }

    @Test func onlyARealReportFromNobodyIsABounce() throws {
        let verp = try verp()
        let intake = BounceIntake(verp: verp)
        let address = verp.address(for: token, domain: Array("ours.example".utf8), now: now)
        let report = Array(
            """
            Content-Type: multipart/report; report-type=delivery-status; boundary=b\r
            \r
            --b\r
            Content-Type: message/delivery-status\r
            \r
            Reporting-MTA: dns; their.example\r
            \r
            Final-Recipient: rfc822; bob@their.example\r
            Action: failed\r
            Status: 5.1.1\r
            --b--\r

            """.utf8)
        guard
            case .bounce(let found, let read) = intake.read(sender: [], recipient: address, message: report, now: now)
        else {
            Issue.record("no bounce")
            return
        }
        #expect(found == token)
        #expect(read.recipients.first?.status == EnhancedStatus(5, 1, 1))
        let sender = Array("bob@their.example".utf8)
        #expect(intake.read(sender: sender, recipient: address, message: report, now: now) == .noReport(token))
        let text = Array("Subject: Undeliverable: failed permanently\r\n\r\n550 5.1.1 bob@their.example\r\n".utf8)
        #expect(intake.read(sender: [], recipient: address, message: text, now: now) == .noReport(token))
        let ordinary = Array("ann@ours.example".utf8)
        #expect(intake.read(sender: [], recipient: ordinary, message: report, now: now) == .ordinary)
        let forged = Array("bounces+aaaaaaaaaaaaaaa@ours.example".utf8)
        #expect(intake.read(sender: [], recipient: forged, message: report, now: now) == .refused)
    }
}
