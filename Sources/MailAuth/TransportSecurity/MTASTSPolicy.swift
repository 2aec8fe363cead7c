import Base

/// A policy file of `https://mta-sts.<domain>/.well-known/mta-sts.txt`.
// RFC 8461 §3.2
package struct MTASTSPolicy: Sendable, Hashable {
    /// Octets of a file that is read at all.
    package static let octetsMax = 64 << 10
    /// Seconds; about a year.
    package static let maxAgeMax: Int64 = 31_557_600
    /// Patterns that are kept; real policies have fewer than ten.
    package static let patternsMax = 100

    package enum Mode: String, Sendable, Hashable, CaseIterable {
        /// A host that does not fit gets no mail.
        case enforce
        /// It gets mail, and the failure is reported.
        case testing
        /// As if there were no policy: how a domain takes its policy back.
        case absent = "none"
    }

    package let mode: Mode
    /// Lower-case A-labels, the first label may be `*`.
    package let patterns: [[UInt8]]
    package let maxAgeSeconds: Int64
    /// The lines of the file, for reports (RFC 8460 §4.4).
    package let lines: [[UInt8]]
}
