import Foundation
import Handoff
import Protocols
import ResolverUnbound
import Synchronization
import Testing

/// Notes what the resolver reports.
final class NotingObserver: ResolverObserver {
    struct Note: Sendable, Equatable {
        var question: DNSQuestion
        var status: DNSStatus
        var shared: Int
    }
    let notes = Mutex<[Note]>([])
    let refusals = Mutex<Int>(0)

    func answered(_ question: DNSQuestion, _ answer: DNSAnswer, nanoseconds: UInt64, shared: Int) {
        notes.withLock { $0.append(Note(question: question, status: answer.status, shared: shared)) }
    }
    func refused(_ question: DNSQuestion) { refusals.withLock { $0 += 1 } }
    let memories = Mutex<Int>(0)
    func remembered(_ question: DNSQuestion) { memories.withLock { $0 += 1 } }
    let restarts = Mutex<Int>(0)
    func restarted() { restarts.withLock { $0 += 1 } }
}

extension Resolver {
    /// Asks and waits; nil when the inbox was full.
    func wait(_ questions: [DNSQuestion]) -> [DNSAnswer]? {
        let inbox = Mailbox<[DNSAnswer]>(capacity: 2)
        guard ask(questions, reply: { _ = inbox.post($0.map(\.1)) }) else { return nil }
        while true {
            if let answers = inbox.next() { return answers }
            inbox.wait()
        }
    }
}

func question(_ name: String, _ type: DNSRecordType) -> DNSQuestion { DNSQuestion(DNSName(name) ?? .root, type) }

@Suite(.serialized) struct ResolverTests {
    private func with<T>(
        _ rows: [(String, DNSRecordType, FakeNameServer.Behaviour)], timeout: Double = 20,
        limits: ResolverLimits = ResolverLimits(), observer: NotingObserver? = nil,
        _ body: (Resolver, FakeNameServer) throws -> T
    ) throws -> T {
        let server = try FakeNameServer(rows)
        defer { server.stop() }
        let resolver = try Resolver(
            ResolverConfiguration(forward: [server.address], anchors: .none, timeoutSeconds: timeout), limits: limits,
            observer: observer)
        defer { resolver.stop() }
        return try body(resolver, server)
    }

    private static let host: [UInt8] = [2, 0x6D, 0x78, 7] + Array("example".utf8) + [0]

    @Test func everyTypeAndEveryStatus() throws {
        let rows: [(String, DNSRecordType, FakeNameServer.Behaviour)] = [
            ("a.example", .a, .records([[192, 0, 2, 1], [192, 0, 2, 2]])),
            ("a.example", .aaaa, .records([[UInt8](repeating: 1, count: 16)])),
            ("a.example", .mx, .records([[0, 10] + Self.host])),
            ("a.example", .txt, .records([[1, 0x61, 1, 0xFF]])),
            ("4.3.2.1.in-addr.arpa", .ptr, .records([Self.host])),
            ("_25._tcp.a.example", .tlsa, .records([[3, 1, 1, 0xAA]])),
            ("c.example", .cname, .records([Self.host])),
            ("nodata.example", .a, .noData),
            ("fails.example", .a, .code(2)),
        ]
        try with(rows) { resolver, _ in
            let asked = rows.map { question($0.0, $0.1) } + [question("nowhere.example", .a)]
            let answers = try #require(resolver.wait(asked))
            let mx = DNSName("mx.example") ?? .root
            let tlsa = TLSAData(usage: 3, selector: 1, matchingType: 1, data: [0xAA])
            #expect(Set(answers[0].addresses) == [IPAddress(v4: 192, 0, 2, 1), IPAddress(v4: 192, 0, 2, 2)])
            #expect(answers[0].ttl == 60)
            #expect(answers[1].addresses.map(\.bytes) == [[UInt8](repeating: 1, count: 16)])
            #expect(answers[2].records == [.mx(preference: 10, host: mx)])
            #expect(answers[3].texts == [[0x61, 0xFF]])
            #expect(answers[4].records == [.ptr(mx)])
            #expect(answers[5].records == [.tlsa(tlsa)])
            #expect(answers[6].records == [.cname(mx)])
            #expect(answers[7].status == .noData)
            #expect(answers[8].status == .servFail)
            #expect(answers[9].status == .nxDomain)
            #expect(answers.allSatisfy { $0.security == .insecure })
        }
    }

