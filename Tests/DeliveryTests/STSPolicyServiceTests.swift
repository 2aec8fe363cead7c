import Base
import Fetch
import Foundation
import Handoff
import MailAuth
import Protocols
import Store
import Synchronization
import Testing

@testable import Delivery

/// The service over a resolver that is a table: who is asked, how often, and what waits is told.
@Suite struct STSPolicyServiceTests {
    private final class TableResolver: DNSResolver {
        let answers: [DNSQuestion: DNSAnswer]
        let asked = Mutex<[DNSQuestion]>([])
        /// Replies are kept back until `release`.
        let held = Mutex<[@Sendable () -> Void]?>(nil)

        init(_ answers: [DNSQuestion: DNSAnswer]) { self.answers = answers }

        func ask(_ questions: [DNSQuestion], reply: @escaping DNSReply) -> Bool {
            asked.withLock { $0 += questions }
            let found = questions.map { ($0, answers[$0] ?? DNSAnswer(status: .nxDomain, ttl: 300)) }
            let isHeld = held.withLock { held in
                guard held != nil else { return false }
                held?.append { reply(found) }
                return true
            }
            if !isHeld { reply(found) }
            return true
        }

        func release() {
            let replies = held.withLock { held in
                defer { held = nil }
                return held ?? []
            }
            for reply in replies { reply() }
        }
    }

    private final class Shelf: STSPolicyStorage {
        let records = Mutex<[STSPolicyRecord]>([])
        func load() -> [STSPolicyRecord] { records.withLock { $0 } }
        func save(_ record: STSPolicyRecord) { records.withLock { $0.append(record) } }
        func remove(domain: [UInt8]) { records.withLock { $0.removeAll { $0.domain == domain } } }
    }

    private static let domain = "x.example".octets
    private static let now = WallTime(seconds: 1_800_000_000)

