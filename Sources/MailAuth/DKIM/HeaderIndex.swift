import Base
package import Protocols

/// The header section of one message, taken apart once for DKIM, ARC and DMARC. Owns the bytes; bounded by
/// `fieldsMax`, below which fields are not seen.
package struct HeaderIndex: Sendable {
    package let bytes: [UInt8]
    package let fields: [HeaderField]
    /// Where the body begins in what was given.
    package let bodyStart: Int
    /// Lower-case name → places in `fields`, top to bottom; empty while there are few enough fields to be walked through.
    private let places: [[UInt8]: [Int]]

    package static let fieldsMax = HeaderParser.fieldsMax
    /// Up to here a walk through the fields is cheaper than the making of a dictionary.
    private static let walkedMax = 64

    /// `message` may be the header section alone or more; nothing behind the empty line is kept.
    package init(_ message: [UInt8]) {
        var parser = HeaderParser()
        var fields: [HeaderField] = []
        fields.reserveCapacity(24)
        let span = message.span
        while fields.count < Self.fieldsMax, let field = parser.next(in: span) { fields.append(field) }
        bodyStart = parser.bodyStart ?? message.count
        let end = fields.last?.range.upperBound ?? 0
        bytes = end == message.count ? message : Array(message[..<end])
        places = fields.count > Self.walkedMax ? Self.dictionary(fields, message) : [:]
        self.fields = fields
    }

    private static func dictionary(_ fields: [HeaderField], _ message: [UInt8]) -> [[UInt8]: [Int]] {
        var places: [[UInt8]: [Int]] = [:]
        for (place, field) in fields.enumerated() {
            places[ASCII.lowercased(Array(message[field.name])), default: []].append(place)
        }
        return places
    }

    /// Places of the fields of this lower-case name, top to bottom.
    package func places(of name: [UInt8]) -> [Int] {
        if fields.count > Self.walkedMax { return places[name] ?? [] }
        var out: [Int] = []
        for (place, field) in fields.enumerated() where isNamed(field, name) { out.append(place) }
        return out
    }

    private func isNamed(_ field: HeaderField, _ name: [UInt8]) -> Bool {
        let start = field.name.lowerBound
        guard field.name.count == name.count else { return false }
        for i in 0..<name.count where ASCII.lowercased(bytes[start + i]) != name[i] { return false }
        return true
    }

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
