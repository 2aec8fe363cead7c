import Base
import TestKit
import Testing

@Suite struct QuotedPrintableTests {
    private static func encode(_ text: String) -> String {
        let bytes = Array(text.utf8)
        return String(decoding: QuotedPrintable.encode(bytes.span), as: UTF8.self)
    }

    private static func decode(_ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        return QuotedPrintable.decode(bytes.span)
    }

    @Test(arguments: [
        ("plain\r\n", "plain\r\n"), ("a=b", "a=3Db"), ("é", "=C3=A9"), ("end \r\n", "end=20\r\n"), ("tab\t", "tab=09"),
        ("a b", "a b"), (".dot\r\n.\r\n", "=2Edot\r\n=2E\r\n"), ("From me", "=46rom me"), ("a\nb\rc", "a=0Ab=0Dc"),
        ("", ""),
    ])
    func encodes(text: String, expected: String) { #expect(Self.encode(text) == expected) }

    @Test(arguments: [
        ("soft=\r\nbreak", "softbreak"), ("soft= \t\r\nbreak", "softbreak"), ("blank  \r\nx", "blank\r\nx"),
        ("=3d=3D", "=="), ("=zz=", "=zz"), ("a=20\r\n", "a \r\n"), ("lf=\nx", "lfx"),
    ])
    func decodes(text: String, expected: String) { #expect(Self.decode(text) == Array(expected.utf8)) }

    @Test func linesAreShortAndTheWayBackIsExact() {
        var random = SeededRandom(seed: 7)
        for _ in 0..<300 {
            let length = Int.random(in: 0...400, using: &random)
            let bytes = (0..<length).map { _ -> UInt8 in
                switch Int.random(in: 0...9, using: &random) {
                case 0: ASCII.cr
                case 1: ASCII.lf
                case 2: ASCII.space
                case 3: ASCII.equals
                case 4: UInt8.random(in: 0...255, using: &random)
                default: UInt8.random(in: 0x41...0x5A, using: &random)
                }
            }
            let text = QuotedPrintable.encode(bytes.span)
            #expect(QuotedPrintable.decode(text.span) == bytes)
            for line in text.split(separator: ASCII.lf, omittingEmptySubsequences: false) {
                #expect(line.filter { $0 != ASCII.cr }.count <= 76)
                #expect(line.first != ASCII.dot)
            }
            #expect(!text.contains { $0 >= 0x7F })
        }
    }
}
