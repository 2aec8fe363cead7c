import ResolverUnbound
import Testing

@Suite struct UnboundVersionTests {
    @Test func theLinkedLibraryNamesItself() { #expect(UnboundVersion.text.first == "1") }
}