    @Test func aliasesAreFollowed() throws {
        try with([
            ("one.example", .a, .alias("two.example")), ("two.example", .a, .alias("Three.example")),
            ("three.example", .a, .records([[192, 0, 2, 3]])),
            ("lost.example", .a, .alias("nowhere.example")), ("empty.example", .a, .alias("nodata.example")),
            ("nodata.example", .a, .noData),
            ("x.example", .a, .alias("y.example")), ("y.example", .a, .alias("x.example")),
        ]) { resolver, _ in
            let names = ["one.example", "lost.example", "empty.example", "x.example"]
            let answers = try #require(resolver.wait(names.map { question($0, .a) }))
            #expect(answers[0].addresses == [IPAddress(v4: 192, 0, 2, 3)])
            #expect(answers[0].canonicalName == DNSName("three.example"))
            #expect(answers[1].status == .nxDomain)
            #expect(answers[2].status == .noData)
            #expect(answers[3].status == .servFail)
        }
    }

    /// RFC 6303, RFC 6761: a resolver of the operator's choice is asked these too.
    @Test(arguments: [
        "host.test", "1.0.0.127.in-addr.arpa", "1.1.168.192.in-addr.arpa", "x.invalid", "localhost",
        "2.0.0.10.in-addr.arpa",
    ])
    func builtInZonesGiveWay(_ name: String) throws {
        try with([(name, .txt, .records([[1, 0x79]]))]) { resolver, _ in
            #expect(resolver.wait([question(name, .txt)])?.first?.texts == [[0x79]])
        }
    }

    @Test(arguments: [
        "a b.example", "%{d}.example", "_x._y.example", "b\\a\"c;d@e.example", "\u{1}\u{7F}.example", "é.example",
    ])
    func oddOctetsReachTheServer(_ name: String) throws {
        try with([(name, .txt, .records([[1, 0x79]]))]) { resolver, server in
            #expect(resolver.wait([question(name, .txt)])?.first?.texts == [[0x79]])
            #expect(server.queries(name, .txt) == 1)
        }
    }

    @Test(arguments: [[], [[1, 2, 3]], [[192, 0, 2, 1], [1]]] as [[[UInt8]]])
    func malformedRecordsAreAFailure(_ rdata: [[UInt8]]) throws {
        try with([("bad.example", .a, .records(rdata))]) { resolver, _ in
            let answer = resolver.wait([question("bad.example", .a)])?.first
            #expect(answer?.records == [])
            #expect(answer?.status == (rdata.isEmpty ? .noData : .servFail))
        }
    }

    @Test func identicalQuestionsShareAQuery() throws {
        let observer = NotingObserver()
        // The first query is lost, so all are asked before there is an answer.
        try with([("slow.example", .a, .from(2, [[192, 0, 2, 1]]))], observer: observer) { resolver, server in
            let names = ["slow.example", "SLOW.example", "slow.EXAMPLE"]
            let answers = try #require(resolver.wait(names.map { question($0, .a) }))
            #expect(answers.allSatisfy { $0.addresses == [IPAddress(v4: 192, 0, 2, 1)] })
            #expect(server.queries("slow.example", .a) == 2)
            #expect(observer.notes.withLock { $0.map(\.shared) } == [2])
        }
    }

    @Test func silenceIsATimeoutAndStallsNobody() throws {
        let observer = NotingObserver()
        try with(
            [("dead.example", .a, .silent), ("alive.example", .a, .records([[192, 0, 2, 1]]))], timeout: 1,
            observer: observer
        ) { resolver, _ in
            let late = Mailbox<DNSAnswer?>(capacity: 2)
            #expect(resolver.ask([question("dead.example", .a)]) { _ = late.post($0.first?.1) })
            // Answered while the other waits.
            #expect(resolver.wait([question("alive.example", .a)])?.first?.status == .noError)
            #expect(late.next() == nil)
            while true {
                if let answer = late.next() {
                    #expect(answer?.status == .timeout)
                    break
                }
                late.wait()
            }
            #expect(observer.notes.withLock { $0.map(\.status) } == [.noError, .timeout])
        }
    }

