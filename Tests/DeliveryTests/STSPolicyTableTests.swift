import Base
import Delivery
import MailAuth
import Protocols
import Store
import Testing

@testable import Delivery

/// RFC 8461 §3.3 and §5.1: what is kept, for how long, and what survives an outage.
@Suite struct STSPolicyTableTests {
    private static let domain = "x.example".octets
    private static let start: Int64 = 1_800_000_000
    private static let address = IPAddress(v4: 192, 0, 2, 1)

    private func at(_ seconds: Int64) -> WallTime { WallTime(seconds: Self.start + seconds) }

    private func success(
        _ mode: MTASTSPolicy.Mode, maxAge: Int = 864_000, mx: String = "mx.x.example"
    ) throws -> STSFetch.Success {
        let file = "version: STSv1\nmode: \(mode.rawValue)\nmx: \(mx)\nmax_age: \(maxAge)\n".octets
        return STSFetch.Success(policy: try MTASTSPolicy(file), file: file)
    }

    private let failure = STSFetch.Failure(result: .stsWebPKIInvalid, detail: "expired".octets)

    private func mode(_ verdict: STSVerdict?) -> String {
        switch verdict {
        case nil: "unknown"
        case .absent?: "absent"
        case .policy(let policy, let id)?: "\(policy.mode.rawValue) \(String(decoding: id, as: UTF8.self))"
        case .fetchFailed(let result, _)?: result.rawValue
        }
    }

    private func announced(_ id: String) -> MTASTSDiscovery.Verdict {
        .announced(id: id.octets, addresses: [Self.address])
    }

    /// A table with an enforced policy of id 1, fetched at 0.
    private func enforced(maxAge: Int = 864_000) throws -> STSPolicyTable {
        var table = STSPolicyTable([], now: at(0))
        _ = table.discovered(Self.domain, announced("1"), ttl: 300, now: at(0))
        _ = table.fetched(
            Self.domain, id: "1".octets, .success(try success(.enforce, maxAge: maxAge)), ttl: 300, now: at(0))
        return table
    }

