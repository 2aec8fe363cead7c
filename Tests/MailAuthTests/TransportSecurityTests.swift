import Base
import Crypto
import Foundation
import MailAuth
import Protocols
import Testing

/// Records and policy files of MTA-STS and TLS-RPT, and the usability of TLSA records.
@Suite struct TransportSecurityTests {
    private func octets(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func policy(_ text: String) -> Result<MTASTSPolicy, MTASTSPolicy.Problem> {
        do throws(MTASTSPolicy.Problem) {
            return .success(try MTASTSPolicy(Array(text.utf8)))
        } catch {
            return .failure(error)
        }
    }

    private static let head = "version: STSv1\nmode: enforce\nmx: a.example\n"

    @Test func aPolicyIsRead() throws {
        let text =
            "version: STSv1\r\nmode: testing\r\nmx: MX.a.example\r\nmx:*.b.example \nmax_age:604800\nx-more: æ y\n\n"
        let policy = try policy(text).get()
        #expect(policy.mode == .testing)
        #expect(policy.patterns == [octets("mx.a.example"), octets("*.b.example")])
        #expect(policy.maxAgeSeconds == 604_800)
        #expect(
            policy.lines == [
                octets("version: STSv1"), octets("mode: testing"), octets("mx: MX.a.example"),
                octets("mx:*.b.example"), octets("max_age:604800"), octets("x-more: æ y"),
            ])
    }

    private static let policyRows: [(String, MTASTSPolicy.Problem?)] = [
        ("version: STSv1\nmode: none\nmax_age: 1", nil),
        (head + "max_age: 31557600", nil),
        (head + "max_age: 31557601", .maxAge),
        (head + "max_age: -1", .maxAge),
        (head + "max_age: 99999999999999999999999", .maxAge),
        (head, .maxAge),
        (head + "mode: none\nversion: STSv2\nmax_age: 1\nmax_age: x", nil),
        (head + "max_age: 1\nno colon", .malformedLine),
        (head + "max_age: 1\n: empty", .malformedLine),
        (head + "max_age: 1\nx: \u{1}", .malformedLine),
        ("mode: enforce\nmx: a.example\nmax_age: 1", .version),
        ("version: stsv1\nmode: enforce\nmx: a.example\nmax_age: 1", .version),
        ("version: STSv1\nmode: Enforce\nmx: a.example\nmax_age: 1", .mode),
        ("version: STSv1\nmode: enforce\nmax_age: 1", .mxMissing),
        ("version: STSv1\nmode: none\nmx: *\nmax_age: 1", .mx),
        ("version: STSv1\nmode: enforce\nmx: a.*.example\nmax_age: 1", .mx),
        ("version: STSv1\nmode: enforce\nmx: \nmax_age: 1", .malformedLine),
        ("<html>", .malformedLine),
    ]

    @Test(arguments: policyRows)
    func policies(text: String, problem: MTASTSPolicy.Problem?) {
        switch policy(text) {
        case .success: #expect(problem == nil, "\(text) was taken")
        case .failure(let found): #expect(found == problem, "\(text)")
        }
    }

    @Test func sizesAreBounded() {
        let filler = String(repeating: "a", count: 64 << 10)
        #expect(policy(Self.head + "max_age: 1\nx: " + filler) == .failure(.tooLarge))
        let lines = String(repeating: "x: y\n", count: 2_000)
        #expect(policy(Self.head + "max_age: 1\n" + lines) == .failure(.tooLarge))
        let many = (0..<300).map { "mx: h\($0).example\n" }.joined()
        #expect((try? policy(Self.head + many + "max_age: 1").get())?.patterns.count == MTASTSPolicy.patternsMax)
    }

