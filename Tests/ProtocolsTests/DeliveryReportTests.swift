import Base
import Foundation
import Protocols
import Testing

@Suite struct DeliveryReportTests {
    private static let original = Array(
        """
        Received: from client by ours.example\r
        From: ann@ours.example\r
        Bcc: secret@ours.example\r
        To: bob@their.example\r
        Subject: hello\r
        Message-ID: <m1@ours.example>\r
        \r
        The body.\r

        """.utf8)

    private static func recipient(
        _ action: DeliveryReport.Action = .failed, _ address: String = "bob@their.example",
        status: EnhancedStatus? = nil
    ) -> DeliveryReport.Recipient {
        let category: UInt8 = action == .failed ? 5 : action == .delayed ? 4 : 2
        var out = DeliveryReport.Recipient(
            address: Array(address.utf8), action: action, status: status ?? EnhancedStatus(category, 1, 1))
        out.remote = Array("mx.their.example".utf8)
        out.code = action == .failed ? 550 : action == .delayed ? 451 : 250
        out.text = Array("5.1.1 No such user\nsee https://their.example/help".utf8)
        out.lastAttempt = WallTime(seconds: 100_000)
        out.retryUntil = WallTime(seconds: 500_000)
        return out
    }

    private static func report(_ recipients: [DeliveryReport.Recipient], returnsBody: Bool = true) -> DeliveryReport {
        DeliveryReport(
            recipients: recipients, original: DeliveryReport.Original(bytes: original, isWhole: true),
            returnsBody: returnsBody, sender: Array("ann@ours.example".utf8), hostname: Array("mx.ours.example".utf8),
            arrival: WallTime(seconds: 0), now: WallTime(seconds: 90_000), token: Array("T0KEN".utf8), allowsUTF8: false
        )
    }

    private static func text(_ report: DeliveryReport) -> String {
        String(decoding: report.encoded().bytes, as: UTF8.self)
    }

