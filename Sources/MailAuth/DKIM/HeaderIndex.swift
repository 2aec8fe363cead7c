import Base
package import Protocols

/// The header section of one message, taken apart once for DKIM, ARC and DMARC. Owns the bytes; bounded by
/// `fieldsMax`, below which fields are not seen.
package struct HeaderIndex: Sendable {
    package let bytes: [UInt8]
    package let fields: [HeaderField]
    /// Where the body begins in what was given.
    package let bodyStart: Int
    /// Lower-case name → places in `fields`, top to bottom.
    private let places: [[UInt8]: [Int]]

    package static let fieldsMax = 10_000

    /// `message` may be the header section alone or more; nothing behind the empty line is kept.
    package init(_ message: [UInt8]) {
        var parser = HeaderParser()
        var fields: [HeaderField] = []
        var places: [[UInt8]: [Int]] = [:]
        let span = message.span
        while fields.count < Self.fieldsMax, let field = parser.next(in: span) {
            places[ASCII.lowercased(Array(message[field.name])), default: []].append(fields.count)
            fields.append(field)
        }
        bodyStart = parser.bodyStart ?? message.count
        bytes = Array(message[..<(fields.last?.range.upperBound ?? 0)])
        self.fields = fields
        self.places = places
    }

    /// Places of the fields of this lower-case name, top to bottom.
    package func places(of name: [UInt8]) -> [Int] { places[name] ?? [] }

    package func value(of place: Int) -> [UInt8] { Array(bytes[fields[place].value]) }

    /// The fields that `h=` selects, in its order: each mention of a name takes the lowest instance not yet taken, and
    /// a mention without an instance left takes nothing.
    package func selection(_ names: [[UInt8]]) -> [Int] {
        // RFC 6376 §5.4.2
        var taken: [[UInt8]: Int] = [:]
        var out: [Int] = []
        for name in names {
            let all = places(of: name)
            let used = taken[name, default: 0]
            guard used < all.count else { continue }
            out.append(all[all.count - 1 - used])
            taken[name] = used + 1
        }
        return out
    }
}
