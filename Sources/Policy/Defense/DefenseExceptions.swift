/// What operators exempt at run time, beside the fields of a domain's policy: kept in the defence journal, published to
/// every loop as one value.
package struct DefenseExceptions: Sendable, Hashable {
    /// Not held to limits of connections, rates and failed logins.
    package var limits: [AddressBlock] = []
    /// Never slowed.
    package var tarpit: [AddressBlock] = []
    /// Never greylisted, by client.
    package var greylist: [AddressBlock] = []
    /// Never greylisted, by domain of the envelope sender or proven domain; lower case.
    package var greylistDomains: [[UInt8]] = []

    /// Entries of one list.
    package static let entriesMax = 10_000

    package init() {}
}
