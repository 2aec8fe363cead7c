import Base
package import Protocols

/// A DMARC Policy Record as its owner published it (RFC 9989 §4.7, §4.8), with what a receiver may make of it.
/// Bounds: `octetsMax` of text, `tagsMax` tags, `urisMax` URIs of each kind.
package struct DMARCRecord: Sendable, Hashable {
    package static let octetsMax = 8_192
    package static let tagsMax = 64
    package static let urisMax = 20

    /// p, valid; nil: absent or not one of the three.
    package private(set) var policy: DMARCPolicy?
    package private(set) var subdomainPolicy: DMARCPolicy?
    package private(set) var nonexistentPolicy: DMARCPolicy?
    package private(set) var publicSuffix = PublicSuffix.undeclared
    /// t=y
    package private(set) var isTesting = false
    package private(set) var strictDKIM = false
    package private(set) var strictSPF = false
    /// Where aggregate and failure reports go: URIs without the obsolete size.
    package private(set) var reportURIs: [[UInt8]] = []
    package private(set) var failureURIs: [[UInt8]] = []
    package private(set) var failureOptions = FailureOptions()
    /// pct of RFC 7489, for `dmarc.mode = rfc7489` only; RFC 9989 knows it no more.
    package private(set) var percent = 100
    /// An sp or np that is there but not valid (RFC 9989 §4.10.1).
    package private(set) var hasBadSubdomainPolicy = false

    package enum PublicSuffix: Sendable, Hashable {
        /// psd=y, psd=n, psd=u (the default)
        case yes, no, undeclared
    }

    /// fo
    package struct FailureOptions: Sendable, Hashable {
        package var any = false
        package var dkim = false
        package var spf = false
    }

    /// Nil when the text is no DMARC record at all: the version is not first, or a tag stands twice.
    package init?(_ text: [UInt8]) {
        guard text.count <= Self.octetsMax else { return nil }
        let parts = text.split(separator: ASCII.semicolon, omittingEmptySubsequences: false)
        // RFC 9989 §4.7: v first, its value case-sensitive; §4.8: no white space before it.
        guard let first = parts.first, let version = Self.tag(first), first.first.map(ASCII.isAlpha) == true,
            version.name == Array("v".utf8), version.value == Array("DMARC1".utf8), parts.count <= Self.tagsMax
        else { return nil }
        var seen: Set<[UInt8]> = [version.name]
        for part in parts.dropFirst() {
            // RFC 9989 §4.8: errors after the version are ignored, tag by tag.
            guard let tag = Self.tag(part) else { continue }
            // RFC 6376 §3.2, whose tag lists these are: a tag that occurs twice makes the whole list invalid.
            guard seen.insert(tag.name).inserted else { return nil }
            take(tag.name, tag.value)
        }
    }

    /// Whether there is anything to do: a valid policy, or an address that wants to know (RFC 9989 §4.10.1).
    package var isUsable: Bool { hasValidPolicies || !reportURIs.isEmpty }

    private var hasValidPolicies: Bool { policy != nil && !hasBadSubdomainPolicy }

    /// RFC 9989 §4.10.1: what is asked for mail from the domain of the record itself, or from a name below it.
    package func policy(isSubdomain: Bool, exists: Bool) -> (DMARCPolicy, AuthResults.DMARC.PolicySource) {
        guard hasValidPolicies, let policy else { return (.monitor, .domain) }
        guard isSubdomain else { return (policy, .domain) }
        if !exists, let nonexistentPolicy { return (nonexistentPolicy, .nonexistent) }
        if let subdomainPolicy { return (subdomainPolicy, .subdomain) }
        return (policy, .domain)
    }

    /// Whether the policy for a name below depends on its existence.
    package var asksForExistence: Bool {
        policy(isSubdomain: true, exists: true).0 != policy(isSubdomain: true, exists: false).0
    }

    // MARK: Tags

    /// `name = value`, white space trimmed, the name in lower case. Nil when it is not a tag.
    private static func tag(_ part: ArraySlice<UInt8>) -> (name: [UInt8], value: [UInt8])? {
        guard let equals = part.firstIndex(of: ASCII.equals) else { return nil }
        let name = ASCII.lowercased(Array(trimmed(part[..<equals])))
        let value = Array(trimmed(part[(equals + 1)...]))
        guard !name.isEmpty, name.allSatisfy(ASCII.isAlpha), !value.isEmpty, value.allSatisfy(ASCII.isPrintable)
        else { return nil }
        return (name, value)
    }

    private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var out = text
        while let c = out.first, c == ASCII.space || c == ASCII.tab { out.removeFirst() }
        while let c = out.last, c == ASCII.space || c == ASCII.tab { out.removeLast() }
        return out
    }

    private mutating func take(_ name: [UInt8], _ value: [UInt8]) {
        let word = ASCII.lowercased(value)
        switch String(validating: name, as: UTF8.self) {
        case "p": policy = Self.request(word)
        case "sp":
            subdomainPolicy = Self.request(word)
            if subdomainPolicy == nil { hasBadSubdomainPolicy = true }
        case "np":
            nonexistentPolicy = Self.request(word)
            if nonexistentPolicy == nil { hasBadSubdomainPolicy = true }
        case "psd": publicSuffix = word == [0x79] ? .yes : word == [0x6E] ? .no : .undeclared
        case "t": isTesting = word == [0x79]
        case "adkim": strictDKIM = word == [0x73]
        case "aspf": strictSPF = word == [0x73]
        case "rua": reportURIs = Self.uris(value)
        case "ruf": failureURIs = Self.uris(value)
        case "fo": failureOptions = Self.failureOptions(word)
        case "pct": percent = Self.percent(value)
        default: break
        }
    }

    private static func request(_ word: [UInt8]) -> DMARCPolicy? {
        DMARCPolicy.allCases.first { Array($0.rawValue.utf8) == word }
    }

    private static func percent(_ value: [UInt8]) -> Int {
        guard value.count <= 3, value.allSatisfy(ASCII.isDigit) else { return 100 }
        let number = value.reduce(0) { $0 * 10 + Int($1 - 0x30) }
        return number <= 100 ? number : 100
    }

    private static func failureOptions(_ word: [UInt8]) -> FailureOptions {
        var out = FailureOptions()
        var seen: Set<[UInt8]> = []
        for part in word.split(separator: ASCII.colon, maxSplits: 4, omittingEmptySubsequences: false) {
            let option = Array(trimmed(part))
            guard seen.insert(option).inserted else { return FailureOptions() }
            switch option {
            case [0x30]: break
            case [0x31]: out.any = true
            case [0x64]: out.dkim = true
            case [0x73]: out.spf = true
            default: return FailureOptions()
            }
        }
        // RFC 9989 §4.7: "0" and "1" are mutually exclusive.
        return seen.contains([0x30]) && seen.contains([0x31]) ? FailureOptions() : out
    }

    // MARK: Report addresses (RFC 9989 §4.6, §4.8)

    private static func uris(_ value: [UInt8]) -> [[UInt8]] {
        var out: [[UInt8]] = []
        for part in value.split(separator: ASCII.comma, maxSplits: urisMax * 2) where out.count < urisMax {
            if let uri = uri(trimmed(part)) { out.append(uri) }
        }
        return out
    }

    private static func uri(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        var text = text
        if let mark = text.firstIndex(of: 0x21) {
            guard isObsoleteSize(text[(mark + 1)...]) else { return nil }
            text = text[..<mark]
        }
        guard let colon = text.firstIndex(of: ASCII.colon), let first = text.first, ASCII.isAlpha(first),
            text[..<colon].allSatisfy({ ASCII.isAlphanumeric($0) || "+-.".utf8.contains($0) }),
            text.count - (colon - text.startIndex) > 1,
            // RFC 3986: no space, quotes, angle brackets, backslash …
            text.allSatisfy({ $0 > ASCII.space && $0 < 0x7F && !"\"<>\\^`{|}".utf8.contains($0) })
        else { return nil }
        let scheme = ASCII.lowercased(Array(text[..<colon]))
        if scheme == Array("mailto".utf8) {
            let address = text[(colon + 1)...].prefix { $0 != 0x3F }
            guard let at = address.lastIndex(of: ASCII.at), at > address.startIndex, at + 1 < address.endIndex else {
                return nil
            }
        }
        return Array(text)
    }

    /// obs-dmarc-report-size after its "!".
    private static func isObsoleteSize(_ text: ArraySlice<UInt8>) -> Bool {
        var digits = text
        if let unit = digits.last, "kmgt".utf8.contains(ASCII.lowercased(unit)) { digits.removeLast() }
        return !digits.isEmpty && digits.allSatisfy(ASCII.isDigit)
    }
}
