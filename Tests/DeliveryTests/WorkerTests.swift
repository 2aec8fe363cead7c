import Base
import Foundation
import Protocols
import Reactor
import Store
import Synchronization
import TestKit
import Testing

@testable import Delivery

@Suite struct WorkerTests {
    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test func deliversWithOneGroupOfCommands() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer()
        bench.use([bench.host(peer)])
        bench.submit(bench.job())
        let report = try #require(bench.run().first)
        #expect(
            report.results == [
                .delivered(
                    code: 250, text: Array("2.0.0 kept".utf8), host: Array("mx.example".utf8), remoteSpeaksDSN: true)
            ])
        #expect(report.site == .reached)
        #expect(peer.messages.map { text($0.data) } == ["Received: from there\r\nSubject: x\r\n\r\nhello\r\n"])
        #expect(
            peer.commands == [
                "EHLO out.example", "MAIL FROM:<ann@from.example> SIZE=43",
                "RCPT TO:<bob@to.example>", "DATA",
            ])
        // EHLO, the group, the body: three writes.
        #expect(peer.segments == 3)
        let attempt = try #require(report.attempts.first)
        #expect(text(attempt.host) == "mx.example")
        #expect(text(attempt.address) == "127.0.0.1")
        #expect(text(attempt.banner) == "mx.example ESMTP ready")
        #expect(attempt.tls?.result == .startTLSNotSupported)
    }

    @Test func dotsAndEndsArriveByteExact() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer()
        bench.use([bench.host(peer)])
        let body = Array(".\r\n..\r\n.a\r\n\r\n.\r\nlast without end".utf8)
        bench.submit(bench.job(body: body))
        _ = bench.run()
        #expect(peer.messages.first?.data == Array("Received: from there\r\n".utf8) + body + [13, 10])
    }

    @Test func nextMessageTakesTheSameConnection() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer()
        bench.use([bench.host(peer)])
        for n in 1...5 {
            bench.submit(bench.job())
            _ = bench.run(n)
        }
        #expect(peer.connections == 1)
        #expect(peer.messages.count == 5)
        #expect(!peer.commands.contains("RSET"))
        #expect(bench.reported.map { $0.attempts.first?.isReused } == [false, true, true, true, true])
        #expect(bench.planner.asked.load(ordering: .relaxed) == 1)
    }

    /// A plan that was asked for before a reload serves those who waited for it then, and nobody later.
    @Test func aPlanUnderWayAtAReloadIsNotKept() throws {
        let bench = try WorkerBench()
        let (old, new) = (try bench.peer(), try bench.peer())
        bench.use([bench.host(old)])
        bench.worker.take(bench.job())
        bench.worker.configure(bench.worker.options)
        bench.use([bench.host(new)])
        bench.worker.take(bench.job())
        _ = bench.run(2)
        bench.submit(bench.job())
        _ = bench.run(3)
        #expect(bench.planner.asked.load(ordering: .relaxed) == 2)
        #expect(old.messages.count == 1)
        #expect(new.messages.count == 2)
    }

    @Test func connectionsEndAfterSoManyMessages() throws {
        let bench = try WorkerBench { $0.messagesPerConnection = 2 }
        let peer = try bench.peer()
        bench.use([bench.host(peer)])
        for n in 1...4 {
            bench.submit(bench.job())
            _ = bench.run(n)
        }
        bench.turn(until: { peer.commands.filter { $0 == "QUIT" }.count == 2 })
        #expect(peer.connections == 2)
    }

    @Test func idleConnectionsEnd() throws {
        let bench = try WorkerBench { $0.idleSeconds = 0.1 }
        let peer = try bench.peer()
        bench.use([bench.host(peer)])
        bench.submit(bench.job())
        _ = bench.run()
        bench.turn(until: { peer.closed == 1 })
        #expect(peer.commands.last == "QUIT")
        #expect(bench.worker.cache.idleCount == 0)
    }

    /// The peer leaves while nobody looks: no attempt is counted.
    @Test(arguments: [false, true]) func staleConnectionIsNoAttempt(_ says421: Bool) throws {
        let bench = try WorkerBench()
        let peer = try bench.peer()
        bench.use([bench.host(peer)])
        bench.submit(bench.job())
        _ = bench.run()
        peer.script = { [unowned peer] command in
            guard peer.connections == 1, command.hasPrefix("MAIL") else { return .usual }
            return .drop(says421 ? "421 4.3.2 too late\r\n" : "")
        }
        bench.submit(bench.job())
        let report = bench.run(2)[1]
        #expect(report.results.allSatisfy { $0.isDelivered })
        #expect(report.attempts.count == 1)
        #expect(report.attempts.first?.isReused == false)
        #expect(peer.connections == 2)
    }

    @Test func oneWaitsForAConnectionOfTheLimit() throws {
        let bench = try WorkerBench { $0.connectionsPerHost = 2 }
        let peer = try bench.peer()
        bench.use([bench.host(peer)])
        for _ in 0..<10 { bench.submit(bench.job()) }
        #expect(bench.run(10).allSatisfy { $0.results.allSatisfy { $0.isDelivered } })
        #expect(peer.connections == 2)
    }

    @Test func slotsThatRunOutAreAwaited() throws {
        let bench = try WorkerBench { $0.connectionsPerWorker = 6 }
        let peers = try (0..<4).map { _ in try bench.peer() }
        for peer in peers {
            bench.use([bench.host(peer)], ttl: 0)
            bench.submit(bench.job())
            bench.worker.reactor.turn()
        }
        #expect(bench.run(4).allSatisfy { $0.results.allSatisfy { $0.isDelivered } })
    }

    // MARK: Recipients

    @Test func eachRecipientHasItsResult() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer()
        peer.script = { command in
            if command.contains("<no@") { return .reply("550 5.1.1 unknown") }
            if command.contains("<later@") { return .reply("450 4.2.0 greylisted") }
            return .usual
        }
        bench.use([bench.host(peer)])
        bench.submit(bench.job(["a@to.example", "no@to.example", "later@to.example", "b@to.example"]))
        let results = try #require(bench.run().first).results
        #expect(results[0].isDelivered && results[3].isDelivered)
        #expect(results[1].failure?.permanence == .permanent)
        #expect(results[1].failure?.status == EnhancedStatus(5, 1, 1))
        #expect(results[2].failure?.permanence == .temporary)
        #expect(peer.messages.first?.recipients.count == 2)
        // The connection is of use afterwards.
        bench.submit(bench.job())
        #expect(bench.run(2)[1].results.allSatisfy { $0.isDelivered })
        #expect(peer.connections == 1)
    }

    @Test func limitsOfRecipientsAndMessagesAreKept() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer { $0.keywords.append("LIMITS RCPTMAX=2 MAILMAX=2") }
        bench.use([bench.host(peer)])
        bench.submit(bench.job((0..<7).map { "r\($0)@to.example" }))
        let report = try #require(bench.run().first)
        #expect(report.results.allSatisfy { $0.isDelivered })
        #expect(peer.messages.map(\.recipients.count) == [2, 2, 2, 1])
        #expect(peer.connections == 2)
        #expect(report.attempts.flatMap(\.recipients).count == 7)
    }

    @Test func lmtpTellsOfEachRecipient() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer {
            $0.isLMTP = true
            $0.script = { $0 == "." ? .reply("250 2.0.0 a\r\n452 4.2.2 full\r\n550 5.7.1 no") : .usual }
        }
        bench.use([bench.host(peer, .plain) { $0.isLMTP = true }])
        bench.submit(bench.job(["a@to.example", "b@to.example", "c@to.example"]))
        let results = try #require(bench.run().first).results
        #expect(peer.commands.first == "LHLO out.example")
        #expect(results[0].isDelivered)
        #expect(results[1].failure?.status == EnhancedStatus(4, 2, 2))
        #expect(results[2].failure?.status == EnhancedStatus(5, 7, 1))
    }

    @Test func dsnParametersGoAlong() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer()
        bench.use([bench.host(peer)])
        var envelope = EnvelopeRecord()
        envelope.ret = .headers
        envelope.envid = Array("id+2B7".utf8)
        bench.submit(
            bench.job(envelope: envelope) {
                RemoteRecipient(
                    address: Array($0.utf8), notify: DSNNotify([.success, .delay]).rawValue,
                    originalRecipient: Array("rfc822;Bob@old.example".utf8))
            })
        _ = bench.run()
        #expect(peer.commands[1].hasSuffix(" RET=HDRS ENVID=id+2B7"))
        #expect(peer.commands[2] == "RCPT TO:<bob@to.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Bob@old.example")
        peer.keywords.removeAll { $0 == "DSN" }
    }

    // MARK: Hosts

    @Test(arguments: ["connect", "greeting", "EHLO", "MAIL"]) func nextHostTakesIt(_ stage: String) throws {
        let bench = try WorkerBench()
        let bad = try bench.peer()
        let good = try bench.peer()
        if stage == "greeting" { bad.greeting = "554 5.3.2 no service" }
        bad.script = {
            $0.hasPrefix(stage) || (stage == "EHLO" && $0.hasPrefix("HELO")) ? .reply("550 5.7.1 not you") : .usual
        }
        var first = bench.host(bad, name: "bad.example")
        if stage == "connect" { first.port = 1 }
        bench.use([first, bench.host(good, name: "good.example")])
        bench.submit(bench.job(["a@to.example", "b@to.example"]))
        let report = try #require(bench.run().first)
        #expect(report.results.allSatisfy { $0.isDelivered })
        #expect(report.attempts.map { text($0.host) } == ["bad.example", "good.example"])
        for recipient in report.attempts[0].recipients {
            guard case .passedOn = recipient.result else {
                Issue.record("not passed on: \(recipient.result)")
                continue
            }
        }
        // A peer that says 354 all the same gets an empty message.
        #expect(bad.messages.allSatisfy { $0.data.isEmpty } && good.messages.count == 1)
    }

    @Test(arguments: ["MAIL", "greeting"]) func permanentAtEveryHostIsPermanent(_ stage: String) throws {
        let bench = try WorkerBench()
        let peer = try bench.peer()
        if stage == "greeting" { peer.greeting = "554 5.3.2 no service" }
        peer.script = { $0.hasPrefix(stage) ? .reply("550 5.7.1 not you") : .usual }
        bench.use([bench.host(peer)])
        bench.submit(bench.job())
        let report = try #require(bench.run().first)
        #expect(report.results.first?.failure?.permanence == .permanent)
        #expect(report.attempts.count == 1)
        guard case .failed = report.attempts[0].recipients[0].result else {
            Issue.record("the last attempt passes nothing on")
            return
        }
    }

    @Test func refusedConnectionIsTemporaryAndOfTheSite() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer()
        bench.use([bench.host(peer) { $0.port = 1 }])
        bench.submit(bench.job())
        let report = try #require(bench.run().first)
        #expect(report.results.first?.failure?.permanence == .temporary)
        #expect(report.results.first?.failure?.status == EnhancedStatus(4, 4, 1))
        guard case .unreachable = report.site else {
            Issue.record("\(report.site)")
            return
        }
    }

    @Test func secondAddressOfAHostServes() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer()
        bench.use([
            bench.host(peer) { $0.addresses = [IPAddress(v4: 127, 0, 0, 77), IPAddress(v4: 127, 0, 0, 1)] }
        ])
        bench.submit(bench.job())
        #expect(bench.run().first?.results.first?.isDelivered == true)
        // The dead address goes last for a while.
        bench.submit(bench.job())
        #expect(bench.run(2)[1].attempts.count == 1)
    }

    @Test func a421AtTheGreetingThrottles() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer { $0.greeting = "421 4.7.0 too many connections" }
        bench.use([bench.host(peer)])
        bench.submit(bench.job())
        let report = try #require(bench.run().first)
        guard case .throttled = report.site else {
            Issue.record("\(report.site)")
            return
        }
        #expect(report.results.first?.failure?.permanence == .temporary)
    }

    @Test(arguments: [
        ("MAIL", "4"), ("RCPT", "4"), ("DATA", "4"), (".", "4"), ("RCPT", "5"), ("DATA", "5"), (".", "5"),
    ]) func refusalsKeepTheirClass(_ stage: String, _ digit: String) throws {
        let bench = try WorkerBench()
        let peer = try bench.peer()
        peer.script = { $0.hasPrefix(stage) ? .reply("\(digit)50 \(digit).7.1 policy") : .usual }
        bench.use([bench.host(peer)])
        bench.submit(bench.job())
        let failure = bench.run().first?.results.first?.failure
        #expect(failure?.permanence == (digit == "5" ? .permanent : .temporary))
        #expect(failure?.code == (digit == "5" ? 550 : 450))
        #expect(failure?.source == .remote)
    }

    @Test(arguments: ["EHLO", "MAIL", "RCPT", "DATA", "."]) func dropsAreTemporary(_ stage: String) throws {
        let bench = try WorkerBench()
        let peer = try bench.peer()
        peer.script = { $0.hasPrefix(stage) ? .drop("") : .usual }
        bench.use([bench.host(peer)])
        bench.submit(bench.job())
        let report = try #require(bench.run().first)
        #expect(report.results.first?.failure?.permanence == .temporary)
        #expect(report.attempts.count == 1)
    }

    /// After the final dot nobody knows: another host would make two messages of it.
    @Test func lostAfterTheDotIsNotGivenToAnother() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer()
        let other = try bench.peer()
        peer.script = { $0 == "." ? .drop("") : .usual }
        bench.use([bench.host(peer), bench.host(other, name: "other.example")])
        bench.submit(bench.job())
        #expect(bench.run().first?.results.first?.failure?.permanence == .temporary)
        #expect(other.connections == 0)
    }

    @Test func planFailureIsTheResult() throws {
        let bench = try WorkerBench()
        let none = DeliveryFailure(.permanent, .dns, EnhancedStatus(5, 1, 10), text: Array("null MX".utf8))
        bench.planner.verdict.withLock { $0 = DeliveryPlanVerdict(outcome: .failed(none)) }
        bench.submit(bench.job())
        #expect(bench.run().first?.results == [.failed(none)])
    }

    // MARK: What the peer cannot do

    @Test func tooLargeIsNotSent() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer { $0.keywords = ["SIZE 20", "PIPELINING"] }
        bench.use([bench.host(peer)])
        bench.submit(bench.job())
        let failure = bench.run().first?.results.first?.failure
        #expect(failure?.status == EnhancedStatus(5, 3, 4))
        #expect(failure?.permanence == .permanent)
        #expect(!peer.commands.contains { $0.hasPrefix("MAIL") })
    }

    @Test func internationalizedMailFindsAHostThatTakesIt() throws {
        let bench = try WorkerBench()
        let old = try bench.peer()
        let new = try bench.peer { $0.keywords.append("SMTPUTF8") }
        bench.use([bench.host(old, name: "old.example"), bench.host(new, name: "new.example")])
        bench.submit(bench.job(["bø@to.example"]))
        #expect(bench.run().first?.results.first?.isDelivered == true)
        #expect(new.commands.contains { $0.hasPrefix("MAIL") && $0.contains(" SMTPUTF8") })
        bench.use([bench.host(old, name: "old.example")], ttl: 0)
        let alone = try WorkerBench()
        let peer = try alone.peer()
        alone.use([alone.host(peer)])
        alone.submit(alone.job(["bø@to.example"]))
        #expect(alone.run().first?.results.first?.failure?.status == EnhancedStatus(5, 6, 7))
    }

    @Test func asciiMailNeedsNoSMTPUTF8() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer()
        bench.use([bench.host(peer)])
        var envelope = EnvelopeRecord()
        envelope.smtpUTF8 = true
        bench.submit(bench.job(envelope: envelope))
        #expect(bench.run().first?.results.first?.isDelivered == true)
    }

    @Test func eightBitIsSaid() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer()
        bench.use([bench.host(peer)])
        bench.submit(bench.job(body: Array("Subject: x\r\n\r\ngrün\r\n".utf8)))
        #expect(bench.run().first?.results.first?.isDelivered == true)
        #expect(peer.commands[1].hasSuffix(" BODY=8BITMIME"))
    }

    private static let german = Array(
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngrün\r\n"
            .utf8)

    @Test func eightBitIsConvertedForAnOldServer() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer { $0.keywords = ["PIPELINING", "SIZE"] }
        bench.use([bench.host(peer)])
        bench.submit(bench.job(body: Self.german))
        #expect(bench.run().first?.results.first?.isDelivered == true)
        let data = text(peer.messages[0].data)
        #expect(data.contains("gr=C3=BCn") && data.hasPrefix("Received: from there\r\n"))
        #expect(peer.connections == 1 && !peer.commands[1].contains("BODY"))
    }

    @Test func eightBitFromTheStoreIsConverted() throws {
        let bench = try WorkerBench { $0.sliceBytes = 40 }
        let peer = try bench.peer { $0.keywords = ["PIPELINING"] }
        bench.use([bench.host(peer)])
        let id = try bench.keep(Self.german)
        var envelope = EnvelopeRecord()
        envelope.bodyType = .eightBitMIME
        bench.submit(bench.job(body: nil, size: Self.german.count, id: id, envelope: envelope))
        #expect(bench.run().first?.results.first?.isDelivered == true)
        #expect(text(peer.messages[0].data).contains("gr=C3=BCn"))
    }

    @Test func eightBitThatCannotBeConvertedIsReturned() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer { $0.keywords = ["PIPELINING"] }
        bench.use([bench.host(peer)])
        bench.submit(bench.job(body: Array("Subject: grün\r\n\r\ngrün\r\n".utf8)))
        #expect(bench.run().first?.results.first?.failure?.status == EnhancedStatus(5, 6, 3))
        #expect(peer.messages.isEmpty)
    }

    @Test func binaryGoesByChunks() throws {
        let bench = try WorkerBench { $0.sliceBytes = 100 }
        let peer = try bench.peer { $0.keywords += ["CHUNKING", "BINARYMIME"] }
        bench.use([bench.host(peer)])
        var envelope = EnvelopeRecord()
        envelope.bodyType = .binaryMIME
        let body = (0..<1_000).map { UInt8(truncatingIfNeeded: $0) }
        bench.submit(bench.job(body: body, envelope: envelope))
        #expect(bench.run().first?.results.first?.isDelivered == true)
        #expect(peer.messages.first?.data == Array("Received: from there\r\n".utf8) + body)
    }

    // MARK: Bodies

    private func large(_ size: Int) -> [UInt8] {
        var body = Array("Subject: large\r\n\r\n".utf8)
        var n = 0
        while body.count < size {
            body += Array(".\(n) line\r\n..\r\n".utf8)
            n += 1
        }
        return body
    }

    @Test func largeBodiesAreStreamed() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer()
        bench.use([bench.host(peer)])
        let body = large(5 << 20)
        let id = try bench.keep(body)
        bench.submit(bench.job(body: nil, size: body.count, id: id))
        #expect(bench.run().first?.results.first?.isDelivered == true)
        #expect(peer.messages.first?.data == Array("Received: from there\r\n".utf8) + body)
        // The same from memory.
        bench.submit(bench.job(body: body))
        #expect(bench.run(2)[1].results.first?.isDelivered == true)
        #expect(peer.messages.last?.data == Array("Received: from there\r\n".utf8) + body)
    }

    @Test func smallStoredBodyIsReadFirst() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer()
        bench.use([bench.host(peer)])
        let id = try bench.keep(Array("a\r\n".utf8))
        bench.submit(bench.job(body: nil, size: 3, id: id))
        #expect(bench.run().first?.results.first?.isDelivered == true)
        #expect(text(peer.messages[0].data).hasSuffix("\r\na\r\n"))
    }

    @Test func missingBodyIsTemporaryAndSendsNothing() throws {
        let bench = try WorkerBench { $0.sliceBytes = 10 }
        let peer = try bench.peer()
        bench.use([bench.host(peer)])
        bench.submit(bench.job(body: nil, size: 5, id: MessageID(rawValue: 5)))
        #expect(bench.run().first?.results.first?.failure?.permanence == .temporary)
        bench.submit(bench.job(body: nil, size: 500, id: MessageID(rawValue: 5)))
        let failure = bench.run(2)[1].results.first?.failure
        #expect(failure?.permanence == .temporary)
        #expect(failure?.source == .local)
        #expect(peer.messages.isEmpty)
    }

    // MARK: Hostile peers

    @Test(arguments: ["greeting", "EHLO", "MAIL", "."]) func silenceEnds(_ stage: String) throws {
        let bench = try WorkerBench { $0.stageScale = 0.001 }
        let peer = try bench.peer()
        if stage == "greeting" { peer.onConnection = { _ in .silence } }
        peer.script = { $0.hasPrefix(stage) ? .silence : .usual }
        bench.use([bench.host(peer)])
        bench.submit(bench.job())
        let failure = bench.run().first?.results.first?.failure
        #expect(failure?.permanence == .temporary)
        #expect(failure.map { text($0.text).contains("no answer in time") } == true)
    }

    @Test(arguments: ["250-endless\r\n", "x"]) func drippingEnds(_ words: String) throws {
        let bench = try WorkerBench {
            $0.openingSeconds = 0.5
            $0.transactionSeconds = 0.5
        }
        let peer = try bench.peer()
        let fast = try bench.peer()
        peer.script = { $0.hasPrefix("EHLO") ? .drip(words) : .usual }
        bench.use([bench.host(peer)], ttl: 0)
        bench.submit(bench.job())
        bench.worker.reactor.turn()
        bench.use([bench.host(fast, name: "fast.example")], ttl: 0)
        bench.submit(bench.job())
        let first = try #require(bench.run().first)
        #expect(first.results.first?.isDelivered == true)
        #expect(bench.run(2)[1].results.first?.failure?.permanence == .temporary)
    }

    @Test func endlessReplyEnds() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer()
        let many = String(repeating: "250-and more\r\n", count: 5_000)
        peer.script = { $0.hasPrefix("EHLO") ? .reply(many) : .usual }
        bench.use([bench.host(peer)])
        bench.submit(bench.job())
        #expect(bench.run().first?.results.first?.failure?.permanence == .temporary)
    }

    @Test func repliesWithoutTextDo() throws {
        let bench = try WorkerBench()
        let peer = try bench.peer { $0.greeting = "220" }
        peer.script = {
            switch $0.prefix(4) {
            case "EHLO", "MAIL", "RCPT", ".": .reply("250")
            case "DATA": .reply("354")
            default: .usual
            }
        }
        bench.use([bench.host(peer)])
        bench.submit(bench.job())
        #expect(bench.run().first?.results.first?.isDelivered == true)
    }

    // MARK: Stopping

    @Test func stoppingGivesBackWhatWasNotTried() throws {
        let bench = try WorkerBench { $0.connectionsPerHost = 1 }
        let peer = try bench.peer()
        peer.script = { $0 == "." ? .silence : .usual }
        bench.use([bench.host(peer)])
        bench.submit(bench.job())
        bench.submit(bench.job())
        bench.turn(until: { !peer.messages.isEmpty })
        bench.worker.stop(graceSeconds: 0.2)
        let reports = bench.run(2)
        #expect(reports[0].site == .notTried)
        #expect(reports[1].results.first?.failure?.permanence == .temporary)
        #expect(reports[1].site != .notTried)
        #expect(bench.worker.handle.jobs == 0)
    }

    @Test func fullWorkersSaySo() throws {
        let bench = try WorkerBench { $0.jobsPerWorker = 2 }
        let peer = try bench.peer { $0.onConnection = { _ in .silence } }
        bench.use([bench.host(peer)])
        #expect(bench.worker.handle.submit(bench.job()))
        #expect(bench.worker.handle.submit(bench.job()))
        #expect(!bench.worker.handle.submit(bench.job()))
    }
}
