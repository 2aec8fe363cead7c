import Protocols
import Testing

@Suite struct UnitextTests {
    @Test(arguments: [
        ("ñandú@good.example", "\\x{F1}and\\x{FA}@good.example"), ("a+b=c\\d@e", "a\\x{2B}b\\x{3D}c\\x{5C}d@e"),
        ("用户@例", "\\x{7528}\\x{6237}@\\x{4F8B}"), ("😀@x", "\\x{1F600}@x"), ("plain@x", "plain@x"),
    ])
    func thereAndBack(address: String, text: String) {
        #expect(Unitext.encode(Array(address.utf8)) == Array(text.utf8))
        #expect(Unitext.decode(Array(text.utf8)) == Array(address.utf8))
    }

    @Test(arguments: [
        "\\x{D}", "\\x{0D}", "\\x{}", "\\x{D800}", "\\x{110000}", "\\x{41", "\\y", "\\", "a b", "\\x{7F}",
        "\\x{FFFFFFFFF}",
    ])
    func refuses(text: String) { #expect(Unitext.decode(Array(text.utf8)) == nil) }

    @Test func brokenUTF8IsStillSafe() {
        #expect(Unitext.encode([0xC3, 0x41, 0x0D]).allSatisfy { $0 > 0x20 && $0 < 0x7F })
        #expect(Unitext.decode([0xC3]) == nil)
    }
}
