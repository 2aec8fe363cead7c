import Base
import Protocols

/// From TXT bytes to `SPFRecord`. All of the record is checked before any of it is used (RFC 7208 §4.6); the size of a
/// TXT RRset bounds the work.
package enum SPFParser {
    private static let version = Array("v=spf1".utf8)

    /// RFC 7208 §4.5: begins with the version section and that ends at a space or with the record.
    package static func isRecord(_ text: [UInt8]) -> Bool {
        guard text.count >= version.count, ASCII.equalIgnoringCase(Array(text[..<version.count]), version) else {
            return false
        }
        return text.count == version.count || text[version.count] == ASCII.space
    }

    /// `text` must pass `isRecord`.
    package static func parse(_ text: [UInt8]) throws(SPFSyntaxError) -> SPFRecord {
        guard isRecord(text) else { throw SPFSyntaxError("no \"v=spf1\"", in: text) }
        var record = SPFRecord()
        for term in text[version.count...].split(separator: ASCII.space) {
            try add(term, to: &record)
        }
        return record
    }

    /// RFC 7208 §4.6.1: a modifier has its "=" right after the name, before any ":" or "/".
    private static func add(_ term: ArraySlice<UInt8>, to record: inout SPFRecord) throws(SPFSyntaxError) {
        let stop = term.firstIndex { $0 == ASCII.equals || $0 == ASCII.colon || $0 == ASCII.slash }
        if let stop, term[stop] == ASCII.equals {
            try addModifier(name: term[..<stop], value: term[(stop + 1)...], term, to: &record)
            return
        }
        var name = term[..<(stop ?? term.endIndex)]
        var qualifier = SPFQualifier.pass
        if let first = name.first, let given = SPFQualifier(rawValue: first) {
            qualifier = given
            name = name.dropFirst()
        }
        let mechanism = try mechanism(ASCII.lowercased(Array(name)), term[(stop ?? term.endIndex)...], term)
        record.directives.append(SPFDirective(qualifier: qualifier, mechanism: mechanism, text: Array(term)))
    }

    // MARK: Modifiers

    private static func addModifier(
        name: ArraySlice<UInt8>, value: ArraySlice<UInt8>, _ term: ArraySlice<UInt8>, to record: inout SPFRecord
    ) throws(SPFSyntaxError) {
        guard let first = name.first, ASCII.isAlpha(first),
            name.allSatisfy({ ASCII.isAlphanumeric($0) || $0 == ASCII.hyphen || $0 == 0x5F || $0 == ASCII.dot })
        else { throw SPFSyntaxError("a wrong modifier name", in: term) }
        switch ASCII.lowercased(Array(name)) {
        case Array("redirect".utf8):
            // RFC 7208 §6: each of the two at most once.
            guard record.redirect == nil else { throw SPFSyntaxError("a second redirect", in: term) }
            record.redirect = try SPFMacroString.domainSpec(value)
        case Array("exp".utf8):
            guard record.explanation == nil else { throw SPFSyntaxError("a second exp", in: term) }
            record.explanation = try SPFMacroString.domainSpec(value)
        default:
            // RFC 7208 §6: ignored, but its syntax is that of a macro-string.
            _ = try SPFMacroString(value, letters: .explanation)
        }
    }

    // MARK: Mechanisms

    /// `rest` is what follows the name: empty, or from its ":" or "/" on.
    private static func mechanism(
        _ name: [UInt8], _ rest: ArraySlice<UInt8>, _ term: ArraySlice<UInt8>
    ) throws(SPFSyntaxError) -> SPFMechanism {
        switch name {
        case Array("all".utf8):
            guard rest.isEmpty else { throw SPFSyntaxError("an argument to \"all\"", in: term) }
            return .all
        case Array("include".utf8): return .include(try .domainSpec(try argument(rest, term)))
        case Array("exists".utf8): return .exists(try .domainSpec(try argument(rest, term)))
        case Array("ptr".utf8):
            return .ptr(rest.isEmpty ? nil : try .domainSpec(try argument(rest, term)))
        case Array("a".utf8):
            let (target, prefix) = try host(rest, term)
            return .a(target, prefix)
        case Array("mx".utf8):
            let (target, prefix) = try host(rest, term)
            return .mx(target, prefix)
        case Array("ip4".utf8):
            let (network, prefix) = try splitPrefix(try argument(rest, term), maximum: 32, term)
            guard let bytes = IPAddress.parseIPv4(network) else {
                throw SPFSyntaxError("no IPv4 network", in: term)
            }
            return .ip4(bytes, prefix: prefix)
        case Array("ip6".utf8):
            let (network, prefix) = try splitPrefix(try argument(rest, term), maximum: 128, term)
            guard let bytes = IPAddress.parseIPv6(Array(network)) else {
                throw SPFSyntaxError("no IPv6 network", in: term)
            }
            return .ip6(bytes, prefix: prefix)
        default: throw SPFSyntaxError("an unknown mechanism", in: term)
        }
    }

    /// What follows the colon, which must be there.
    private static func argument(
        _ rest: ArraySlice<UInt8>, _ term: ArraySlice<UInt8>
    ) throws(SPFSyntaxError) -> ArraySlice<UInt8> {
        guard rest.first == ASCII.colon else { throw SPFSyntaxError("a missing argument", in: term) }
        return rest.dropFirst()
    }

    /// `[ ":" domain-spec ] [ dual-cidr-length ]`. A domain-spec ends in "}" or a top label, so a "/" and digits at the
    /// end are never part of it.
    private static func host(
        _ rest: ArraySlice<UInt8>, _ term: ArraySlice<UInt8>
    ) throws(SPFSyntaxError) -> (SPFMacroString?, SPFPrefix) {
        var body = rest
        var prefix = SPFPrefix()
        let tail = body.reversed().prefix(while: ASCII.isDigit).count
        var slash = body.endIndex - tail - 1
        if slash > body.startIndex, body[slash] == ASCII.slash, body[slash - 1] == ASCII.slash {
            prefix.v6 = try prefixLength(body[(slash + 1)...], maximum: 128, term)
            body = body[..<(slash - 1)]
            slash = body.endIndex - body.reversed().prefix(while: ASCII.isDigit).count - 1
        }
        if slash >= body.startIndex, body[slash] == ASCII.slash {
            prefix.v4 = try prefixLength(body[(slash + 1)...], maximum: 32, term)
            body = body[..<slash]
        }
        if body.isEmpty { return (nil, prefix) }
        return (try .domainSpec(try argument(body, term)), prefix)
    }

    private static func splitPrefix(
        _ text: ArraySlice<UInt8>, maximum: Int, _ term: ArraySlice<UInt8>
    ) throws(SPFSyntaxError) -> (ArraySlice<UInt8>, Int) {
        guard let slash = text.firstIndex(of: ASCII.slash) else { return (text, maximum) }
        return (text[..<slash], try prefixLength(text[(slash + 1)...], maximum: maximum, term))
    }

    /// One to three digits, no leading zero, within range.
    private static func prefixLength(
        _ digits: ArraySlice<UInt8>, maximum: Int, _ term: ArraySlice<UInt8>
    ) throws(SPFSyntaxError) -> Int {
        guard (1...3).contains(digits.count), digits.allSatisfy(ASCII.isDigit),
            digits.count == 1 || digits.first != 0x30
        else { throw SPFSyntaxError("a wrong prefix length", in: term) }
        let value = digits.reduce(0) { $0 * 10 + Int($1 & 15) }
        guard value <= maximum else { throw SPFSyntaxError("a prefix length above \(maximum)", in: term) }
        return value
    }
}
