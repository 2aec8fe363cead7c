import Base
import Foundation
import MailAuth
import Protocols
import Testing

/// The public suites (`MARTLET_CONFORMANCE` or the folder beside the checkout), in process. They are YAML; Python turns
/// them into lines of hex fields, since the zones hold octets that no Swift string would keep.
struct SPFSuiteCase: Sendable, CustomTestStringConvertible {
    var file = "", scenario = "", name = ""
    var host = "", helo: [UInt8] = [], mailFrom: [UInt8] = []
    var results: [String] = []
    var explanation: String?
    var zone = SPFZone()
    var testDescription: String { "\(file): \(scenario): \(name)" }

    /// Cases that contradict RFC 7208: what it says instead, and where.
    static let waived: [String: (result: String, reason: String)] = [
        "blitirispf-tests.yml/resolution-with-10-lookups": (
            "permerror", "§7.1: domain-end = ( \".\" toplabel [ \".\" ] ) / macro-expand, and \"d11\" is neither"
        ),
        "blitirispf-tests.yml/mx-resolution-10-terms": ("none", multiLabel),
        "blitirispf-tests.yml/mx-resolution-11-terms": ("none", multiLabel),
        "blitirispf-tests.yml/one-mx-not-found": ("none", multiLabel),
        "blitirispf-tests.yml/all-mx-not-found": ("none", multiLabel),
        "pyspf-tests.yml/default-modifier": ("neutral", "§6: unrecognized modifiers MUST be ignored"),
    ]
    private static let multiLabel = "§4.3: \"is not a multi-label domain name\" gives \"none\""

    static let files = [
        "rfc7208-tests.yml", "rfc7208-tests-2014.05.yml", "rfc7208-tests-2015.01-unreleased.yml", "pyspf-tests.yml",
        "blitirispf-tests.yml",
    ]