    private func question(_ name: String, _ type: DNSRecordType) throws -> DNSQuestion {
        DNSQuestion(try #require(DNSName(name)), type)
    }

    private func announcing() throws -> TableResolver {
        TableResolver([
            try question("_mta-sts.x.example", .txt): .records([.txt("v=STSv1; id=1".octets)]),
            try question("mta-sts.x.example", .a): .records([.a(IPAddress(v4: 127, 0, 0, 1))]),
        ])
    }

    private func wait(_ inbox: Mailbox<STSVerdict>) -> STSVerdict {
        while true {
            if let verdict = inbox.next() { return verdict }
            inbox.wait()
        }
    }

    private func lookup(_ service: STSPolicyService) -> STSVerdict {
        let inbox = Mailbox<STSVerdict>(capacity: 2)
        #expect(service.lookup(Self.domain) { _ = inbox.post($0) })
        return wait(inbox)
    }

    @Test func noRecordIsAskedForOnce() throws {
        let resolver = TableResolver([:])
        let service = STSPolicyService(resolver: resolver, storage: Shelf(), wall: { Self.now })
        defer { service.stop() }
        #expect(lookup(service) == .absent)
        #expect(lookup(service) == .absent)
        #expect(resolver.asked.withLock { $0 } == [try question("_mta-sts.x.example", .txt)])
    }

    @Test func aLocalAddressIsNotFetchedFrom() throws {
        let service = STSPolicyService(resolver: try announcing(), storage: Shelf(), wall: { Self.now })
        defer { service.stop() }
        guard case .fetchFailed(let result, let detail) = lookup(service) else {
            Issue.record("it was fetched")
            return
        }
        #expect(result == .stsPolicyFetchError)
        #expect(String(decoding: detail, as: UTF8.self).contains("not public"))
    }

    @Test func aCachedPolicyHoldsWhenItsHostIsDown() throws {
        let shelf = Shelf()
        shelf.save(
            STSPolicyRecord(
                domain: Self.domain, id: "0".octets,
                policy: "version: STSv1\nmode: enforce\nmx: mx.x.example\nmax_age: 86400\n".octets,
                fetched: Self.now, expires: WallTime(seconds: Self.now.seconds + 86_400)))
        let notes = Mutex<[STSPolicyService.Note]>([])
        var options = STSPolicyService.Options()
        // Nobody listens on the discard port.
        options.access.allowsLocalAddresses = true
        options.access.port = 9
        options.note = { note in notes.withLock { $0.append(note) } }
        let service = STSPolicyService(
            resolver: try announcing(), storage: shelf, options: options, wall: { Self.now })
        defer { service.stop() }
        guard case .policy(let policy, let id) = lookup(service) else {
            Issue.record("the policy is gone")
            return
        }
        #expect(policy.mode == .enforce)
        #expect(id == "0".octets)
        #expect(shelf.records.withLock { $0.count } == 1)
        guard case .failed(_, .stsPolicyFetchError, _, hasCached: true)? = notes.withLock({ $0.first }) else {
            Issue.record("nobody was told")
            return
        }
    }

    @Test func lookupsForOneDomainShareAQuestion() throws {
        let resolver = TableResolver([:])
        resolver.held.withLock { $0 = [] }
        let service = STSPolicyService(resolver: resolver, storage: Shelf(), wall: { Self.now })
        defer { service.stop() }
        let inbox = Mailbox<STSVerdict>(capacity: 64)
        for _ in 0..<20 { #expect(service.lookup(Self.domain) { _ = inbox.post($0) }) }
        // Events are taken in order: when this one is answered, the twenty were seen.
        let other = Mailbox<STSVerdict>(capacity: 2)
        #expect(service.lookup("a..b".octets) { _ = other.post($0) })
        #expect(wait(other) == .absent)
        resolver.release()
        for _ in 0..<20 { #expect(wait(inbox) == .absent) }
        #expect(resolver.asked.withLock { $0.count } == 1)
    }

    @Test func whoWaitsAtTheEndIsTold() throws {
        let resolver = TableResolver([:])
        resolver.held.withLock { $0 = [] }
        let service = STSPolicyService(resolver: resolver, storage: Shelf(), wall: { Self.now })
        let inbox = Mailbox<STSVerdict>(capacity: 2)
        #expect(service.lookup(Self.domain) { _ = inbox.post($0) })
        service.stop()
        #expect(inbox.next() == .absent)
    }

    @Test(arguments: [
        ("192.0.2.1", false), ("10.1.2.3", false), ("127.0.0.1", false), ("169.254.169.254", false),
        ("172.16.0.1", false), ("172.32.0.1", true), ("100.64.0.1", false), ("100.128.0.1", true),
        ("192.168.1.1", false), ("224.0.0.1", false), ("255.255.255.255", false), ("0.0.0.0", false),
        ("8.8.8.8", true), ("::1", false), ("fe80::1", false), ("fc00::1", false), ("64:ff9b::a00:1", false),
        ("2002:a00:1::", false), ("2001:db8::1", false), ("2001::1", false), ("2001:4860:4860::8888", true),
        ("ff02::1", false), ("::ffff:10.0.0.1", false),
    ])
    func publicAddresses(text: String, isGlobal: Bool) throws {
        #expect(try #require(IPAddress(text)).isGlobal == isGlobal)
    }

    @Test func whatCannotBePartOfARequestIsRefused() {
        func fetch(_ host: String, _ path: String) -> FetchProblem? {
            var request = FetchRequest(host: host.octets, path: path.octets, addresses: [IPAddress(v4: 127, 0, 0, 1)])
            request.access.allowsLocalAddresses = true
            request.access.port = 9
            if case .failure(let problem) = HTTPSFetcher.fetch(request) { return problem }
            return nil
        }
        for (host, path) in [
            ("a:b", "/"), ("a/b", "/"), ("a@b", "/"), ("", "/"), ("a", "x"), ("a", "/ x"), ("a,b", "/"),
        ] {
            if case .malformed? = fetch(host, path) {} else { Issue.record("\(host) \(path)") }
        }
        if case .connection? = fetch("a.example", "/") {} else { Issue.record("somebody listens on the discard port") }
        #expect(
            HTTPSFetcher.fetch(FetchRequest(host: "a".octets, path: "/".octets, addresses: [])) == .failure(.noAddress))
    }
}