    @Test func aFailureInFull() {
        #expect(
            Self.text(Self.report([Self.recipient()])).replacing("\r\n", with: "\n") == """
                Date: Fri, 02 Jan 1970 01:00:00 +0000
                From: Mail Delivery System <postmaster@mx.ours.example>
                To: <ann@ours.example>
                Subject: Undelivered mail: your message could not be delivered
                Message-ID: <dsn.T0KEN@mx.ours.example>
                In-Reply-To: <m1@ours.example>
                References: <m1@ours.example>
                Auto-Submitted: auto-replied
                MIME-Version: 1.0
                Content-Type: multipart/report; report-type=delivery-status;
                \tboundary="=_T0KEN"

                This is a delivery status notification in MIME format.

                --=_T0KEN
                Content-Type: text/plain; charset=us-ascii
                Content-Description: Notification
                Content-Transfer-Encoding: 7bit

                This is the mail server mx.ours.example.

                Your message was not delivered to the recipient below.
                It will not be tried again.

                  <bob@their.example>
                    There is no such mailbox. Look for typing errors in the address.
                    The server mx.their.example answered:
                      550-5.1.1 No such user
                      550 see https://their.example/help

                What you sent is attached, or its header. If you cannot tell what is wrong,
                forward this report to your postmaster.

                --=_T0KEN
                Content-Type: message/delivery-status
                Content-Description: Delivery report
                Content-Transfer-Encoding: 7bit

                Reporting-MTA: dns; mx.ours.example
                Arrival-Date: Thu, 01 Jan 1970 00:00:00 +0000

                Final-Recipient: rfc822; bob@their.example
                Action: failed
                Status: 5.1.1
                Remote-MTA: dns; mx.their.example
                Diagnostic-Code: smtp; 550-5.1.1 No such user
                \t550 see https://their.example/help
                Last-Attempt-Date: Fri, 02 Jan 1970 03:46:40 +0000

                --=_T0KEN
                Content-Type: message/rfc822
                Content-Description: Your message
                Content-Transfer-Encoding: 7bit

                Received: from client by ours.example
                From: ann@ours.example
                To: bob@their.example
                Subject: hello
                Message-ID: <m1@ours.example>

                The body.

                --=_T0KEN--

                """)
    }

    @Test func envelopeParametersComeBackDecoded() {
        var report = Self.report([Self.recipient(.delayed)], returnsBody: false)
        report.envelopeID = Array("QQ+2B314159".utf8)
        report.recipients[0].original = Array("rfc822;Bob+2Bx@Example.COM".utf8)
        report.receivedFrom = Array("client.example".utf8)
        let text = Self.text(report)
        #expect(text.contains("\r\nOriginal-Envelope-Id: QQ+314159\r\n"))
        #expect(text.contains("\r\n\r\nOriginal-Recipient: rfc822;Bob+x@Example.COM\r\nFinal-Recipient:"))
        #expect(text.contains("\r\nReceived-From-MTA: dns; client.example\r\n"))
        #expect(text.contains("\r\nWill-Retry-Until: Tue, 06 Jan 1970 18:53:20 +0000\r\n"))
        #expect(text.contains("Content-Type: text/rfc822-headers\r\n"))
        #expect(!text.contains("The body.") && !text.contains("secret@"))
        report.envelopeID = Array("a+0D+0AX-Evil:+20yes".utf8)
        report.recipients[0].original = Array("rfc822;x+0D+0AAction:+20delivered".utf8)
        let forged = Self.text(report)
        #expect(!forged.contains("\r\nX-Evil") && !forged.contains("\nAction: delivered"))
        #expect(forged.contains("Original-Envelope-Id: a+0D+0AX-Evil:+20yes\r\n"))
    }

    @Test func aPeersWordsCannotLeaveTheirField() {
        var recipient = Self.recipient()
        recipient.text = Array("bad\r\nStatus: 2.0.0\r\n\r\n--=_T0KEN--\u{0}\u{1B}[31m \u{202E}x".utf8) + [0xFF]
        recipient.remote = Array("mx\r\nX-A: b".utf8)
        var report = Self.report([recipient])
        report.receivedFrom = Array("evil\r\nX-B: c".utf8)
        report.hostname = Array("h\r\nX-C: d".utf8)
        report.sender = Array("a@b>\r\nX-D: e".utf8)
        let bytes = report.encoded().bytes
        let text = String(decoding: bytes, as: UTF8.self)
        for name in ["X-A", "X-B", "X-C", "X-D", "Status: 2"] { #expect(!text.contains("\n\(name)")) }
        #expect(!bytes.contains { $0 < 0x20 && $0 != ASCII.cr && $0 != ASCII.lf && $0 != ASCII.tab })
        #expect(!text.contains("\u{202E}"))
        #expect(ReceivedReport(bytes)?.recipients.count == 1)
    }

    @Test func theBoundaryStandsInNoPart() {
        var report = Self.report([Self.recipient()])
        report.original.bytes += Array("--=_T0KEN\r\n--=_T0KEN_1--\r\n".utf8)
        let text = Self.text(report)
        #expect(text.contains("boundary=\"=_T0KEN_2\""))
        report.token = Array("a\"b\r\n c".utf8)
        #expect(Self.text(report).contains("boundary=\"=_abc\""))
    }

    @Test(arguments: [false, true])
    func internationalAddresses(allowsUTF8: Bool) {
        var report = Self.report([Self.recipient(.failed, "ñandú@good.example")])
        report.allowsUTF8 = allowsUTF8
        report.original = DeliveryReport.Original(
            bytes: Array("Subject: ñ\r\n\r\nbody\r\n".utf8), isWhole: true, isInternational: true)
        report.recipients[0].original = Array("utf-8;\\x{F1}andu@good.example".utf8)
        let encoded = report.encoded()
        let text = String(decoding: encoded.bytes, as: UTF8.self)
        #expect(encoded.has8bit == allowsUTF8 && encoded.needsUTF8 == allowsUTF8)
        if allowsUTF8 {
            #expect(text.contains("Content-Type: message/global-delivery-status\r\n"))
            #expect(text.contains("\r\nFinal-Recipient: utf-8; ñandú@good.example\r\n"))
            #expect(text.contains("\r\nOriginal-Recipient: utf-8;ñandu@good.example\r\n"))
            #expect(text.contains("Content-Type: message/global\r\n"))
        } else {
            #expect(text.contains("Content-Type: message/delivery-status\r\n"))
            #expect(text.contains("\r\nFinal-Recipient: utf-8; \\x{F1}and\\x{FA}@good.example\r\n"))
            #expect(text.contains("\r\nOriginal-Recipient: utf-8;\\x{F1}andu@good.example\r\n"))
            #expect(text.contains("Content-Transfer-Encoding: quoted-printable\r\n\r\nSubject: =C3=B1\r\n"))
        }
    }

    @Test func whatCannotBeReturnedInFullIsReturnedAsHeader() {
        func type(_ bytes: [UInt8], isWhole: Bool = true) -> (String, Bool) {
            var report = Self.report([Self.recipient()])
            report.original = DeliveryReport.Original(bytes: bytes, isWhole: isWhole)
            let encoded = report.encoded()
            let text = String(decoding: encoded.bytes, as: UTF8.self)
            let name = ["message/rfc822", "text/rfc822-headers"].first { text.contains("Content-Type: \($0)\r\n") }
            return (name ?? "?", encoded.has8bit)
        }
        let header = Array("Subject: x\r\n\r\n".utf8)
        #expect(type(header + Array("é\r\n".utf8)) == ("message/rfc822", true))
        #expect(type(header + [ASCII.lf]) == ("text/rfc822-headers", false))
        #expect(type(header + [UInt8](repeating: 0x61, count: 999)) == ("text/rfc822-headers", false))
        #expect(type(header, isWhole: false) == ("text/rfc822-headers", false))
        #expect(type(Array("Subject: é\r\n\r\n".utf8)) == ("text/rfc822-headers", false))
        #expect(type(Array("Subject: a\nTo: b\n\nbody\n".utf8)) == ("text/rfc822-headers", false))
        #expect(type([]) == ("message/rfc822", false))
    }

    @Test func aHeaderThatWasCutLosesItsLastField() {
        var report = Self.report([Self.recipient()])
        report.original = DeliveryReport.Original(bytes: Array("Subject: x\r\nX-Bc: c\r\n d".utf8), isWhole: false)
        let text = Self.text(report)
        #expect(text.contains("Subject: x\r\n") && !text.contains("X-Bc"))
    }

    @Test func everyReportIsReadBack() {
        for (name, report) in Self.matrix {
            let back = ReceivedReport(report.encoded().bytes)
            #expect(back?.recipients.map(\.action) == report.recipients.map(\.action), "\(name)")
            #expect(back?.recipients.map(\.status) == report.recipients.map(\.status), "\(name)")
            #expect(back?.recipients.allSatisfy { !$0.diagnostic.isEmpty } == true, "\(name)")
        }
    }

    // MARK: Other readers

    private static let checker = URL(
        filePath: ProcessInfo.processInfo.environment["MARTLET_CONFORMANCE"]
            ?? URL(filePath: #filePath).appending(path: "../../../../shared/conformance").standardizedFileURL.path
    ).appending(path: "tools/dsn_check.py")

    private static var matrix: [(String, DeliveryReport)] {
        var out: [(String, DeliveryReport)] = []
        for action in DeliveryReport.Action.allCases {
            for address in ["bob@their.example", "ñandú@their.example", "\"a b\"@their.example"] {
                for allowsUTF8 in [false, true] {
                    var report = report([recipient(action, address), recipient(action, "eve@their.example")])
                    report.allowsUTF8 = allowsUTF8
                    report.original.isInternational = allowsUTF8
                    report.returnsBody = action == .failed
                    report.envelopeID = Array("id+2B1".utf8)
                    report.recipients[0].original = Array("rfc822;who@else.example".utf8)
                    out.append(("\(action.rawValue)-\(out.count)", report))
                }
            }
        }
        var expired = recipient(.failed, status: EnhancedStatus(4, 4, 1))
        expired.isExpired = true
        expired.code = nil
        expired.text = Array("connection refused".utf8)
        out.append(("expired", report([expired])))
        var hostile = recipient()
        hostile.text = Array(repeating: 0x41, count: 1_000) + [ASCII.lf] + Array(repeating: 0xE9, count: 500)
        out.append(("hostile", report([hostile])))
        return out
    }

    @Test func linesAreWithinTheLimit() {
        for (name, report) in Self.matrix {
            let bytes = report.encoded().bytes
            var previous: UInt8 = 0
            var length = 0
            for c in bytes {
                if c == ASCII.lf {
                    #expect(previous == ASCII.cr, "\(name)")
                    length = 0
                } else {
                    #expect(previous != ASCII.cr, "\(name)")
                    length += 1
                }
                #expect(length <= 999, "\(name)")
                previous = c
            }
        }
    }

    /// Not for message/global-delivery-status, whose groups Python's email package does not take apart.
    @Test(.enabled(if: FileManager.default.fileExists(atPath: checker.path), "no conformance folder"))
    func theStrictCheckerAgrees() throws {
        try Self.withFiles(where: { !$0.contains("message/global-delivery-status") }) { files in
            #expect(files.count > 20)
            let (status, text) = try Self.run([Self.checker.path] + files)
            #expect(status == 0, "\(text)")
            #expect(!text.contains("warn:"), "\(text)")
        }
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/usr/bin/python3"), "no python3"))
    func pythonReadsThemWithoutDefects() throws {
        let script = """
            import sys, email, email.policy
            for name in sys.argv[1:]:
                m = email.message_from_bytes(open(name, 'rb').read(), policy=email.policy.default)
                for part in m.walk():
                    if part.defects: print(name, part.get_content_type(), part.defects)
                parts = list(m.iter_parts())
                if len(parts) != 3: print(name, 'parts', len(parts))
                if m['from'].defects or m['to'].defects or m['date'].defects: print(name, 'fields')
                groups = parts[1].get_payload()
                if parts[1].get_content_type() == 'message/delivery-status':
                    if len(groups) < 2 or 'Reporting-MTA' not in groups[0]: print(name, 'groups')
                    for g in groups[1:]:
                        if not (g['Final-Recipient'] and g['Action'] and g['Status']): print(name, 'recipient')
            """
        try Self.withFiles { files in
            let (status, text) = try Self.run(["-c", script] + files)
            #expect(status == 0 && text.isEmpty, "\(text)")
        }
    }

    private static func withFiles(
        where isWanted: (String) -> Bool = { _ in true }, _ body: ([String]) throws -> Void
    ) throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "martlet-dsn-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        var files: [String] = []
        for (name, report) in matrix {
            guard isWanted(String(decoding: report.encoded().bytes, as: UTF8.self)) else { continue }
            let file = folder.appending(path: "\(name).eml")
            try Data(report.encoded().bytes).write(to: file)
            files.append(file.path)
        }
        try body(files)
    }

    private static func run(_ arguments: [String]) throws -> (Int32, String) {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/python3")
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }
}
