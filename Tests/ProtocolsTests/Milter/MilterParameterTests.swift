import Base
import Protocols
import Testing

/// ESMTP parameters of a filter's wishes: what is valid counts, the rest is named.
@Suite struct MilterParameterTests {
    private static let address = MailAddress(parsing: "c@y.example".b)!

    private func recipient(_ text: String) -> MilterRecipient {
        MilterRecipient(Self.address, parameters: text.b)
    }

    private func sender(_ text: String) -> MilterSender { MilterSender(Self.address, parameters: text.b) }

    @Test func recipientsHaveNotifyAndORCPT() {
        let made = recipient("notify=SUCCESS,delay  ORCPT=rfc822;a+2Bb@z.example")
        #expect(made.recipient.notify == [.success, .delay])
        #expect(made.recipient.orcpt == "rfc822;a+2Bb@z.example".b)
        #expect(made.ignored.isEmpty)
        #expect(recipient("") == MilterRecipient(Self.address))
    }

    @Test(arguments: [
        ("NOTIFY=", "NOTIFY="), ("NOTIFY=NEVER,SUCCESS", "NOTIFY=NEVER,SUCCESS"), ("ORCPT=a b", "ORCPT=a b"),
        ("ORCPT=rfc822;\u{e9}", "ORCPT=rfc822;?"), ("SIZE=1", "SIZE=1"), ("=", "="), ("\t", ""),
        ("NOTIFY\r\nRCPT=x", "NOTIFY RCPT=x"), ("ORCPT=rfc822;a\u{1}b", "ORCPT=rfc822;a?b"),
    ])
    func hostileParametersAreNamed(_ text: String, _ ignored: String) {
        let made = recipient(text)
        #expect(made.recipient == EnvelopeRecipient(address: Self.address))
        #expect(String(decoding: made.ignored, as: UTF8.self) == ignored)
    }

    /// One that is wrong takes no other with it; of two of a kind the first counts.
    @Test func eachWordIsForItself() {
        let made = recipient("X=1 NOTIFY=NEVER ORCPT=bad NOTIFY=SUCCESS orcpt=rfc822;q")
        #expect(made.recipient.notify == .never)
        #expect(made.recipient.orcpt == nil)
        #expect(made.ignored == "X=1 ORCPT=bad NOTIFY=SUCCESS orcpt=rfc822;q".b)
    }

    @Test func whatIsNamedIsBounded() {
        #expect(recipient(String(repeating: "X=1 ", count: 500)).ignored.count <= 256)
        let long = recipient("NOTIFY=NEVER " + String(repeating: "y", count: 5_000))
        #expect(long.ignored.count <= 256 && long.recipient.notify.isEmpty)
        let many = recipient(String(repeating: "X ", count: 20) + "NOTIFY=NEVER")
        #expect(many.recipient.notify.isEmpty)
    }

    @Test func sendersHaveTheirs() {
        let made = sender("SIZE=12 RET=HDRS ENVID=QQ314159 BODY=8BITMIME SMTPUTF8 REQUIRETLS")
        #expect(made.ret == .headers)
        #expect(made.envid == "QQ314159".b)
        #expect(made.isEightBit && made.smtpUTF8 && made.requireTLS)
        #expect(made.ignored.isEmpty)
        var envelope = Envelope(sender: nil)
        envelope.bodyType = .binaryMIME
        made.apply(to: &envelope)
        #expect(envelope.sender == Self.address)
        #expect(envelope.bodyType == .binaryMIME)
        #expect(envelope.ret == .headers && envelope.envid == "QQ314159".b && envelope.requireTLS)
        #expect(envelope.declaredSize == nil)
    }

    @Test(arguments: [
        "BODY=7BIT", "body=BINARYMIME", "BODY", "RET=ALL", "ENVID=", "ENVID=a=b", "AUTH=<>", "AUTH=a@b", "NOTIFY=NEVER",
        "SMTPUTF8=1", "SIZE=x", "BY=1;R", "ENVID=a\u{1}b", "RET=FULL\u{7F}",
    ])
    func whatSendersCannotHaveIsNamed(_ text: String) {
        let made = sender(text)
        // A control character is shown as a question mark.
        #expect(made.ignored == text.b.map { $0 < 0x20 || $0 == 0x7F ? UInt8(ascii: "?") : $0 })
        var expected = MilterSender(Self.address)
        expected.ignored = made.ignored
        #expect(made == expected)
    }

    /// What was said before stays where nothing is said.
    @Test func silenceChangesNothing() {
        var envelope = Envelope(sender: Self.address)
        envelope.ret = .full
        envelope.envid = "E".b
        envelope.bodyType = .eightBitMIME
        MilterSender(nil).apply(to: &envelope)
        #expect(envelope.sender == nil)
        #expect(envelope.ret == .full && envelope.envid == "E".b && envelope.bodyType == .eightBitMIME)
    }
}
