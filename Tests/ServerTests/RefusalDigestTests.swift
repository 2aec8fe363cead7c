import Base
import Ledger
import Policy
import Protocols
import Server
import Testing

/// A flood of refused connections: bounded, and every reply has an id that finds a record.
@Suite struct RefusalDigestTests {
    private static let start = Instant(nanoseconds: 0)
    private static let reply = Reply(421, EnhancedStatus(4, 7, 0), "Too many connections")
    private static let other = Reply(421, EnhancedStatus(4, 3, 2), "The server is overloaded")

    /// A digest and the ids it drew.
    private struct Setup {
        var digest = RefusalDigest()
        var ids = MessageIDSource(loop: 3)

        mutating func refuse(
            _ client: IPAddress?, _ reply: Reply = RefusalDigestTests.reply, after seconds: Double = 0
        ) -> String? {
            var event = DefenseEvent(.limit, .closed, detail: "full", reply: reply)
            let told = digest.add(event, reply, from: client, at: start.advanced(bySeconds: seconds)) {
                let id = ids.next(at: WallTime(seconds: 1_700_000_000))
                event.reply = reply.explained(by: id)
                var record = ConnectionRecord(
                    id: id, time: WallTime(seconds: 1_700_000_000),
                    session: SessionFacts(listener: Array("mx".utf8), peer: client), reason: [])
                record.reply = event.reply
                record.events = [event]
                return record
            }
            return told.map { String(decoding: $0.text, as: UTF8.self) }
        }
    }

    private static func address(_ network: Int, _ host: Int) -> IPAddress {
        IPAddress(v4: 192, 0, UInt8(network), UInt8(host))
    }

    @Test func thoseOfANetworkShareARecordThatCountsThem() throws {
        var setup = Setup()
        let told = (1...200).map { setup.refuse(Self.address(2, $0), after: Double($0) / 400) }
        #expect(Set(told).count == 1)
        #expect(told[0]?.hasPrefix("Too many connections (") == true)
        let text = try #require(told[0])
        let id = try #require(MessageID(text: Array(text.suffix(14).dropLast().utf8)))
        let open = try #require(setup.digest.record(id))
        #expect(open.isOpen && open.connections == 200)
        let all = setup.digest.takeAll()
        #expect(all.count == 1)
        #expect(all[0].id == id && all[0].connections == 200 && !all[0].isOpen)
        #expect(all[0].network == Array("192.0.2.0/24".utf8))
        #expect(all[0].session.peer == Self.address(2, 1))
        #expect(all[0].elapsedMicroseconds == 497_500)
        #expect(setup.digest.isEmpty)
        #expect(setup.digest.record(id) == nil)
    }

    @Test func whatIsSaidDifferentlyIsExplainedApart() {
        var setup = Setup()
        let told = [setup.refuse(Self.address(2, 1)), setup.refuse(Self.address(2, 1), Self.other)]
        #expect(Set(told).count == 2)
        #expect(setup.digest.takeAll().map(\.connections) == [1, 1])
    }

    @Test func manyNetworksShareWhatIsLeft() {
        var setup = Setup()
        var told: Set<String?> = []
        for host in 1...3 { for network in 0..<200 { told.insert(setup.refuse(Self.address(network, host))) } }
        for network in 0..<200 { told.insert(setup.refuse(Self.address(network, 1), Self.other)) }
        #expect(!told.contains(nil), "every reply has an id")
        let all = setup.digest.takeAll()
        #expect(all.count == told.count)
        #expect(all.count <= RefusalDigest.networksMax + 2)
        #expect(all.reduce(0) { $0 + $1.connections } == 800)
        let others = all.filter { $0.network.isEmpty }
        #expect(others.map(\.connections).sorted() == [200, 3 * (200 - RefusalDigest.networksMax)].sorted())
    }

    @Test func itIsBoundedWhateverIsSaid() {
        var setup = Setup()
        for n in 0..<10_000 {
            _ = setup.refuse(Self.address(n & 255, 1), Reply(421, nil, "reply \(n)"))
        }
        #expect(setup.digest.takeAll().count == RefusalDigest.networksMax + RefusalDigest.othersMax)
    }

    @Test func aClientWithoutAnAddressIsOneOfTheOthers() {
        var setup = Setup()
        #expect(setup.refuse(nil) == setup.refuse(nil))
        #expect(setup.digest.takeAll().map(\.network) == [[]])
    }

    @Test func itIsExplainedAsWhatItIs() throws {
        var setup = Setup()
        for n in 1...7 { _ = setup.refuse(Self.address(2, n)) }
        let record = setup.digest.takeAll()[0]
        let explanation = try #require(Explanation.make([.connection(record)]))
        #expect(explanation.summary.contains("7 connections of 192.0.2.0/24 refused from 2023-11-14T22:13:20Z on"))
        #expect(explanation.summary.contains("closed by limit: full"))
        #expect(explanation.lines.contains { $0.contains("this record stands for all of them") })
        #expect(try LedgerRecord(record.encoded()).map { try #require([$0].lastConnection) } == record)
    }
}
