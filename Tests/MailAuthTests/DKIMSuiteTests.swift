import Base
import Foundation
import MailAuth
import Protocols
import Testing

/// The public messages (`MARTLET_CONFORMANCE` or the folder beside the checkout), in process.
enum DKIMSuite {
    static let folder = URL(
        filePath: ProcessInfo.processInfo.environment["MARTLET_CONFORMANCE"]
            ?? URL(filePath: #filePath).appending(path: "../../../../shared/conformance").standardizedFileURL.path)

    static func bytes(_ path: String) -> [UInt8]? {
        (try? Data(contentsOf: folder.appending(path: path))).map { Array($0) }
    }

    /// Files with bare line feeds stand for what goes over the wire with CRLF.
    static func wire(_ bytes: [UInt8]) -> [UInt8] {
        bytes.contains(ASCII.cr) ? bytes : Array(bytes.map { $0 == ASCII.lf ? [ASCII.cr, ASCII.lf] : [$0] }.joined())
    }

    struct Message: Sendable, CustomTestStringConvertible {
        let name: String
        let text: [UInt8]
        let keys: [String: DNSAnswer]
        let expected: String
        let now: UInt64
        var testDescription: String { name }

        var facts: Facts {
            var facts = Facts()
            for question in DKIMFields(HeaderIndex(text)).questions {
                facts.learn(
                    question,
                    keys[String(decoding: ASCII.lowercased(question.name.dotted), as: UTF8.self)]
                        ?? DNSAnswer(status: .nxDomain))
            }
            return facts
        }
    }

    static let messages: [Message] = {
        guard let data = bytes("dkim/dkim-manifest.json"),
            let all = try? JSONSerialization.jsonObject(with: Data(data)) as? [String: Any],
            let cases = all["cases"] as? [[String: Any]]
        else {
            print("*** SKIPPED: dkim/ is not in \(folder.path); set MARTLET_CONFORMANCE to run it ***")
            return []
        }
        return cases.compactMap { row in
            guard let name = row["id"] as? String, let file = row["file"] as? String,
                let text = bytes("dkim/" + file), let zone = row["zone"] as? [String: [String: Any]]
            else { return nil }
            let expected = (row["expect_rfc8301"] ?? row["expect"]) as? String ?? ""
            return Message(
                name: name, text: wire(text), keys: answers(zone), expected: expected,
                now: (row["now"] as? NSNumber)?.uint64Value ?? 1_700_000_000)
        }
    }()

    private static func answers(_ zone: [String: [String: Any]]) -> [String: DNSAnswer] {
        var out: [String: DNSAnswer] = [:]
        for (name, entry) in zone {
            if let texts = entry["TXT"] as? [String] {
                out[name.lowercased()] = .records(texts.map { .txt(Array($0.utf8)) })
            } else if let status = entry["*"] as? String {
                out[name.lowercased()] = DNSAnswer(status: DNSStatus(rawValue: status) ?? .servFail)
            }
        }
        return out
    }
}

@Suite struct DKIMSuiteTests {
    @Test(arguments: DKIMSuite.messages)
    func message(_ message: DKIMSuite.Message) throws {
        let verdict = try DKIMFixtures.check(message.text, message.facts, now: message.now, piece: 61)
        let expected = message.expected.split(separator: " ").first ?? ""
        switch expected {
        case "pass": #expect(verdict.status == .pass)
        case "fail", "permerror", "temperror", "not-pass", "permerror-or-neutral-or-none", "permerror-or-fail":
            #expect(verdict.status != .pass)
        case "not-permerror": #expect(verdict.status != .permerror)
        // Up to the verifier: l= and how many signatures are tried.
        default: break
        }
        // Whatever a message holds, its pass is that of a key of full size.
        for result in verdict.results where result.status == .pass {
            #expect((result.keyBits ?? 0) >= (result.signature?.algorithm == .ed25519SHA256 ? 256 : 1_024))
        }
    }

    private final class Collector: CanonicalBodySink {
        var bytes: [UInt8] = []
        func write(_ piece: Span<UInt8>) { bytes += Array(piece) }
    }

    @Test(arguments: Canonicalization.allCases, 1..<22)
    func canonicalForm(mode: Canonicalization, number: Int) throws {
        let folder = "mime/flanker/messages/dkim/"
        let n = number < 10 ? "0\(number)" : "\(number)"
        guard let text = DKIMSuite.bytes(folder + "email.\(n)"),
            let expected = DKIMSuite.bytes(folder + "\(mode.name).expected.\(n)")
        else { return }
        let message = DKIMSuite.wire(text)
        let index = HeaderIndex(message)
        var out: [UInt8] = []
        for field in index.fields { HeaderCanonicalizer.append(field, of: index.bytes, mode, to: &out) }
        for piece in [1, 2, 3, 1_000] {
            let sink = Collector()
            var canonicalizer = BodyCanonicalizer(mode)
            var i = index.bodyStart
            while i < message.count {
                let end = min(i + piece, message.count)
                canonicalizer.feed(message.span.extracting(i..<end), to: sink)
                i = end
            }
            canonicalizer.finish(to: sink)
            let whole = out + [ASCII.cr, ASCII.lf] + sink.bytes
            #expect(whole == expected, "\(whole.escapedText) is not \(expected.escapedText)")
        }
    }

    /// Chains that real sealers made; the keys stand before the message.
    @Test(arguments: ["001", "002"])
    func realChain(name: String) throws {
        guard let file = DKIMSuite.bytes("dkim/mail-auth/arc/\(name).txt") else { return }
        let text = DKIMSuite.wire(file)
        let gap = Array("\r\n\r\n".utf8)
        let split = try #require(text.indices.first { text[$0...].starts(with: gap) })
        var facts = Facts()
        for line in String(decoding: text[..<split], as: UTF8.self).split(separator: "\r\n") {
            let parts = line.split(separator: " ", maxSplits: 1).map(String.init)
            guard parts.count == 2, let name = DNSName(parts[0]) else { continue }
            facts.learn(DNSQuestion(name, .txt), .records([.txt(Array(parts[1].utf8))]))
        }
        #expect(try DKIMFixtures.checkARC(Array(text[(split + 4)...]), facts).reason == .verified)
    }
}
