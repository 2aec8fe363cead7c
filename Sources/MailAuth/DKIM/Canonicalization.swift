import Base
package import Protocols

/// RFC 6376 §3.4
package enum Canonicalization: Sendable, Hashable, CaseIterable {
    case simple, relaxed

    package var name: StaticString {
        switch self {
        case .simple: "simple"
        case .relaxed: "relaxed"
        }
    }

    init?(_ text: ArraySlice<UInt8>) {
        if text.elementsEqual("simple".utf8) {
            self = .simple
        } else if text.elementsEqual("relaxed".utf8) {
            self = .relaxed
        } else {
            return nil
        }
    }
}

/// Header fields in canonical form.
package enum HeaderCanonicalizer {
    /// Appends one whole field, with its final CRLF.
    package static func append(
        _ field: HeaderField, of header: [UInt8], _ mode: Canonicalization, to out: inout [UInt8]
    ) {
        switch mode {
        case .simple:
            // RFC 6376 §3.4.1: not changed in any way.
            out.append(contentsOf: header[field.range])
            if header[field.value.upperBound..<field.range.upperBound].isEmpty { out.append(contentsOf: crlf) }
        case .relaxed:
            appendRelaxed(name: header[field.name], value: header[field.value], to: &out)
        }
    }

    /// Appends a signature field with nothing in its `b=` and without its final CRLF (RFC 6376 §3.7). `signature` is
    /// the range of the value of `b=` inside the field's value.
    package static func appendSignature(
        _ field: HeaderField, of header: [UInt8], without signature: Range<Int>, _ mode: Canonicalization,
        to out: inout [UInt8]
    ) {
        let start = field.value.lowerBound
        var value = Array(header[field.value])
        if signature.upperBound <= value.count { value.removeSubrange(signature) }
        switch mode {
        case .simple:
            out.append(contentsOf: header[field.range.lowerBound..<start])
            out.append(contentsOf: value)
        case .relaxed:
            appendRelaxed(name: header[field.name], value: value[...], to: &out)
            out.removeLast(2)
        }
    }

    private static let crlf: [UInt8] = [ASCII.cr, ASCII.lf]

    // RFC 6376 §3.4.2
    private static func appendRelaxed(name: ArraySlice<UInt8>, value: ArraySlice<UInt8>, to out: inout [UInt8]) {
        out.reserveCapacity(out.count + name.count + value.count + 3)
        for c in name { out.append(ASCII.lowercased(c)) }
        out.append(ASCII.colon)
        let start = out.count
        var space = false
        for (i, c) in value.indices.lazy.map({ ($0, value[$0]) }) {
            if c == ASCII.space || c == ASCII.tab {
                space = true
            } else if isFold(c, i, value) {
                continue
            } else {
                if space, out.count > start { out.append(ASCII.space) }
                space = false
                out.append(c)
            }
        }
        out.append(contentsOf: crlf)
    }

    /// Whether the byte belongs to a line break: CRLF, or a lone LF, which the parser took for one too.
    private static func isFold(_ c: UInt8, _ i: Int, _ value: ArraySlice<UInt8>) -> Bool {
        if c == ASCII.lf { return true }
        return c == ASCII.cr && i + 1 < value.endIndex && value[i + 1] == ASCII.lf
    }
}
