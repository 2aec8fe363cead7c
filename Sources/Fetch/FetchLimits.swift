/// What bounds one fetch.
package struct FetchLimits: Sendable, Equatable {
    /// Octets of an answer's body.
    package var octets = 64 << 10
    /// From the call to the last octet.
    package var seconds = 60

    package init() {}
}
