import Base
import MailAuth
import Protocols
import TestKit
import Testing

@Suite struct CanonicalizationTests {
    private final class Collector: CanonicalBodySink {
        var bytes: [UInt8] = []
        func write(_ piece: Span<UInt8>) { bytes += Array(piece) }
    }

    private func body(_ text: [UInt8], _ mode: Canonicalization, cuts: [Int] = []) -> [UInt8] {
        let sink = Collector()
        var canonicalizer = BodyCanonicalizer(mode)
        var start = 0
        for end in cuts.sorted() + [text.count] {
            canonicalizer.feed(text.span.extracting(start..<end), to: sink)
            start = end
        }
        canonicalizer.finish(to: sink)
        return sink.bytes
    }

    private func header(_ text: String, _ mode: Canonicalization) -> String {
        let index = HeaderIndex(Array(text.utf8))
        var out: [UInt8] = []
        for field in index.fields { HeaderCanonicalizer.append(field, of: index.bytes, mode, to: &out) }
        return String(decoding: out, as: UTF8.self)
    }

    // RFC 6376 §3.4.5
    @Test func examplesOfTheStandard() {
        let fields = "A: X\r\nB : Y\t\r\n\tZ  \r\n"
        #expect(header(fields, .relaxed) == "a:X\r\nb:Y Z\r\n")
        #expect(header(fields, .simple) == fields)
        let text = Array(" C \r\nD \t E\r\n\r\n\r\n".utf8)
        #expect(body(text, .relaxed) == Array(" C\r\nD E\r\n".utf8))
        #expect(body(text, .simple) == Array(" C \r\nD \t E\r\n".utf8))
    }

    @Test(arguments: [
        // body, relaxed, simple
        ("", "", "\r\n"), ("\r\n\r\n", "", "\r\n"), (" \r\n\t\r\n", "", " \r\n\t\r\n"), ("a", "a\r\n", "a\r\n"),
        ("a \t", "a\r\n", "a \t\r\n"), ("a\r\n", "a\r\n", "a\r\n"), ("\r\na\r\n", "\r\na\r\n", "\r\na\r\n"),
        // A lone CR or LF is a byte like others: a body altered there is another body.
        ("a\rb\r\n", "a\rb\r\n", "a\rb\r\n"), ("a\nb", "a\nb\r\n", "a\nb\r\n"), ("a\r", "a\r\r\n", "a\r\r\n"),
        ("a\r\r\n", "a\r\r\n", "a\r\r\n"), ("a \r b", "a \r b\r\n", "a \r b\r\n"),
        ("a\r\n\r\n\r\nb\r\n\r\n", "a\r\n\r\n\r\nb\r\n", "a\r\n\r\n\r\nb\r\n"),
        ("a  \r\n  \r\n  b", "a\r\n\r\n b\r\n", "a  \r\n  \r\n  b\r\n"),
    ])
    func edges(text: String, relaxed: String, simple: String) {
        let bytes = Array(text.utf8)
        #expect(body(bytes, .relaxed) == Array(relaxed.utf8))
        #expect(body(bytes, .simple) == Array(simple.utf8))
    }

    /// The rules of RFC 6376 §3.4.3 and §3.4.4 over a whole body at once, line by line.
    private func reference(_ text: [UInt8], _ mode: Canonicalization) -> [UInt8] {
        var lines: [[UInt8]] = [[]]
        var i = 0
        while i < text.count {
            if text[i] == ASCII.cr, i + 1 < text.count, text[i + 1] == ASCII.lf {
                lines.append([])
                i += 2
                continue
            }
            lines[lines.count - 1].append(text[i])
            i += 1
        }
        if mode == .relaxed {
            lines = lines.map { line in
                var out: [UInt8] = []
                for c in line {
                    let isSpace = c == ASCII.space || c == ASCII.tab
                    if isSpace, out.last == ASCII.space { continue }
                    out.append(isSpace ? ASCII.space : c)
                }
                if out.last == ASCII.space { out.removeLast() }
                return out
            }
        }
        while let last = lines.last, last.isEmpty { lines.removeLast() }
        if lines.isEmpty { return mode == .simple ? [ASCII.cr, ASCII.lf] : [] }
        return Array(lines.map { $0 + [ASCII.cr, ASCII.lf] }.joined())
    }

    @Test(arguments: [Canonicalization.simple, .relaxed])
    func anySplitGivesTheSame(mode: Canonicalization) {
        var random = SeededRandom(seed: mode == .simple ? 1 : 2)
        let alphabet: [[UInt8]] = [
            [0x61], [0x62], [0x20], [0x09], [0x0D, 0x0A], [0x0D, 0x0A], [0x0D], [0x0A], Array("word word".utf8),
            [UInt8](repeating: 0x78, count: 90),
        ]
        for _ in 0..<3_000 {
            let count = Int.random(in: 0...14, using: &random)
            var text: [UInt8] = []
            for _ in 0..<count { text += alphabet[Int.random(in: 0..<alphabet.count, using: &random)] }
            let cuts = (0..<Int.random(in: 0...5, using: &random)).map { _ in
                Int.random(in: 0...text.count, using: &random)
            }
            let got = body(text, mode, cuts: cuts)
            #expect(got == reference(text, mode), "\(text.escapedText) at \(cuts)")
        }
    }

    @Test func manyEmptyLinesStayBounded() {
        let blank = [UInt8](repeating: 0, count: 0) + Array(repeating: [ASCII.cr, ASCII.lf], count: 50_000).joined()
        #expect(body(blank, .relaxed).isEmpty)
        #expect(body(blank + [0x61], .relaxed).count == blank.count + 3)
    }

    // RFC 6376 §5.4.2
    @Test func fieldsAreTakenFromTheBottom() {
        let index = HeaderIndex(Array("A: 1\r\nB: x\r\na: 2\r\nA: 3\r\n\r\nA: body\r\n".utf8))
        let names = ["a", "a", "b", "b", "a", "a"].map { Array($0.utf8) }
        #expect(index.selection(names) == [3, 2, 1, 0])
    }
}
