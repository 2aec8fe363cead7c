import Base
package import Protocols

/// The DNS tree walk from one domain to the top (RFC 9989 §4.10): at most `questionsMax` questions, asked together.
package struct TreeWalk: Sendable {
    package static let questionsMax = 8
    /// Labels that are left of a longer name after its first question.
    private static let labelsAfterFirst = 7

    package let start: DNSName
    /// From the longest name to the shortest.
    package private(set) var found: [DMARCLookup] = []
    /// Names of two labels and more whose question went unanswered. That of a top-level name counts as no record: a
    /// registry that does not answer shall not stop the mail of all below it.
    package private(set) var failed: [DNSName] = []
    package private(set) var isSecure = true

    /// The names that are asked, in order.
    package static func names(from start: DNSName) -> [DNSName] {
        var out = [start]
        // RFC 9989 §4.10 step 4
        var next = start.labelCount < questionsMax ? start.parent : start.suffix(labelsAfterFirst)
        while let name = next, !name.isRoot, out.count < questionsMax {
            out.append(name)
            next = name.parent
        }
        return out
    }

    package init(from start: DNSName, _ facts: Facts) throws(Missing) {
        self.start = start
        let names = Self.names(from: start)
        for (i, name) in names.enumerated() {
            let lookup: DMARCLookup
            do throws(Missing) {
                lookup = try DMARCLookup(name, facts)
            } catch {
                var missing = error
                for later in names[(i + 1)...] {
                    guard let question = DMARCLookup.question(later), facts.known(question) == nil else { continue }
                    missing.merge(Missing([question]))
                }
                throw missing
            }
            if !lookup.isSecure { isSecure = false }
            if lookup.isTemporary, name.labelCount > 1 { failed.append(name) }
            guard let record = lookup.record else { continue }
            found.append(lookup)
            // RFC 9989 §4.10 steps 2 and 6
            if record.publicSuffix != .undeclared { break }
        }
    }

    /// The Organizational Domain (RFC 9989 §4.10.2).
    package var organization: DNSName {
        for lookup in found {
            switch lookup.record?.publicSuffix {
            case .no: return lookup.name
            case .yes where lookup.name != start: return start.suffix(lookup.name.labelCount + 1)
            default: continue
            }
        }
        return found.last?.name ?? start
    }

    /// Whether an answer that is lacking could make the Organizational Domain a longer name than it seems, or, without
    /// any record, another one.
    package var isUncertain: Bool {
        guard !found.isEmpty else { return !failed.isEmpty }
        let depth = organization.labelCount
        return failed.contains { $0.labelCount > depth }
    }
}

/// The DMARC record of one name.
package struct DMARCLookup: Sendable {
    package let name: DNSName
    package private(set) var record: DMARCRecord?
    package private(set) var text: [UInt8] = []
    package let isTemporary: Bool
    package let isSecure: Bool
    /// Whether `_dmarc.name` exists, so that the name does too (RFC 8020 §2).
    package let exists: Bool

    package static func question(_ name: DNSName) -> DNSQuestion? {
        name.prepending(Array("_dmarc".utf8)).map { DNSQuestion($0, .txt) }
    }

    package init(_ name: DNSName, _ facts: Facts) throws(Missing) {
        self.name = name
        guard let question = Self.question(name) else {
            // Too long to have a record.
            isTemporary = false
            isSecure = false
            exists = false
            return
        }
        let answer = try facts.need(question)
        isTemporary = answer.isTemporary
        isSecure = answer.security == .secure
        exists = answer.status == .noError || answer.status == .noData
        // RFC 9989 §4.10 step 2: what is not DMARC is discarded; several records are all discarded.
        var records: [(DMARCRecord?, [UInt8])] = []
        for text in answer.texts where Self.startsWithVersion(text) { records.append((DMARCRecord(text), text)) }
        if records.count == 1, let only = records.first, let record = only.0 {
            self.record = record
            text = only.1
        }
    }

    /// A record that claims the version counts among "multiple records" even when the rest of it is broken.
    private static func startsWithVersion(_ text: [UInt8]) -> Bool {
        DMARCRecord(Array(text.prefix { $0 != ASCII.semicolon })) != nil
    }
}