    /// The query goes on after its asker was told that it is late; who asks again joins it.
    @Test func aLateAnswerIsNotLost() throws {
        try with([("late.example", .a, .from(4, [[192, 0, 2, 1]]))], timeout: 1) { resolver, _ in
            #expect(resolver.wait([question("late.example", .a)])?.first?.status == .timeout)
            var answer = DNSAnswer.timeout
            for _ in 0..<20 where answer.status == .timeout {
                answer = resolver.wait([question("late.example", .a)])?.first ?? .timeout
            }
            #expect(answer.addresses == [IPAddress(v4: 192, 0, 2, 1)])
        }
    }

    @Test func aFullTableTurnsQuestionsAway() throws {
        var limits = ResolverLimits()
        limits.open = 2
        limits.probesAtStart = false
        let observer = NotingObserver()
        let names = ["a.dead.example", "b.dead.example", "c.dead.example"]
        try with(names.map { ($0, .a, .silent) }, timeout: 1, limits: limits, observer: observer) { resolver, server in
            let answers = try #require(resolver.wait(names.map { question($0, .a) }))
            #expect(answers.map(\.status) == [.timeout, .timeout, .timeout])
            #expect(server.queries("c.dead.example", .a) == 0)
            // Given up by those who asked, but not by libunbound.
            #expect(resolver.inFlight == 2 && resolver.inFlightMax == 2)
            #expect(observer.refusals.withLock { $0 } == 1)
        }
    }

    /// Names without servers do not fill the table for as long as libunbound works on them: nobody waits for long in a
    /// crowd, and what nobody waits for goes.
    @Test func aCrowdOfDeadNamesIsCleared() throws {
        var limits = ResolverLimits()
        limits.open = 32
        limits.crowded = 12
        limits.crowdedSeconds = 0.2
        limits.silenceQuestions = 1_000
        limits.probesAtStart = false
        let observer = NotingObserver()
        let names = (0..<30).map { "\($0).dead.example" }
        let zone = names.map { ($0, DNSRecordType.a, FakeNameServer.Behaviour.silent) }
        try with(
            zone + [
                ("live.example", .a, .records([[192, 0, 2, 2]])), ("more.example", .a, .records([[192, 0, 2, 3]])),
            ],
            timeout: 3_600, limits: limits, observer: observer
        ) { resolver, _ in
            _ = try #require(resolver.wait([question("live.example", .a)]))
            // Without the crowd they would be waited for an hour.
            let answers = try #require(resolver.wait(names.map { question($0, .a) }))
            #expect(answers.allSatisfy { $0.status == .timeout })
            // Until they are gone from the table too; it is looked at without anybody asking.
            while resolver.inFlight > 0 { usleep(10_000) }
            #expect(observer.restarts.withLock { $0 } >= 1)
            #expect(resolver.wait([question("more.example", .a)])?.first?.status == .noError)
        }
    }

    @Test func whatIsKnownIsNotAskedAgain() throws {
        let observer = NotingObserver()
        try with([("a.example", .a, .records([[192, 0, 2, 1]]))], observer: observer) { resolver, server in
            for _ in 0..<3 {
                let answer = resolver.wait([question("a.example", .a)])?.first
                #expect(answer?.addresses == [IPAddress(v4: 192, 0, 2, 1)])
                #expect((1...60).contains(answer?.ttl ?? 0))
            }
            #expect(server.queries("a.example", .a) == 1)
            #expect(observer.memories.withLock { $0 } == 2)
        }
    }

