/// What a mail server runs out of. The order settles ties: what causes the others comes before what it causes.
package enum PressureResource: Int, Sendable, Hashable, CaseIterable {
    case disk
    /// Commits of the store, with the requests that wait for one.
    case commit
    case memory, descriptors
    /// SMTP connections.
    case connections
    /// DNS questions in flight.
    case dns
    /// How late a reactor comes to its work.
    case lag
}

/// How scarce a resource is. What is given up at each level: `PressureState.sheds`.
package enum PressureLevel: Int, Sendable, Hashable, CaseIterable, Comparable {
    case calm, elevated, high, critical

    package static func < (a: PressureLevel, b: PressureLevel) -> Bool { a.rawValue < b.rawValue }
}

/// Work that is given up under pressure, the cheapest to lose first.
package enum PressureAction: Int, Sendable, Hashable, CaseIterable {
    /// A session held back by the tarpit: answered at once instead.
    case hold
    /// The time a silent client is waited for: shorter.
    case idle
    /// A new connection: 421 4.3.2.
    case connection
    /// A new message: 452 4.3.1 to MAIL.
    case mail
    /// A message that is arriving and takes much memory: 421 4.3.2, and the connection closes.
    case message
}
