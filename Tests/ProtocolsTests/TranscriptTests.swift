import Foundation
import Protocols
import TestKit
import Testing

private let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Transcripts")

private func names() -> [String] {
    ["lmtp", "smtp"].flatMap { kind in
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.appending(path: kind).path)) ?? []
        return files.filter { $0.hasSuffix("." + kind) }.sorted().map { kind + "/" + $0 }
    }
}

@Suite struct TranscriptTests {
    @Test func thereAreTranscripts() { #expect(names().count >= 26) }

    @Test(arguments: names())
    func sameInEveryChunkingAndOrder(_ name: String) throws {
        let text = try String(contentsOf: folder.appending(path: name), encoding: .utf8)
        var verifier = ChunkingVerifier(try Transcript(parsing: text))
        let failures = verifier.verify()
        #expect(failures.isEmpty, "\(failures.joined(separator: "\n"))")
    }

    /// A verifier that cannot fail proves nothing.
    @Test func aWrongExpectationIsSeen() throws {
        var verifier = ChunkingVerifier(try Transcript(parsing: "S: 220\nC: NOOP\nS: 251\n"))
        #expect(!verifier.verify().isEmpty)
    }

    @Test func recipientsAreAskedTogether() throws {
        let transcript = try Transcript(parsing: "S: 220")
        let driver = SMTPTestDriver(configuration: transcript.configuration, order: .newestFirst)
        driver.feed("EHLO a.example\r\nMAIL FROM:<a@x.example>\r\n")
        driver.settle()
        _ = driver.takeOutput()
        driver.feed("RCPT TO:<a@y.example>\r\nRCPT TO:<b@y.example>\r\nRCPT TO:<c@y.example>\r\nDATA\r\n")
        #expect(driver.openMost == 3)
        #expect(driver.takeOutput().isEmpty)
        let suspended = driver.session.isSuspended
        #expect(suspended)
        driver.settle()
        #expect(ChunkingVerifier.replies(driver.takeOutput()).count == 4)
        let receiving = driver.session.isReceivingBody
        #expect(receiving)
    }
}