    @Test func oneRecordAmongTexts() {
        #expect(MTASTSRecord.find(in: [octets("v=STSv1; id=1"), octets("other")])?.id == octets("1"))
        #expect(MTASTSRecord.find(in: [octets("v=STSv1; id=1"), octets("v=STSv1; id=2")]) == nil)
        #expect(MTASTSRecord.find(in: [octets("v=STSv1; id=1; id=2")])?.id == octets("1"))
        #expect(MTASTSRecord.find(in: []) == nil)
        #expect(TLSRPTRecord.find(in: [octets("v=TLSRPTv1; rua=mailto:a@b")])?.targets == [.mailto(octets("a@b"))])
        #expect(
            TLSRPTRecord.find(in: [octets("v=TLSRPTv1;rua=mailto:a@b"), octets("v=TLSRPTv1;rua=mailto:c@d")]) == nil)
    }

    @Test func reportTargets() {
        let text = "v=TLSRPTv1; rua=mailto:a@b?subject=x, https://r.example/x?y=z,ftp://f.example/; x=y"
        #expect(
            TLSRPTRecord(octets(text))?.targets == [.mailto(octets("a@b")), .https(octets("https://r.example/x?y=z"))])
    }

    @Test(arguments: [
        (3, 1, 1, 32, true), (2, 0, 1, 32, true), (2, 1, 2, 64, true), (3, 0, 2, 64, true), (0, 0, 1, 32, false),
        (1, 1, 1, 32, false), (4, 1, 1, 32, false), (255, 1, 1, 32, false), (3, 2, 1, 32, false), (3, 1, 3, 32, false),
        (3, 1, 1, 0, false), (3, 1, 1, 33, false), (3, 1, 2, 32, false), (3, 1, 0, 32, false),
    ])
    func usableRecords(usage: UInt8, selector: UInt8, type: UInt8, count: Int, isUsable: Bool) {
        let record = TLSAData(
            usage: usage, selector: selector, matchingType: type, data: [UInt8](repeating: 7, count: count))
        #expect(TLSACheck.isUsable(record) == isUsable)
    }

    @Test func wholeCertificatesAreSequences() {
        func isUsable(_ data: [UInt8]) -> Bool {
            TLSACheck.isUsable(TLSAData(usage: 3, selector: 0, matchingType: 0, data: data))
        }
        #expect(isUsable([0x30, 1, 0]))
        #expect(isUsable([0x30, 0x82, 0x01, 0x00] + [UInt8](repeating: 0, count: 256)))
        #expect(!isUsable([0x30, 0x82, 0x01, 0x00] + [UInt8](repeating: 0, count: 255)))
        #expect(!isUsable([0x31, 1, 0]))
        #expect(!isUsable([0x30, 2, 0]))
        #expect(!isUsable([]))
        #expect(!isUsable([0x30, 0x80, 0]))
        #expect(!isUsable([0x30, 0xFF, 0xFF, 0xFF]))
    }

    @Test func oneUsableRecordIsEnough() {
        let good = TLSAData(usage: 3, selector: 1, matchingType: 1, data: [UInt8](repeating: 7, count: 32))
        let bad = TLSAData(usage: 1, selector: 1, matchingType: 1, data: [UInt8](repeating: 7, count: 32))
        #expect(TLSACheck.judge([]) == .absent)
        #expect(TLSACheck.judge([bad]) == .unusable)
        #expect(TLSACheck.judge([bad, good]) == .usable([good]))
        #expect(
            TLSACheck.judge([TLSAData](repeating: good, count: 100)) == .usable([TLSAData](repeating: good, count: 32)))
    }

    @Test func discoveryAsksNoMoreThanItMust() throws {
        let name = try #require(DNSName("_mta-sts.x.example"))
        let host = try #require(DNSName("mta-sts.x.example"))
        let record = (DNSQuestion(name, .txt), DNSAnswer.records([.txt(octets("v=STSv1; id=7"))]))
        let addresses = [
            (DNSQuestion(host, .aaaa), DNSAnswer(status: .noData)),
            (DNSQuestion(host, .a), DNSAnswer.records([.a(IPAddress(v4: 192, 0, 2, 1))])),
        ]
        func discover(_ facts: [(DNSQuestion, DNSAnswer)], known: String? = nil, renew: Bool = false) -> MTASTSDiscovery
            .Verdict?
        {
            try? MTASTSDiscovery(domain: octets("x.example"), knownID: known.map(octets), isRenewal: renew)
                .evaluate(Facts(facts))
        }
        #expect(discover([record]) == nil)
        #expect(discover([record], known: "7") == .unchanged)
        let announced = MTASTSDiscovery.Verdict.announced(id: octets("7"), addresses: [IPAddress(v4: 192, 0, 2, 1)])
        #expect(discover([record] + addresses, known: "6") == announced)
        #expect(discover([record] + addresses, known: "7", renew: true) == announced)
        #expect(discover([(DNSQuestion(name, .txt), .timeout)]) == .unknown)
        #expect(discover([(DNSQuestion(name, .txt), .timeout)] + addresses, known: "7", renew: true) == announced)
        #expect(discover([(DNSQuestion(name, .txt), DNSAnswer(status: .nxDomain))], known: "7", renew: true) == .absent)
    }
}

