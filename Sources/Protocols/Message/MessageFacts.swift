/// What was seen of a message while its octets passed.
package struct MessageFacts: Sendable, Hashable {
    package var receivedCount = 0
    package var has8bit = false
    /// Octets of the longest line, without its line ending.
    package var longestLine = 0
    /// Octets of the header section with the empty line that ends it.
    package var headerOctets: UInt64 = 0

    package init() {}
}
