import Base
import Protocols

/// DNS lists as operators write them: `zone=weight` or `zone:codes=weight`, parted by commas. Codes are the last octet of
/// the answer, one or a range, `127.0.0.` before it or not.
extension DomainDefense.DNSList: CustomStringConvertible {
    /// Entries of one domain: each is a question for every new client.
    package static let countMax = 32
    /// Ranges of one entry.
    package static let codesMax = 16
    package static let weights = -100...100
    /// The 64 octets that an IPv6 address takes must fit before it in a name of 253.
    package static let zoneOctetsMax = 180

    /// What is wrong with a text that is no such list, for people.
    package struct Fault: Error, CustomStringConvertible {
        package let description: String

        fileprivate init(_ description: String) { self.description = description }
    }

    /// Throws: not such a list, too long, or the same entry twice.
    package static func parse(_ text: String) throws(Fault) -> [Self] {
        guard text.utf8.count <= 16_384 else { throw Fault("it has more than 16384 octets") }
        if text == "none" { return [] }
        var out: [Self] = []
        var entry: [UInt8] = []
        for part in text.utf8.split(separator: ASCII.comma, omittingEmptySubsequences: false) {
            let word = SettingText.trimmed(part)
            // A comma before the weight parts codes.
            if entry.isEmpty { entry = word } else { entry += [ASCII.comma] + word }
            guard entry.contains(ASCII.equals) else {
                guard entry.contains(ASCII.colon) else {
                    throw Fault("\"\(entry.escapedText)\" has no weight: write zone=5")
                }
                continue
            }
            guard out.count < countMax else { throw Fault("there are more than \(countMax) lists") }
            let list = try Self(entry)
            guard !out.contains(where: { $0.isSame(as: list) }) else {
                throw Fault("\"\(entry.escapedText)\": the list is there twice")
            }
            out.append(list)
            entry = []
        }
        guard entry.isEmpty else { throw Fault("\"\(entry.escapedText)\" has no weight: write zone:codes=5") }
        return out
    }

    private init(_ entry: [UInt8]) throws(Fault) {
        func fault(_ why: String) -> Fault { Fault("\"\(Array(entry.prefix(80)).escapedText)\": \(why)") }
        let sides = entry.split(separator: ASCII.equals, maxSplits: 1, omittingEmptySubsequences: false)
        guard sides.count == 2, let weight = Self.weight(sides[1]) else {
            throw fault("the weight is a whole number from -100 to 100 and not 0")
        }
        let names = sides[0].split(separator: ASCII.colon, maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = names.first, let zone = Self.zone(Array(first)) else {
            throw fault("the zone is not a domain name, such as zen.example")
        }
        self.init(zone: zone, weight: weight)
        guard names.count == 2 else { return }
        for part in names[1].split(separator: ASCII.comma, omittingEmptySubsequences: false) {
            guard codes.count < Self.codesMax else { throw fault("it has more than \(Self.codesMax) codes") }
            guard let range = Self.range(part) else {
                throw fault("\"\(Array(part).escapedText)\" is no code: 0 to 255, or a range such as 2-11")
            }
            codes.append(range)
        }
    }

    private static func zone(_ text: [UInt8]) -> [UInt8]? {
        let isName = text.allSatisfy { ASCII.isAlphanumeric($0) || "-._".utf8.contains($0) }
        guard isName, text.last != ASCII.dot, text.count <= zoneOctetsMax, DNSName(dotted: text) != nil else {
            return nil
        }
        return ASCII.lowercased(text)
    }

    /// Nothing is no weight: such a list would be asked in vain.
    private static func weight(_ text: ArraySlice<UInt8>) -> Int? {
        let isNegative = text.first == ASCII.hyphen
        let digits = Array(isNegative || text.first == ASCII.plus ? text.dropFirst() : text)
        guard digits.count <= 3, let n = Decimal.parse(digits.span), n > 0 else { return nil }
        let weight = isNegative ? -Int(n) : Int(n)
        return weights.contains(weight) ? weight : nil
    }

    private static func range(_ text: ArraySlice<UInt8>) -> ClosedRange<UInt8>? {
        let ends = text.split(separator: ASCII.hyphen, maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = ends.first.flatMap(octet), let last = ends.last.flatMap(octet), first <= last else {
            return nil
        }
        return first...last
    }

    private static func octet(_ text: ArraySlice<UInt8>) -> UInt8? {
        let loopback = Array("127.0.0.".utf8)
        let digits = Array(text.starts(with: loopback) ? text.dropFirst(loopback.count) : text)
        guard digits.count <= 3, let n = Decimal.parse(digits.span) else { return nil }
        return UInt8(exactly: n)
    }

    private func isSame(as other: Self) -> Bool { zone == other.zone && codes == other.codes }

    package var description: String {
        let which = codes.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
        return zone.escapedText + (which.isEmpty ? "" : ":" + which.joined(separator: ",")) + "=\(weight)"
    }
}