/// The public vectors (`MARTLET_CONFORMANCE` or the folder beside the checkout).
@Suite struct TransportSecurityVectorTests {
    struct Vector: Sendable, CustomTestStringConvertible {
        let function: String
        let isGood: Bool
        let input: String
        var testDescription: String { "\(function) \(input.debugDescription)" }
    }

    private static func json(_ file: String) -> [String: Any] {
        let path = SPFSuiteCase.folder.appending(path: file)
        guard let data = try? Data(contentsOf: path),
            let object = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
        else {
            print("*** SKIPPED: \(path.path) is not there; set MARTLET_CONFORMANCE to run it ***")
            return [:]
        }
        return object
    }

    private static func vectors(_ file: String) -> [Vector] {
        (json(file)["cases"] as? [[String: Any]] ?? []).compactMap { row in
            guard let function = row["func"] as? String, let kind = row["kind"] as? String,
                let input = row["input"] as? String
            else { return nil }
            return Vector(function: function, isGood: kind == "good" || kind == "valid", input: input)
        }
    }

    static let sts = vectors("mta-sts/mox-vectors.json")
    static let tlsrpt = vectors("tlsrpt/mox-record-vectors.json")

    @Test(arguments: sts)
    func mtaSTS(vector: Vector) {
        let bytes = Array(vector.input.utf8)
        let isRead = vector.function == "TestRecord" ? MTASTSRecord(bytes) != nil : (try? MTASTSPolicy(bytes)) != nil
        #expect(isRead == vector.isGood)
    }

    @Test(arguments: tlsrpt)
    func reporting(vector: Vector) {
        #expect((TLSRPTRecord(Array(vector.input.utf8)) != nil) == vector.isGood)
    }

    @Test func patterns() {
        for row in Self.json("mta-sts/chasquid-vectors.json")["mx_match"] as? [[Any]] ?? [] {
            guard let host = row[0] as? String, let pattern = row[1] as? String, let isMatch = row[2] as? Bool else {
                continue
            }
            // Names of hosts come from DNS: A-labels.
            let ascii = { (text: String) in IDNA.toASCII(Array(text.utf8)) ?? Array(text.utf8) }
            #expect(MTASTSPolicy.matches(ascii(host), ascii(pattern)) == isMatch, "\(host) \(pattern)")
        }
    }

    @Test func texts() {
        for row in Self.json("mta-sts/chasquid-vectors.json")["txt_lookup"] as? [[String: Any]] ?? [] {
            let texts = (row["txt"] as? [String] ?? []).map { Array($0.utf8) }
            #expect((MTASTSRecord.find(in: texts) != nil) == (row["ok"] as? Bool), "\(row)")
        }
    }
}
