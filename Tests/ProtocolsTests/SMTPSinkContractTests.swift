import Protocols
import TestKit
import Testing

/// `discard` speaks of a body that began: a sink that never heard of one has nothing to throw away. Found by fuzzing.
@Suite struct SMTPSinkContractTests {
    @Test func firstChunkTooLargeTouchesNoSink() {
        var limits = SMTPLimits()
        limits.messageOctets = 20
        let driver = SMTPTestDriver(
            configuration: SMTPSessionConfiguration(hostname: Array("mx.example".utf8), limits: limits))
        driver.feed("EHLO a.example\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n")
        _ = driver.takeOutput()
        driver.feed("BDAT 21\r\n012345678901234567890")
        #expect(String(decoding: driver.takeOutput(), as: UTF8.self).hasPrefix("552 5.3.4 "))
        #expect(driver.sink.begins == 0 && driver.sink.discards == 0)
        driver.feed("RSET\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\n")
        driver.feed("BDAT 5\r\n01234BDAT 16\r\n0123456789012345")
        #expect(driver.sink.begins == 1 && driver.sink.discards == 1)
    }
}
