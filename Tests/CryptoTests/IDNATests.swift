import Base
import Crypto
import Testing

@Suite struct IDNATests {
    @Test(arguments: [
        ("example.com", "example.com"), ("EXAMPLE.Com", "example.com"), ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"), ("faß.de", "xn--fa-hia.de"),
        ("u\u{308}ber.example", "xn--ber-goa.example"), ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ])
    func toASCII(_ name: String, _ expected: String) {
        #expect(IDNA.toASCII(Array(name.utf8)).map { String(decoding: $0, as: UTF8.self) } == expected)
    }

    @Test(arguments: [
        "", ".", "a..b", "example.com.", "-a.example", "a_b.example", "a b.example", "a\0b.example",
        String(repeating: "a", count: 64) + ".example", String(repeating: "ü", count: 60) + ".example",
        String(repeating: "aaaaaaa.", count: 32) + "example", "xn--\u{FC}.example", "\u{200D}.example",
    ])
    func refused(_ name: String) {
        #expect(IDNA.toASCII(Array(name.utf8)) == nil)
    }

    @Test func brokenUTF8() {
        #expect(IDNA.toASCII([0xC3, 0x28]) == nil)
        #expect(IDNA.toASCII([0xFF, 0xFE, 0x2E, 0x61]) == nil)
    }

    @Test func toUnicode() {
        #expect(IDNA.toUnicode(Array("xn--bcher-kva.example".utf8)) == Array("bücher.example".utf8))
        #expect(IDNA.toUnicode(Array("Example.com".utf8)) == Array("example.com".utf8))
        #expect(IDNA.toUnicode(Array("xn--a.example".utf8)) == nil)
    }
}
