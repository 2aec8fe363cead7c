import Testing

@testable import Server

@Suite struct ControlTextTests {
    /// A peer's text must not turn a terminal's line round, hide a part of itself, or end it.
    @Test(arguments: [
        ("plain \u{e9} \u{4f60}", true), ("", true), ("a\u{202e}b", false), ("a\u{200b}b", false),
        ("a\u{2066}b", false),
        ("a\u{2028}b", false), ("a\u{9b}b", false), ("a\u{1b}[2Jb", false), ("a\nb", false), ("a\tb", false),
        ("a\u{7f}b", false), ("a\u{feff}b", false),
    ])
    func showsWhatCanBeSeen(_ text: String, _ isShown: Bool) {
        let shown = ControlText.shown(Array(text.utf8))
        #expect((shown == text) == isShown)
        if !isShown { #expect(shown.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F }) }
    }

    @Test func octetsThatAreNoTextAreEscaped() {
        #expect(ControlText.shown([0x61, 0xFF]).utf8.allSatisfy { $0 < 0x7F })
    }
}
