import Base
import Protocols
import Testing

@Suite struct RecordDataTests {
    private static let host: [UInt8] = [2, 0x6D, 0x78, 1, 0x61, 0]

    @Test func wellFormedRecords() {
        let name = DNSName("mx.a") ?? .root
        #expect(RecordData(type: .a, rdata: [192, 0, 2, 1]) == .a(IPAddress(v4: 192, 0, 2, 1)))
        #expect(RecordData(type: .mx, rdata: [1, 2] + Self.host) == .mx(preference: 258, host: name))
        // RFC 7505 §3
        #expect(RecordData(type: .mx, rdata: [0, 0, 0]) == .mx(preference: 0, host: .root))
        #expect(RecordData(type: .ptr, rdata: Self.host) == .ptr(name))
        #expect(RecordData(type: .cname, rdata: Self.host) == .cname(name))
        #expect(
            RecordData(type: .tlsa, rdata: [3, 1, 1, 0xAB])
                == .tlsa(TLSAData(usage: 3, selector: 1, matchingType: 1, data: [0xAB])))
        #expect(RecordData(type: .tlsa, rdata: [3, 1, 1])?.description == "3 1 1 ")
    }

    @Test func aMappedAddressStaysSixteenBytes() {
        let rdata: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 2, 1]
        #expect(RecordData(type: .aaaa, rdata: rdata)?.address?.bytes == rdata)
    }

    // RFC 7208 §3.3: joined without spaces.
    @Test func stringsAreJoined() {
        #expect(RecordData(type: .txt, rdata: [1, 0x61, 0, 2, 0x20, 0xFF])?.text == [0x61, 0x20, 0xFF])
        #expect(RecordData(type: .txt, rdata: [0])?.text == [])
    }

    @Test(arguments: [
        (DNSRecordType.a, []), (.a, [1, 2, 3]), (.a, [1, 2, 3, 4, 5]), (.aaaa, [1, 2, 3, 4]), (.mx, []), (.mx, [0]),
        (.mx, [0, 1]),
        (.mx, [0, 1, 3, 0x61, 0]), (.mx, [0, 1, 0, 0]), (.mx, [0, 1, 0xC0, 0x0C]), (.txt, []), (.txt, [2, 0x61]),
        (.txt, [1, 0x61, 255]), (.ptr, []), (.ptr, [1]), (.ptr, [1, 0x61]), (.cname, [0, 0]), (.tlsa, []),
        (.tlsa, [3, 1]),
    ])
    func malformedRecords(_ type: DNSRecordType, _ rdata: [UInt8]) {
        #expect(RecordData(type: type, rdata: rdata) == nil)
    }

    @Test func everyCutOfARecordIsSafe() {
        var random = SystemRandomNumberGenerator()
        for type in DNSRecordType.allCases {
            for length in 0..<300 {
                let rdata = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
                if let record = RecordData(type: type, rdata: rdata) { #expect(record.type == type) }
            }
        }
    }

    @Test func namesForPeopleAreEscaped() {
        #expect(RecordData.txt(Array("a\n\u{1B}".utf8)).description == "\"a\\x0a\\x1b\"")
    }
}
