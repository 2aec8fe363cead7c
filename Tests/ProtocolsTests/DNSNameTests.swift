import Base
import Protocols
import Testing

@Suite struct DNSNameTests {
    private func text(_ name: DNSName?) -> String? { name.map { String(decoding: $0.dotted, as: UTF8.self) } }

    @Test(arguments: [
        ("example.com", "example.com"), ("example.com.", "example.com"), (".", ""), ("a", "a"),
        ("%{x} y_z.example", "%{x} y_z.example"), ("back\\slash", "back\\slash"),
    ])
    func dottedTextIsTakenAsItIs(_ given: String, _ want: String) { #expect(text(DNSName(given)) == want) }

    @Test(arguments: ["", "..", ".a", "a..b", "a..", String(repeating: "x", count: 64), longName(128)])
    func whatIsNoName(_ text: String) { #expect(DNSName(text) == nil) }

    private static func longName(_ labels: Int) -> String {
        Array(repeating: "x", count: labels).joined(separator: ".")
    }

    @Test func theLongestName() {
        let name = DNSName(Self.longName(127))
        #expect(name?.wire.count == 255)
        #expect(name?.labelCount == 127)
        #expect(name?.prepending([0x78]) == nil)
        #expect(DNSName(labels: Array(repeating: [0x78], count: 127)) == name)
        #expect(DNSName(labels: Array(repeating: [0x78], count: 128)) == nil)
    }

    // RFC 4343 §3
    @Test func caseOfASCIILettersAloneDoesNotMatter() {
        let name = DNSName("WwW.Example-1_.com")
        #expect(name == DNSName("www.eXAMPLE-1_.COM"))
        #expect(Set([name, DNSName("www.example-1_.com")]).count == 1)
        #expect(DNSName(dotted: [0xC9]) != DNSName(dotted: [0xE9]))
        #expect(DNSName("a@") != DNSName("a`"))
        #expect(name?.dotted == Array("WwW.Example-1_.com".utf8))
    }

    @Test func aDotInALabelIsNoBorder() {
        let one = DNSName(labels: [Array("a.b".utf8), Array("c".utf8)])
        #expect(one != DNSName("a.b.c"))
        #expect(one?.presentation == Array("a\\046b.c.".utf8))
    }

    @Test func whatIsNotPlainIsEscapedForTheResolver() {
        #expect(DNSName("a b_%\\.x")?.presentation == Array("a\\032b_\\037\\092.x.".utf8))
        #expect(DNSName.root.presentation == [ASCII.dot])
    }

    @Test(arguments: [
        [], [1], [1, 0x78], [0, 0], [64] + [UInt8](repeating: 0x78, count: 64) + [0], [0xC0, 0], [1, 0x78, 5, 0],
    ])
    func wireFormIsChecked(_ wire: [UInt8]) { #expect(DNSName(wire: wire) == nil) }

    @Test func wireFormOfTheRootAndOfOneLabel() {
        #expect(DNSName(wire: [0]) == .root)
        #expect(DNSName(wire: [1, 0x58, 0]) == DNSName("x"))
    }

    @Test func relatives() {
        let name = DNSName("a.b.example.com") ?? .root
        #expect(text(name.parent) == "b.example.com")
        #expect(text(name.suffix(2)) == "example.com")
        #expect(name.suffix(9) == name)
        #expect(name.suffix(0).isRoot)
        #expect(text(name.prepending(dotted: "_25._tcp")) == "_25._tcp.a.b.example.com")
        #expect(name.isWithin(DNSName("Example.COM") ?? .root))
        #expect(name.isWithin(.root))
        #expect(!name.isWithin(DNSName("ample.com") ?? .root))
        #expect(DNSName.root.parent == nil)
    }
}
