import Base
import Protocols
import Testing

@Suite struct SubmissionFixesTests {
    private static func fixes(_ text: String, isWhole: Bool = true) -> SubmissionFixes? {
        let bytes = Array(text.utf8)
        return SubmissionFixes(
            start: bytes.span, isWhole: isWhole, now: WallTime(seconds: 0), id: MessageID(rawValue: 33),
            domain: Array("ours.example".utf8))
    }

    private static func fixed(_ text: String) -> String? {
        fixes(text).map { String(decoding: $0.applied(to: Array(text.utf8)), as: UTF8.self) }
    }

    private static let date = "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n"
    private static let id = "Message-ID: <0000000000011@ours.example>\r\n"

    @Test func completeMailIsLeftAlone() {
        let text = "DATE: x\r\nMessage-Id: <a@b>\r\nTo: c@d\r\n\r\nBcc: not a header\r\n"
        #expect(Self.fixes(text)?.isEmpty == true)
        #expect(Self.fixed(text) == text)
    }

    @Test func whatIsMissingComesFirst() {
        #expect(Self.fixed("Subject: x\r\n\r\nbody\r\n") == Self.date + Self.id + "Subject: x\r\n\r\nbody\r\n")
        #expect(Self.fixed("Date: x\r\n\r\n") == Self.id + "Date: x\r\n\r\n")
        #expect(Self.fixed("\r\nbody\r\n") == Self.date + Self.id + "\r\nbody\r\n")
    }

    @Test func blindCopiesGoWithTheirFolds() {
        let text =
            "Date: x\r\nBcc: a@b,\r\n\tc@d\r\nMessage-ID: <a@b>\r\nbCC : e@f\r\nResent-Bcc:\r\n g@h\r\n\r\nbody\r\n"
        #expect(Self.fixed(text) == "Date: x\r\nMessage-ID: <a@b>\r\n\r\nbody\r\n")
        #expect(Self.fixed("Date: x\r\nMessage-ID: <a@b>\r\nBcc: a@b") == "Date: x\r\nMessage-ID: <a@b>\r\n")
    }

    @Test func textWithoutAHeaderGetsOne() {
        #expect(Self.fixed("Hello there\r\n") == Self.date + Self.id + "\r\nHello there\r\n")
        #expect(Self.fixed("") == Self.date + Self.id)
    }

    @Test func aHeaderThatDoesNotEndIsRefused() {
        #expect(Self.fixes("Date: x\r\nSubject: y\r\n", isWhole: false) == nil)
        #expect(Self.fixes("Date: x\r\nSubject: y\r\n\r", isWhole: false) == nil)
        #expect(Self.fixes("Date: x\r\nSubject: y\r\n\r\n", isWhole: false) != nil)
        #expect(Self.fixes("\r\n", isWhole: false) != nil)
    }
}