    @Test func firstContact() throws {
        var table = STSPolicyTable([], now: at(0))
        #expect(table.known(Self.domain, now: at(0)) == nil)
        #expect(
            table.discovered(Self.domain, announced("1"), ttl: 300, now: at(0))
                == .fetch(id: "1".octets, [Self.address]))
        let (verdict, storing) = table.fetched(
            Self.domain, id: "1".octets, .success(try success(.enforce)), ttl: 300, now: at(1))
        #expect(mode(verdict) == "enforce 1")
        guard case .save(let record) = storing else {
            Issue.record("not stored")
            return
        }
        #expect(record.expires == at(864_001))
        #expect(record.fetched == at(1))
        #expect(mode(table.known(Self.domain, now: at(200))) == "enforce 1")
        #expect(table.known(Self.domain, now: at(302)) == nil, "the record's TTL is over: ask again")
        #expect(table.knownID(Self.domain, now: at(302)) == "1".octets)
    }

    @Test func survivesARestart() throws {
        var table = try enforced()
        let (_, storing) = table.fetched(
            Self.domain, id: "1".octets, .success(try success(.enforce)), ttl: 60, now: at(0))
        guard case .save(let record) = storing else {
            Issue.record("not stored")
            return
        }
        var next = STSPolicyTable([record], now: at(1_000))
        #expect(next.known(Self.domain, now: at(1_000)) == nil)
        #expect(
            next.discovered(Self.domain, .unknown, ttl: 0, now: at(1_000))
                == .tell(.policy(try success(.enforce).policy, id: "1".octets)))
        #expect(STSPolicyTable([record], now: at(900_000)).entries.isEmpty, "it has ended")
        var broken = record
        broken.policy = "x".octets
        #expect(STSPolicyTable([broken], now: at(1)).entries.isEmpty)
    }

    @Test(arguments: [MTASTSDiscovery.Verdict.absent, .unknown, .unchanged])
    func aMissingRecordTakesNoPolicyBack(verdict: MTASTSDiscovery.Verdict) throws {
        var table = try enforced()
        guard case .tell(let told) = table.discovered(Self.domain, verdict, ttl: 300, now: at(1_000)) else {
            Issue.record("nothing told")
            return
        }
        #expect(mode(told) == "enforce 1")
        guard case .tell(let later) = table.discovered(Self.domain, verdict, ttl: 300, now: at(900_000)) else {
            Issue.record("nothing told")
            return
        }
        #expect(mode(later) == "absent", "max_age is over")
    }

    @Test func aHostThatIsDownTakesNoPolicyBack() throws {
        var table = try enforced()
        #expect(
            table.discovered(Self.domain, announced("2"), ttl: 300, now: at(1_000))
                == .fetch(id: "2".octets, [Self.address]))
        let (verdict, storing) = table.fetched(
            Self.domain, id: "2".octets, .failure(failure), ttl: 300, now: at(1_010))
        #expect(mode(verdict) == "enforce 1")
        #expect(storing == .nothing)
        // Not asked for again within five minutes, then once more.
        #expect(
            table.discovered(Self.domain, announced("2"), ttl: 60, now: at(1_200))
                == .tell(.policy(try success(.enforce).policy, id: "1".octets)))
        #expect(
            table.discovered(Self.domain, announced("2"), ttl: 60, now: at(1_311))
                == .fetch(id: "2".octets, [Self.address]))
        // Another id is another try.
        #expect(
            table.discovered(Self.domain, announced("3"), ttl: 60, now: at(1_200))
                == .fetch(id: "3".octets, [Self.address]))
    }

    @Test func withoutACachedPolicyTheFailureIsTold() throws {
        var table = STSPolicyTable([], now: at(0))
        _ = table.discovered(Self.domain, announced("1"), ttl: 3_600, now: at(0))
        let (verdict, _) = table.fetched(Self.domain, id: "1".octets, .failure(failure), ttl: 3_600, now: at(0))
        #expect(mode(verdict) == "sts-webpki-invalid")
        #expect(mode(table.known(Self.domain, now: at(299))) == "sts-webpki-invalid")
        #expect(table.known(Self.domain, now: at(300)) == nil)
    }

    @Test func aNewIdReplacesThePolicy() throws {
        var table = try enforced()
        let (verdict, _) = table.fetched(
            Self.domain, id: "2".octets, .success(try success(.testing, mx: "new.x.example")), ttl: 300, now: at(50))
        #expect(mode(verdict) == "testing 2")
        #expect(mode(table.known(Self.domain, now: at(60))) == "testing 2")
    }

    @Test func onlyModeNoneRemoves() throws {
        var table = try enforced()
        let (verdict, storing) = table.fetched(
            Self.domain, id: "2".octets, .success(try success(.absent)), ttl: 300, now: at(50))
        #expect(verdict == .absent)
        #expect(storing == .remove)
        // And it is remembered, so that nothing is fetched for the next message.
        #expect(table.knownID(Self.domain, now: at(10_000)) == "2".octets)
    }

    @Test func maxAgeZeroHoldsForTheMailThatWaits() throws {
        var table = STSPolicyTable([], now: at(0))
        let (verdict, _) = table.fetched(
            Self.domain, id: "1".octets, .success(try success(.enforce, maxAge: 0)), ttl: 300, now: at(0))
        #expect(mode(verdict) == "enforce 1")
        #expect(table.known(Self.domain, now: at(0)) == nil)
    }

    @Test func renewedBeforeItEnds() throws {
        let table = try enforced()
        #expect(table.dueForRenewal(now: at(86_399), limit: 10) == [])
        #expect(table.dueForRenewal(now: at(86_400), limit: 10) == [Self.domain])
        #expect(table.dueForRenewal(now: at(86_400), limit: 0) == [])
        let brief = try enforced(maxAge: 7_200)
        #expect(brief.dueForRenewal(now: at(3_599), limit: 10) == [])
        #expect(brief.dueForRenewal(now: at(3_600), limit: 10) == [Self.domain])
        #expect(brief.dueForRenewal(now: at(7_200), limit: 10) == [], "too late")
        let idle = try enforced(maxAge: 31_557_600)
        #expect(idle.dueForRenewal(now: at(31 * 86_400), limit: 10) == [], "no mail for a month")
    }

    @Test func aClockThatGoesBackFreezesNothing() throws {
        var table = try enforced()
        #expect(table.known(Self.domain, now: at(-10_000)) == nil)
    }

    @Test func domainsAreBoundedAndPoliciesStayLongest() throws {
        var table = try enforced()
        for i in 0..<(STSPolicyTable.domainsMax + 500) {
            _ = table.discovered("d\(i).example".octets, .absent, ttl: 60, now: at(10))
        }
        #expect(table.entries.count <= STSPolicyTable.domainsMax)
        #expect(table.knownID(Self.domain, now: at(10)) == "1".octets)
    }
}