    static let folder = URL(
        filePath: ProcessInfo.processInfo.environment["MARTLET_CONFORMANCE"]
            ?? URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../../shared/conformance").standardizedFileURL.path)

    static let all: [SPFSuiteCase] = files.flatMap { file -> [SPFSuiteCase] in
        let path = folder.appending(path: "spf/\(file)").path
        guard FileManager.default.fileExists(atPath: path) else {
            print("*** SKIPPED: spf/\(file) is not in \(folder.path); set MARTLET_CONFORMANCE to run it ***")
            return []
        }
        guard let text = export(path) else {
            print("*** SKIPPED: spf/\(file): /usr/bin/python3 with yaml is needed to read it ***")
            return []
        }
        return read(text, file)
    }

    private static let script = """
        import sys, yaml
        def hx(v):
            return (v if isinstance(v, bytes) else str(v).encode('latin-1', 'replace')).hex() or '-'
        def u8(v):
            return str(v or '').encode('utf-8').hex() or '-'
        for d in yaml.safe_load_all(open(sys.argv[1], encoding='utf-8')):
            if not d or not d.get('tests'): continue
            print('scenario', u8(d.get('description', d.get('comment', '?'))))
            for name, rows in d['zonedata'].items():
                spf, txt, none = [], False, False
                for r in rows:
                    if isinstance(r, str): print('fail', hx(name), '*'); continue
                    for t, v in r.items():
                        if t in ('TIMEOUT', 'SERVFAIL'): print('fail', hx(name), '*')
                        elif v == 'TIMEOUT': print('fail', hx(name), t)
                        elif t == 'TXT' and v == 'NONE': none = True
                        elif t in ('TXT', 'SPF'):
                            v = ''.join(map(str, v)) if isinstance(v, list) else v
                            if t == 'SPF': spf.append(v)
                            else: txt = True; print('rr', hx(name), t, hx(v))
                        elif t == 'MX': print('rr', hx(name), t, hx(v[1]))
                        else: print('rr', hx(name), t, hx(v))
                if not txt and not none:
                    for v in spf: print('rr', hx(name), 'TXT', hx(v))
            for name, t in d['tests'].items():
                want = t['result'] if isinstance(t['result'], list) else [t['result']]
                print('case', u8(name), u8(t['host']), u8(t.get('helo')), u8(t.get('mailfrom')), ','.join(want),
                      u8(t['explanation']) if 'explanation' in t else '*')
        """

    private static func export(_ path: String) -> String? {
        let python = Process()
        python.executableURL = URL(filePath: "/usr/bin/python3")
        python.arguments = ["-c", script, path]
        let pipe = Pipe()
        python.standardOutput = pipe
        guard (try? python.run()) != nil else { return nil }
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        python.waitUntilExit()
        return python.terminationStatus == 0 ? String(decoding: data, as: UTF8.self) : nil
    }

    private static func read(_ text: String, _ file: String) -> [SPFSuiteCase] {
        var cases: [SPFSuiteCase] = []
        var current = SPFSuiteCase()
        for line in text.split(separator: "\n") {
            let field = line.split(separator: " ").map(String.init)
            switch field[0] {
            case "scenario":
                current = SPFSuiteCase()
                current.file = file
                current.scenario = String(decoding: octets(field[1]), as: UTF8.self)
            case "rr": add(field, &current.zone)
            case "fail":
                guard let name = DNSName(dotted: octets(field[1])) else { continue }
                current.zone.fail(name, DNSRecordType.allCases.first { $0.description == field[2] })
            default:
                var next = current
                next.name = String(decoding: octets(field[1]), as: UTF8.self)
                next.host = String(decoding: octets(field[2]), as: UTF8.self)
                next.helo = octets(field[3])
                next.mailFrom = octets(field[4])
                next.results = field[5].split(separator: ",").map(String.init)
                next.explanation = field[6] == "*" ? nil : String(decoding: octets(field[6]), as: UTF8.self)
                cases.append(next)
            }
        }
        return cases
    }

    private static func add(_ field: [String], _ zone: inout SPFZone) {
        guard let name = DNSName(dotted: octets(field[1])) else { return }
        let value = octets(field[3])
        let target = value.isEmpty ? DNSName.root : DNSName(dotted: value)
        let address = IPAddress.parse(value).flatMap { IPAddress(bytes: $0) }
        let record: RecordData? =
            switch field[2] {
            case "TXT": .txt(value)
            case "A": address.map { .a($0) }
            case "AAAA": address.map { .aaaa($0) }
            case "PTR": target.map { .ptr($0) }
            case "CNAME": target.map { .cname($0) }
            case "MX": target.map { .mx(preference: 10, host: $0) }
            default: nil
            }
        if let record { zone.add(name, record) }
    }

    private static func octets(_ hex: String) -> [UInt8] {
        let digits = hex.utf8.compactMap { Hex.value($0) }
        return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }
}

@Suite struct SPFSuiteTests {
    @Test(arguments: SPFSuiteCase.all) func suite(_ c: SPFSuiteCase) throws {
        let ip = try #require(IPAddress(c.host))
        let check = SPFCheck(ip: ip, helo: c.helo, mailFrom: c.mailFrom, receiver: Array("receiver.example".utf8))
        let run = try #require(c.zone.run(check))
        let verdict = run.verdict
        #expect(verdict.lookups <= 10 && verdict.voidLookups <= 2)
        let wanted = SPFSuiteCase.waived["\(c.file)/\(c.name)"].map { [$0.result] } ?? c.results
        #expect(
            wanted.contains(verdict.result.rawValue), "\(verdict.result) (\(verdict.problem ?? "")), wanted \(wanted)")
        if let wanted = c.explanation {
            let given = verdict.explanation.map { String(decoding: $0, as: UTF8.self) } ?? "DEFAULT"
            // RFC 7208 §7.3: %{c} and the nibbles of %{i} may be of either case.
            #expect(given.lowercased() == wanted.lowercased())
        }
    }
}
