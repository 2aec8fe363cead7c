import Base
import Protocols
import Testing

@testable import ResolverUnbound

@Suite struct AnswerCacheTests {
    private let start = Instant(nanoseconds: 5_000_000_000)

    private func answer(_ ttl: UInt32, text: Int = 1) -> DNSAnswer {
        .records([.txt([UInt8](repeating: 0x61, count: text))], ttl: ttl)
    }

    @Test func anAnswerHoldsForItsTime() {
        var cache = AnswerCache(entries: 10, octets: 1 << 20, seconds: 100)
        cache.learn(question("a.example", .txt), answer(30), start)
        cache.learn(question("long.example", .txt), answer(5_000), start)
        let later = start.advanced(bySeconds: 10)
        #expect(cache.answer(to: question("A.example", .txt), later)?.ttl == 20)
        #expect(cache.answer(to: question("a.example", .mx), later) == nil)
        #expect(cache.answer(to: question("a.example", .txt), start.advanced(bySeconds: 30)) == nil)
        #expect(cache.answer(to: question("long.example", .txt), start.advanced(bySeconds: 100)) == nil)
    }

    @Test(arguments: [DNSStatus.servFail, .timeout, .refused]) func failuresAreNotKept(_ status: DNSStatus) {
        var cache = AnswerCache(entries: 10, octets: 1 << 20, seconds: 100)
        cache.learn(question("a.example", .a), DNSAnswer(status: status, ttl: 60), start)
        cache.learn(question("b.example", .a), DNSAnswer(status: .noError, security: .bogus, ttl: 60), start)
        cache.learn(question("c.example", .a), DNSAnswer(status: .noError, ttl: 0), start)
        #expect(cache.count == 0)
        cache.learn(question("d.example", .a), DNSAnswer(status: .nxDomain, ttl: 60), start)
        #expect(cache.count == 1)
    }

    @Test func theOldestGoFirst() {
        var cache = AnswerCache(entries: 100, octets: 1 << 20, seconds: 100)
        for n in 0..<1_000 { cache.learn(question("n\(n).example", .txt), answer(60), start) }
        #expect(cache.count == 100)
        #expect(cache.answer(to: question("n899.example", .txt), start) == nil)
        #expect(cache.answer(to: question("n900.example", .txt), start) != nil)
    }

    @Test func octetsAreBounded() {
        var cache = AnswerCache(entries: 1_000, octets: 100_000, seconds: 100)
        for n in 0..<100 { cache.learn(question("n\(n % 50).example", .txt), answer(60, text: 10_000), start) }
        #expect((5...9).contains(cache.count))
        #expect(cache.cost <= 100_000)
        cache.learn(question("huge.example", .txt), answer(60, text: 60_000), start)
        #expect(cache.answer(to: question("huge.example", .txt), start) == nil)
    }
}
