import Foundation
import Protocols
import TestKit
import Testing

/// The shared conversations (`MARTLET_CONFORMANCE` or the folder beside the checkout), against the session in process.
enum Conformance {
    static let folder = URL(
        filePath: ProcessInfo.processInfo.environment["MARTLET_CONFORMANCE"]
            ?? URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../../shared/conformance").standardizedFileURL.path)

    static func data(_ path: String) -> Data? {
        guard let data = try? Data(contentsOf: folder.appending(path: path)) else {
            print("*** SKIPPED: \(path) is not in \(folder.path); set MARTLET_CONFORMANCE to run it ***")
            return nil
        }
        return data
    }
}

struct Vector: Sendable, CustomTestStringConvertible {
    struct Step: Sendable {
        var send: [UInt8]?
        var expect: [String] = []
        var collect = false, starttls = false, quiet = false, bytewise = false, optional = false, single = false
        var early = false
        var lacks: String?
    }
    var id: String
    var steps: [Step]
    var closes: Bool
    var max354: Int
    var max250: Int
    var testDescription: String { id }

    static let values: [(String, String)] = [
        ("{FROM}", "sender@good.example"), ("{RCPT}", "user@testserver.example"),
        ("{BADRCPT}", "nobody-here@testserver.example"), ("{HELO}", "mx.good.example"), ("{FROMDOM}", "good.example"),
        ("{RCPTDOM}", "testserver.example"), ("{ID}", "00c0ffee"),
    ]

    /// Lone surrogates stand for octets; JSON readers refuse them, so they travel as U+E080 to U+E0FF.
    static func octets(_ text: String) -> [UInt8] {
        var text = text
        for (key, value) in values { text = text.replacingOccurrences(of: key, with: value) }
        var out: [UInt8] = []
        for scalar in text.unicodeScalars {
            if (0xE080...0xE0FF).contains(scalar.value) {
                out.append(UInt8(scalar.value - 0xE000))
            } else {
                out += Array(String(Character(scalar)).utf8)
            }
        }
        return out
    }

    static let all: [Vector] = {
        guard let data = Conformance.data("smtp/smtp-vectors.json") else { return [] }
        let text = String(decoding: data, as: UTF8.self).replacingOccurrences(of: "\\udc", with: "\\ue0")
        guard let json = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any],
            let cases = json["cases"] as? [[String: Any]]
        else { return [] }
        return cases.map { c in
            Vector(
                id: c["id"] as? String ?? "?", steps: (c["steps"] as? [[String: Any]] ?? []).map(step),
                closes: c["closes"] as? Bool ?? false, max354: c["max_354"] as? Int ?? 99,
                max250: c["max_250"] as? Int ?? 99)
        }
    }()

    private static func step(_ s: [String: Any]) -> Step {
        var step = Step()
        step.send = (s["send"] as? String).map(octets)
        if let one = s["expect"] as? String { step.expect = [one] }
        if let many = s["expect"] as? [String] { step.expect = many }
        step.collect = s["collect"] as? Bool ?? false
        step.starttls = s["starttls"] as? Bool ?? false
        step.quiet = s["quiet"] != nil
        step.bytewise = s["bytewise"] as? Bool ?? false
        step.optional = s["optional"] as? Bool ?? false
        step.single = s["single"] as? Bool ?? false
        step.early = s["before_banner"] as? Bool ?? false
        step.lacks = s["not_contains"] as? String
        return step
    }

    /// Only our domain is local; nothing is relayed.
    static func world(_ question: Question) -> Answer {
        guard case .recipient(let address, _) = question else { return .accepted }
        let isOurs = address.domain == Array("testserver.example".utf8) || address.domain.isEmpty
        let odd = address.localpart.contains { $0 == 0x25 || $0 == 0x40 || $0 == 0x21 }
        let unknown = address.localpart == Array("nobody-here".utf8)
        return isOurs && !odd && !unknown
            ? .accepted : .refused(Reply(550, EnhancedStatus(5, 7, 1), "Relaying denied"))
    }
}

@Suite struct SMTPVectorTests {
    @Test func allVectorsWereRead() {
        #expect(Vector.all.isEmpty || Vector.all.count >= 113)
    }

    @Test(arguments: Vector.all, [false, true])
    func conversation(_ vector: Vector, bytewise: Bool) throws {
        // A megabyte octet by octet through an array tells nothing more.
        let total = vector.steps.reduce(0) { $0 + ($1.send?.count ?? 0) }
        if bytewise, total > 20_000 { return }
        let configuration = SMTPSessionConfiguration(
            hostname: Array("mx.testserver.example".utf8), offersTLS: true,
            domainToASCII: { _ in Array("xn--and-6ma2c.example".utf8) })
        let driver = SMTPTestDriver(
            configuration: configuration, order: bytewise ? .shuffled(seed: 9) : .atOnce, world: Vector.world)
        _ = driver.takeOutput()
        for step in vector.steps {
            if step.starttls {
                driver.secure()
                if step.quiet { #expect(driver.takeOutput().isEmpty, "an injected command was answered") }
                continue
            }
            if let send = step.send {
                if bytewise || step.bytewise { for c in send { driver.feed([c]) } } else { driver.feed(send) }
                driver.settle()
            }
            let replies = ChunkingVerifier.replies(driver.takeOutput())
            let lines = replies.map { $0.last ?? "" }
            if step.collect {
                #expect(lines.filter { $0.hasPrefix("354") }.count <= vector.max354, "\(lines)")
                #expect(lines.filter { $0.hasPrefix("250") }.count <= vector.max250, "\(lines)")
                continue
            }
            if step.expect.isEmpty { continue }
            let mayEnd = driver.close != nil && (step.optional || vector.closes)
            #expect(lines.count == step.expect.count || mayEnd, "\(lines) for \(step.expect)")
            for (line, pattern) in zip(lines, step.expect) {
                let range = line.range(of: pattern, options: [.regularExpression, .anchored])
                #expect(range != nil, "\(line) for \(pattern)")
            }
            if step.single { #expect(replies.allSatisfy { $0.count == 1 }) }
            if let lacks = step.lacks {
                #expect(!replies.joined().contains { $0.uppercased().contains(lacks) })
            }
        }
        for envelope in driver.envelopes {
            #expect(envelope.sender?.localpart != Array("smuggled".utf8))
        }
    }
}
