/// The questions asked, each with its answer, in their order. Called once, on the resolver's thread, which it must not
/// hold up: post to your own mailbox.
package typealias DNSReply = @Sendable ([(DNSQuestion, DNSAnswer)]) -> Void

/// The seam between those who ask and the thread that knows: ResolverUnbound's in the server, a table in tests.
package protocol DNSResolver: Sendable {
    /// Asks all of them at once and returns without waiting. False: nothing was asked and nobody will reply; go on as if
    /// all had timed out.
    func ask(_ questions: [DNSQuestion], reply: @escaping DNSReply) -> Bool
}