    /// What was asked before the fresh start is asked again by it, and answered then.
    @Test func silenceEndsInAFreshStart() throws {
        var limits = ResolverLimits()
        limits.silenceQuestions = 2
        limits.silenceSeconds = 0.1
        let observer = NotingObserver()
        let names = ["a.slow.example", "b.slow.example"]
        let zone = names.map { ($0, DNSRecordType.a, FakeNameServer.Behaviour.from(2, [[192, 0, 2, 1]])) }
        try with(zone + [("live.example", .a, .records([[192, 0, 2, 2]]))], limits: limits, observer: observer) {
            resolver, _ in
            _ = try #require(resolver.wait([question("live.example", .a)]))
            #expect(resolver.hasAnswered)
            let answers = try #require(resolver.wait(names.map { question($0, .a) }))
            #expect(answers.allSatisfy { $0.addresses == [IPAddress(v4: 192, 0, 2, 1)] })
            #expect(observer.restarts.withLock { $0 } >= 1)
        }
    }

    /// A network without DNS: after a moment nobody waits any more, and the first answer ends that.
    @Test func whereNothingEverAnsweredNobodyWaits() throws {
        var limits = ResolverLimits()
        limits.silenceSeconds = 0.1
        limits.probeSeconds = 0.1
        limits.probesAtStart = false
        let zone = [
            ("dead.example", DNSRecordType.a, FakeNameServer.Behaviour.silent),
            ("late.example", .a, .from(3, [[192, 0, 2, 7]])),
        ]
        try with(zone, timeout: 30, limits: limits) { resolver, server in
            let first = try #require(resolver.wait([question("dead.example", .a)]))
            #expect(first.map(\.status) == [.timeout])
            #expect(!resolver.hasAnswered)
            // Each of these is a probe of its own; the third query of them is answered.
            var tries = 0
            while !resolver.hasAnswered, tries < 1_000 {
                _ = resolver.wait([question("late.example", .a)])
                _ = resolver.wait([])
                usleep(10_000)
                tries += 1
            }
            #expect(resolver.hasAnswered)
            let answers = try #require(resolver.wait([question("late.example", .a)]))
            #expect(answers.first?.addresses == [IPAddress(v4: 192, 0, 2, 7)])
            #expect(server.queries("dead.example", .a) >= 1)
        }
    }

    @Test func stoppingAnswersWhoStillWaits() throws {
        let replies = Mutex<[DNSStatus]>([])
        try with([("dead.example", .a, .silent)]) { resolver, _ in
            #expect(
                resolver.ask([question("dead.example", .a)]) { answers in
                    replies.withLock { $0 += answers.map(\.1.status) }
                })
        }
        #expect(replies.withLock { $0 } == [.timeout])
    }

    @Test func nothingAskedIsAnsweredAtOnce() throws {
        try with([]) { resolver, _ in #expect(resolver.wait([]) == []) }
    }

    @Test func aFileThatHoldsNoAnchorsIsAnError() throws {
        let path = FileManager.default.temporaryDirectory.appending(
            path: "anchor-\(ProcessInfo.processInfo.globallyUniqueString)"
        ).path
        try Data("good.example. DS nonsense\n".utf8).write(to: URL(filePath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        for forward in [[], ["127.0.0.1@9"]] {
            #expect(throws: ResolverError.self) {
                try Resolver(ResolverConfiguration(forward: forward, anchors: .file(path)))
            }
        }
    }

    @Test func anEmptyAnchorFileMeansNoValidation() throws {
        let server = try FakeNameServer([("a.example", .txt, .records([[1, 0x79]]))])
        defer { server.stop() }
        let resolver = try Resolver(ResolverConfiguration(forward: [server.address], anchors: .file("/dev/null")))
        defer { resolver.stop() }
        let answer = resolver.wait([question("a.example", .txt)])?.first
        #expect(answer?.texts == [[0x79]])
        #expect(answer?.security == .insecure)
    }

    @Test func settingsThatCannotBe() {
        for configuration in [
            ResolverConfiguration(forward: ["no address"], anchors: .none),
            ResolverConfiguration(anchors: .file("/nonexistent/anchor")),
            ResolverConfiguration(anchors: .none, rootHints: "/nonexistent/hints"),
        ] {
            #expect(throws: ResolverError.self) { try Resolver(configuration) }
        }
    }
}
