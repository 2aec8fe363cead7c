import Base
import Foundation
import MailAuth
import Protocols
import Testing

/// `dmarc/rfc9989-vectors.json` and `dmarc/mox-record-vectors.json` of the shared material, in process.
@Suite struct DMARCVectorTests {
    private struct VectorFile: Decodable { let cases: [Vector] }

    struct Vector: Decodable, Sendable, CustomTestStringConvertible {
        let id: String
        let kind: String?
        let zone: [String: [Text]]
        let A: [String: [String]]?
        let MX: [String: [String]]?
        let from: String?
        let spf_pass: String?
        let dkim_pass: [String]?
        let expect: Expectation
        var testDescription: String { id }
    }

    /// A record, or the strings of one.
    struct Text: Decodable, Sendable {
        let joined: String
        init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            joined = try (try? value.decode(String.self)) ?? value.decode([String].self).joined()
        }
    }

    struct Expectation: Decodable, Sendable {
        let result, policy, applied, policy_domain, org_from, org_dkim: String?
        let spf_aligned, dkim_aligned: Bool?
        let queries: [String]?
    }

    private struct RecordFile: Decodable { let cases: [RecordRow] }
    struct RecordRow: Decodable, Sendable, CustomTestStringConvertible {
        let kind, input: String
        var testDescription: String { input }
    }

    private static func load<T: Decodable>(_ name: String, as type: T.Type) -> T? {
        let url = SPFSuiteCase.folder.appending(path: "dmarc/\(name)")
        guard let data = try? Data(contentsOf: url) else {
            print("*** SKIPPED: \(name) is not in the shared folder; set MARTLET_CONFORMANCE to run it ***")
            return nil
        }
        return try? JSONDecoder().decode(type, from: data)
    }

    static let vectors = load("rfc9989-vectors.json", as: VectorFile.self)?.cases.filter { $0.kind == nil } ?? []
    static let rows = load("mox-record-vectors.json", as: RecordFile.self)?.cases ?? []

    @Test(arguments: vectors) func vector(_ vector: Vector) throws {
        let author = try #require(vector.from)
        let want = vector.expect
        var zone = SPFZone()
        for (name, texts) in vector.zone {
            for text in texts { zone.add(try #require(DNSName(name)), .txt(Array(text.joined.utf8))) }
        }
        for (name, addresses) in vector.A ?? [:] {
            for text in addresses { zone.add(try #require(DNSName(name)), .a(try #require(IPAddress(text)))) }
        }
        for (name, hosts) in vector.MX ?? [:] {
            for host in hosts {
                let target = try #require(host.split(separator: " ").last.map(String.init))
                zone.add(try #require(DNSName(name)), .mx(preference: 10, host: try #require(DNSName(target))))
            }
        }
        let run = DMARCRun(
            zone, author: author, spf: vector.spf_pass.map { [.pass($0)] } ?? [],
            dkim: (vector.dkim_pass ?? []).map { .pass($0) })
        let verdict = run.verdict
        if let result = want.result { #expect(verdict.result.rawValue == result) }
        if let policy = want.policy { #expect(verdict.policy.rawValue == policy) }
        if let applied = want.applied { #expect(verdict.applied.rawValue == applied) }
        if let domain = want.policy_domain { #expect(verdict.policyDomain == Array(domain.utf8)) }
        if let aligned = want.spf_aligned { #expect(verdict.spfAligned == aligned) }
        if let aligned = want.dkim_aligned { #expect((verdict.dkimAligned != nil) == aligned) }
        if let queries = want.queries {
            let asked = run.facts.questions.filter { $0.type == .txt }.map { "\($0.name)" }
            #expect(Array(asked.prefix(queries.count)) == queries)
        }
        if let org = want.org_from { #expect(run.organization(of: author, zone) == org) }
        if let org = want.org_dkim, let first = vector.dkim_pass?.first {
            #expect(run.organization(of: first, zone) == org)
        }
    }

    /// Rows that contradict RFC 9989, with its sentence.
    private static let waived: [String: String] = [
        "v=DMARC1; sp=reject; p=reject":
            "§4.8: dmarc-record = dmarc-version *(dmarc-sep dmarc-tag): after v the tags stand in any order",
        "v=DMARC1; rua=mailto:dmarc-feedback@example.com!99999999999999999999999999999999999999999999999":
            "§4.8: obs-dmarc-report-size = \"!\" 1*DIGIT; reporters should ignore the size",
    ]

    @Test(arguments: rows) func record(_ row: RecordRow) {
        let isUsable = DMARCRecord(Array(row.input.utf8))?.isUsable ?? false
        if Self.waived[row.input] != nil {
            #expect(isUsable)
        } else {
            #expect(isUsable == (row.kind == "valid"))
        }
    }
}
