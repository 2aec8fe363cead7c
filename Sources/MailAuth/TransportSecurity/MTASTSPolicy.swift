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
    private static let linesMax = 1_000

    package enum Mode: String, Sendable, Hashable, CaseIterable {
        /// A host that does not fit gets no mail.
        case enforce
        /// It gets mail, and the failure is reported.
        case testing
        /// As if there were no policy: how a domain takes its policy back.
        case absent = "none"
    }

    /// Why a file is no policy.
    package enum Problem: String, Error, Sendable, Hashable, CaseIterable {
        case tooLarge = "the policy is too large"
        case malformedLine = "a line is not of the form name: value"
        case version = "the version is missing or not STSv1"
        case mode = "the mode is missing or unknown"
        case maxAge = "max_age is missing, no number or above 31557600"
        case mx = "an mx value is no host name or wildcard"
        case mxMissing = "there is no mx"
    }

    package let mode: Mode
    /// Lower-case A-labels, the first label may be `*`.
    package let patterns: [[UInt8]]
    package let maxAgeSeconds: Int64
    /// The lines of the file, for reports.
    // RFC 8460 §4.5
    package let lines: [[UInt8]]

    package init(_ file: [UInt8]) throws(Problem) {
        guard file.count <= Self.octetsMax else { throw .tooLarge }
        var fields = Fields()
        var lines: [[UInt8]] = []
        for line in file.split(separator: ASCII.lf, omittingEmptySubsequences: false) {
            var line = line
            if line.last == ASCII.cr { line.removeLast() }
            line = PolicyRecordFields.trimmed(line)
            // Not in the grammar; an empty line more than expected must not cost a domain its policy.
            if line.isEmpty { continue }
            guard lines.count < Self.linesMax else { throw .tooLarge }
            try fields.read(line)
            lines.append(Array(line))
        }
        try self.init(fields, lines)
    }

    private init(_ fields: Fields, _ lines: [[UInt8]]) throws(Problem) {
        guard fields.version == Array("STSv1".utf8) else { throw .version }
        guard let text = fields.mode, let mode = Mode.allCases.first(where: { Array($0.rawValue.utf8) == text }) else {
            throw .mode
        }
        // RFC 8461 §3.2: 1*10(DIGIT)
        guard let text = fields.maxAge, text.count <= 10, let age = Decimal.parse(text.span),
            age <= UInt64(Self.maxAgeMax)
        else { throw .maxAge }
        if mode != .absent, fields.patterns.isEmpty { throw .mxMissing }
        self.mode = mode
        maxAgeSeconds = Int64(age)
        patterns = fields.patterns
        self.lines = lines
    }

    /// What the lines said; of a repeated field the first counts.
    private struct Fields {
        var version: [UInt8]?
        var mode: [UInt8]?
        var maxAge: [UInt8]?
        var patterns: [[UInt8]] = []

        mutating func read(_ line: ArraySlice<UInt8>) throws(Problem) {
            guard let colon = line.firstIndex(of: ASCII.colon), PolicyRecordFields.isName(line[..<colon]) else {
                throw .malformedLine
            }
            let name = Array(line[..<colon])
            let value = Array(PolicyRecordFields.trimmed(line[(colon + 1)...]))
            guard !value.isEmpty, value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { throw .malformedLine }
            if name == Array("version".utf8) {
                version = version ?? value
            } else if name == Array("mode".utf8) {
                mode = mode ?? value
            } else if name == Array("max_age".utf8) {
                maxAge = maxAge ?? value
            } else if name == Array("mx".utf8) {
                guard let pattern = MTASTSPolicy.pattern(value) else { throw .mx }
                if patterns.count < MTASTSPolicy.patternsMax { patterns.append(pattern) }
            }
        }
    }

    /// `["*."] Domain`, in lower case and without a final dot; nil: not that.
    private static func pattern(_ value: [UInt8]) -> [UInt8]? {
        var name = ASCII.lowercased(value)
        if name.last == ASCII.dot { name.removeLast() }
        guard name.count <= 255 else { return nil }
        let domain = name.starts(with: [0x2A, ASCII.dot]) ? name[2...] : name[...]
        let labels = domain.split(separator: ASCII.dot, omittingEmptySubsequences: false)
        let areLabels = labels.allSatisfy { label in
            (1...63).contains(label.count) && label.first != ASCII.hyphen && label.last != ASCII.hyphen
                && label.allSatisfy { ASCII.isAlphanumeric($0) || $0 == ASCII.hyphen }
        }
        return areLabels ? name : nil
    }

    /// Whether a host of that name may take the domain's mail.
    package func matches(_ host: [UInt8]) -> Bool { patterns.contains { Self.matches(host, $0) } }

    /// A wildcard stands for exactly the leftmost label.
    // RFC 8461 §4.1
    package static func matches(_ host: [UInt8], _ pattern: [UInt8]) -> Bool {
        let host = withoutFinalDot(host)
        let pattern = withoutFinalDot(pattern)
        guard pattern.starts(with: [0x2A, ASCII.dot]) else {
            return !host.isEmpty && ASCII.equalIgnoringCase(host, pattern)
        }
        guard let dot = host.firstIndex(of: ASCII.dot), dot > 0, pattern.count > 2 else { return false }
        return ASCII.equalIgnoringCase(Array(host[(dot + 1)...]), Array(pattern[2...]))
    }

    private static func withoutFinalDot(_ name: [UInt8]) -> [UInt8] {
        name.last == ASCII.dot ? Array(name.dropLast()) : name
    }
}
