import MailAuth
import Testing

@Suite struct GatherLimitsTests {
    // RFC 7208 §4.6.4: ten lookups one after another, each with a follow-up, must fit.
    @Test func theDefaultHoldsAnSPFChain() { #expect(GatherLimits().rounds >= 20) }
}
