import Base
import Foundation
import Protocols
import TestKit
import Testing

/// RFC 3464 appendix E, with the line ends and the MIME syntax that its printing lost.
@Suite struct ReceivedReportTests {
    private static func wire(_ text: String) -> [UInt8] { Array(text.replacing("\n", with: "\r\n").utf8) }

    private static func report(_ status: String, encoding: String = "7bit", boundary: String = "\"a/b.c\"") -> [UInt8] {
        let mark = boundary.replacing("\"", with: "")
        return wire(
            """
            Date: Fri, 8 Jul 1994 09:21:47 -0400
            Subject: Returned mail: User unknown
            MIME-Version: 1.0
            Content-Type: multipart/report; report-type=delivery-status;
                   boundary=\(boundary)

            --\(mark)
            content-type: text/plain; charset=us-ascii

            The following addresses had delivery problems
            --\(mark)
            content-type: message/delivery-status
            content-transfer-encoding: \(encoding)

            \(status)
            --\(mark)
            content-type: message/rfc822

            Subject: original

            --\(mark)--

            """)
    }

    @Test func severalRecipients() throws {
        let report = try #require(
            ReceivedReport(
                Self.report(
                    """
                    Reporting-MTA: dns; cs.utk.edu
                    Original-Envelope-Id: QQ+314159

                    Original-Recipient: rfc822;arathib@vnet.ibm.com
                    Final-Recipient: rfc822;arathib@vnet.ibm.com
                    Action: failed
                    Status: 5.0.0 (permanent failure)
                    Diagnostic-Code: smtp;  550 'arathib@vnet.IBM.COM' is not a
                     registered gateway user
                    Remote-MTA: dns; vnet.ibm.com

                    Original-Recipient: rfc822;johnh@hpnjld.njd.hp.com
                    Final-Recipient: rfc822;johnh@hpnjld.njd.hp.com
                    Action: delayed
                    Status: 4.0.0 (hpnjld.njd.jp.com: host name lookup failure)

                    Original-Recipient: rfc822;wsnell@sdcc13.ucsd.edu
                    Final-Recipient: rfc822;wsnell@sdcc13.ucsd.edu
                    Action: FAILED
                    Status: 5.0.0
                    Diagnostic-Code: smtp; 550 user unknown
                    Remote-MTA: dns; sdcc13.ucsd.edu
                    """)))
        #expect(report.reportingMTA == Array("cs.utk.edu".utf8))
        #expect(report.envelopeID == Array("QQ+314159".utf8))
        #expect(report.recipients.map(\.action) == [.failed, .delayed, .failed])
        #expect(report.recipients.map(\.status?.category) == [5, 4, 5])
        #expect(report.recipients[0].address == Array("arathib@vnet.ibm.com".utf8))
        #expect(
            report.recipients[0].diagnostic
                == Array("550 'arathib@vnet.IBM.COM' is not a registered gateway user".utf8))
        #expect(report.recipients[2].remote == Array("sdcc13.ucsd.edu".utf8))
    }

    @Test(arguments: ["foobar", "\"RAA14128.773615765/CS.UTK.EDU\"", "\"with space\""])
    func oneRecipientInAnyBoundary(boundary: String) throws {
        let report = try #require(
            ReceivedReport(
                Self.report(
                    """
                    Reporting-MTA: mailbus; SYS30

                    Final-Recipient: unknown; nair_s
                    Status: 5.0.0 (unknown permanent failure)
                    Action: failed
                    """, boundary: boundary)))
        #expect(report.recipients.map(\.address) == [Array("nair_s".utf8)])
    }

    @Test func encodedStatusParts() throws {
        let fields = Self.wire(
            "Reporting-MTA: dns; a.example\n\nFinal-Recipient: utf-8; ñandú@good.example\nAction: failed\nStatus: 5.1.1\n"
        )
        for cut in 0...3 {
            let bytes = fields + [UInt8](repeating: ASCII.lf, count: cut)
            let base64 = Data(bytes).base64EncodedString(options: .lineLength76Characters)
            let report = try #require(ReceivedReport(Self.report(base64, encoding: "base64")))
            #expect(report.recipients.first?.address == Array("ñandú@good.example".utf8))
            #expect(report.recipients.first?.status == EnhancedStatus(5, 1, 1))
        }
        let quoted = String(decoding: QuotedPrintable.encode(fields.span), as: UTF8.self)
            .replacing("\r\n", with: "\n")
        let report = try #require(ReceivedReport(Self.report(quoted, encoding: "quoted-printable")))
        #expect(report.recipients.first?.address == Array("ñandú@good.example".utf8))
    }

    @Test(arguments: [
        "Subject: failure notice\n\nHi. This is the qmail-send program.\n<a@b>: 550 no\n",
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nFinal-Recipient: rfc822; a@b\n--b--\n",
        "Content-Type: multipart/report; report-type=disposition-notification; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n\nFinal-Recipient: rfc822; a@b\n--b--\n",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; x\n--b--\n",
        "Content-Type: multipart/report; report-type=delivery-status\n\n", "",
    ])
    func noReport(text: String) { #expect(ReceivedReport(Self.wire(text)) == nil) }

    @Test func manyRecipientsAreCut() throws {
        let groups = (0..<500).map { "Final-Recipient: rfc822; a\($0)@b\nAction: failed\nStatus: 5.0.0" }
        let report = try #require(
            ReceivedReport(Self.report("Reporting-MTA: dns; x\n\n" + groups.joined(separator: "\n\n"))))
        #expect(report.recipients.count == ReceivedReport.recipientsMax)
    }

    @Test func noiseDoesNotTrap() {
        var random = SeededRandom(seed: 3)
        let good = Self.report("Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; a@b\nAction: failed\nStatus: 5.0.0")
        for _ in 0..<2_000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let i = Int.random(in: 0..<bytes.count, using: &random)
                if Bool.random(using: &random) {
                    bytes.remove(at: i)
                } else {
                    bytes[i] = .random(in: 0...255, using: &random)
                }
            }
            _ = ReceivedReport(bytes)
        }
    }
}
