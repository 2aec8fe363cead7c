import Protocols
import Store
import Testing

@Suite struct EnvelopeRecordTests {
    private func sample() -> EnvelopeRecord {
        var record = EnvelopeRecord()
        record.helo = Array("client.example".utf8)
        record.peer = Array("192.0.2.1".utf8)
        record.identity = Array("bob@example.org".utf8)
        record.tlsVersion = Array("TLSv1.3".utf8)
        record.envid = Array("QQ314159".utf8)
        record.ret = .headers
        record.bodyType = .eightBitMIME
        record.smtpUTF8 = true
        record.requireTLS = true
        record.recipients = [
            .init(address: Array("b@example.org".utf8), notify: [.success, .delay], orcpt: Array("rfc822;b".utf8)),
            .init(address: Array("c@example.org".utf8), notify: .never, orcpt: []),
        ]
        return record
    }

    @Test func comesBackAsItWas() {
        #expect(EnvelopeRecord(encoded: sample().encoded()) == sample())
        #expect(EnvelopeRecord(encoded: []) == EnvelopeRecord())
    }

    @Test func skipsWhatANewerServerWrote() {
        let bytes = sample().encoded() + [200, 0, 2, 1, 2]
        #expect(EnvelopeRecord(encoded: bytes) == sample())
    }

    @Test func refusesWhatBreaksOff() {
        let bytes = sample().encoded()
        let ends = (1..<bytes.count).filter { EnvelopeRecord(encoded: Array(bytes[..<$0])) == nil }
        // Only at the end of a value does a shorter record make sense: there are ten before the last.
        #expect(ends.count == bytes.count - 1 - 10)
    }
}
