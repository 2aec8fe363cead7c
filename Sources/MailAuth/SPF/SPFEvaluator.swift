import Base
import Protocols

/// Why an evaluation stops before its end.
enum SPFStop: Error {
    case missing(Missing)
    case temporary(String)
    case permanent(String)
    /// The term at hand can match nothing.
    case noMatch
}

/// One run of `check_host()` with all its recursions: the limits of RFC 7208 §4.6.4 are counted here, for all of them
/// together. They also bound the depth: every recursion is one of ten terms.
struct SPFEvaluator {
    /// RFC 7208 §4.6.4
    static let lookupLimit = 10
    static let voidLimit = 2
    static let addressLimit = 10

    let check: SPFCheck
    let facts: Facts
    let domain: [UInt8]
    private(set) var lookups = 0
    private(set) var voids = 0
    private(set) var isSecure = true
    private var firstRecord: [UInt8]?

    /// What one record came to.
    struct Outcome {
        var result: AuthResult
        var path: [SPFVerdict.Step] = []
        /// The `exp` of the record that decided, and that record's domain.
        var explanation: SPFMacroString?
        var domain: [UInt8] = []
        var problem: String?
    }

    init(_ check: SPFCheck, domain: [UInt8], _ facts: Facts) {
        self.check = check
        self.domain = domain
        self.facts = facts
    }

    mutating func verdict() throws(Missing) -> SPFVerdict {
        var verdict = SPFVerdict(identity: check.identity, sender: check.local + [ASCII.at] + domain, domain: domain)
        do throws(SPFStop) {
            let outcome = try checkHost(domain)
            verdict.result = outcome.result
            verdict.path = outcome.path
            verdict.problem = outcome.problem
            if outcome.result == .fail, check.wantsExplanation, let explanation = outcome.explanation {
                let secure = isSecure
                verdict.explanation = try explain(explanation, outcome.domain)
                isSecure = secure
            }
        } catch {
            switch error {
            case .missing(let missing): throw missing
            case .temporary(let problem):
                verdict.result = .temperror
                verdict.problem = problem
            case .permanent(let problem):
                verdict.result = .permerror
                verdict.problem = problem
            case .noMatch: verdict.result = .neutral
            }
        }
        verdict.record = firstRecord ?? []
        verdict.lookups = lookups
        verdict.voidLookups = voids
        verdict.isSecure = isSecure
        return verdict
    }

    // MARK: Records

    /// `domain` without a final dot.
    private mutating func checkHost(_ domain: [UInt8]) throws(SPFStop) -> Outcome {
        // RFC 7208 §4.3: malformed or not multi-label.
        guard let name = DNSName(dotted: domain), name.labelCount > 1 else {
            return Outcome(result: .absent, problem: "\(Self.shown(domain)) is not a domain name with two labels")
        }
        // RFC 7208 §4.4
        let answer = try ask(name, .txt)
        let records = answer.texts.filter(SPFParser.isRecord)
        guard let text = records.first else {
            return Outcome(result: .absent, problem: "\(name) has no SPF record")
        }
        // RFC 7208 §4.5
        guard records.count == 1 else { throw .permanent("\(name) has \(records.count) SPF records") }
        if firstRecord == nil { firstRecord = text }
        let record: SPFRecord
        do throws(SPFSyntaxError) {
            record = try SPFParser.parse(text)
        } catch {
            throw .permanent("the SPF record of \(name) has \(error.text)")
        }
        return try evaluate(record, domain)
    }

    private mutating func evaluate(_ record: SPFRecord, _ domain: [UInt8]) throws(SPFStop) -> Outcome {
        for (index, directive) in record.directives.enumerated() {
            do throws(SPFStop) {
                guard let inner = try match(directive.mechanism, domain) else { continue }
                let step = SPFVerdict.Step(domain: domain, term: directive.text)
                return Outcome(
                    result: directive.qualifier.result, path: [step] + inner, explanation: record.explanation,
                    domain: domain)
            } catch {
                switch error {
                case .noMatch: continue
                case .missing(var missing):
                    missing.merge(Missing(likelyQuestions(record.directives[(index + 1)...], domain)))
                    throw .missing(missing)
                case .temporary, .permanent: throw error
                }
            }
        }
        if let redirect = record.redirect, !record.hasAll {
            do throws(SPFStop) {
                return try follow(redirect, domain)
            } catch {
                guard case .noMatch = error else { throw error }
            }
        }
        // RFC 7208 §4.7
        return Outcome(result: .neutral, domain: domain)
    }

    /// RFC 7208 §6.1
    private mutating func follow(_ redirect: SPFMacroString, _ domain: [UInt8]) throws(SPFStop) -> Outcome {
        try countLookup()
        let target = try expand(redirect, domain)
        var outcome = try checkHost(target)
        guard outcome.result != .absent else {
            throw .permanent("redirect from \(Self.shown(domain)): \(outcome.problem ?? "no record")")
        }
        outcome.path.insert(
            SPFVerdict.Step(domain: domain, term: Array("redirect=".utf8) + target), at: 0)
        return outcome
    }

    // MARK: Mechanisms

    /// nil: no match. Else the steps below this one that decided.
    private mutating func match(
        _ mechanism: SPFMechanism, _ domain: [UInt8]
    ) throws(SPFStop) -> [SPFVerdict.Step]? {
        let matches: Bool
        switch mechanism {
        case .all: matches = true
        case .ip4(let network, let prefix): matches = Self.isWithin(check.ip, network, prefix)
        case .ip6(let network, let prefix): matches = Self.isWithin(check.ip, network, prefix)
        case .include(let target): return try include(target, domain)
        case .a(let target, let prefix): matches = try matchA(target, prefix, domain)
        case .mx(let target, let prefix): matches = try matchMX(target, prefix, domain)
        case .ptr(let target): matches = try matchPTR(target, domain)
        case .exists(let target): matches = try matchExists(target, domain)
        }
        return matches ? [] : nil
    }

    /// RFC 7208 §5.2
    private mutating func include(
        _ target: SPFMacroString, _ domain: [UInt8]
    ) throws(SPFStop) -> [SPFVerdict.Step]? {
        try countLookup()
        let outcome = try checkHost(try expand(target, domain))
        switch outcome.result {
        case .pass: return outcome.path
        case .absent: throw .permanent("include in \(Self.shown(domain)): \(outcome.problem ?? "no record")")
        default: return nil
        }
    }

    /// RFC 7208 §5.3
    private mutating func matchA(
        _ target: SPFMacroString?, _ prefix: SPFPrefix, _ domain: [UInt8]
    ) throws(SPFStop) -> Bool {
        try countLookup()
        guard let name = try targetName(target, domain) else { return false }
        let answer = try ask(name, addressType)
        if answer.records.isEmpty { try countVoid(name) }
        return answer.addresses.contains { check.ip.matches($0, prefix: prefix.bits(for: check.ip)) }
    }

    /// RFC 7208 §5.4; no implicit MX.
    private mutating func matchMX(
        _ target: SPFMacroString?, _ prefix: SPFPrefix, _ domain: [UInt8]
    ) throws(SPFStop) -> Bool {
        try countLookup()
        guard let name = try targetName(target, domain) else { return false }
        let answer = try ask(name, .mx)
        var isVoid = answer.records.isEmpty
        if isVoid { try countVoid(name) }
        // RFC 7208 §4.6.4: whichever order the records come in.
        guard answer.records.count <= Self.addressLimit else {
            throw .permanent("\(name) has more than \(Self.addressLimit) MX records")
        }
        // RFC 7505 §3: the root is no host.
        let hosts = Self.byPreference(answer.records).filter { !$0.isRoot }
        try want(hosts.map { DNSQuestion($0, addressType) })
        for host in hosts {
            let addresses = try ask(host, addressType)
            if addresses.records.isEmpty, !isVoid {
                // The limit is one of terms: this one counts once, however many hosts it names.
                isVoid = true
                try countVoid(host)
            }
            if addresses.addresses.contains(where: { check.ip.matches($0, prefix: prefix.bits(for: check.ip)) }) {
                return true
            }
        }
        return false
    }

    /// RFC 7208 §5.5
    private mutating func matchPTR(_ target: SPFMacroString?, _ domain: [UInt8]) throws(SPFStop) -> Bool {
        try countLookup()
        guard let name = try targetName(target, domain) else { return false }
        return try validatedNames(countsVoid: true).contains { $0.isWithin(name) }
    }

    /// RFC 7208 §5.7: A records also for IPv6 clients.
    private mutating func matchExists(_ target: SPFMacroString, _ domain: [UInt8]) throws(SPFStop) -> Bool {
        try countLookup()
        guard let name = try targetName(target, domain) else { return false }
        let answer = try ask(name, .a)
        if answer.records.isEmpty { try countVoid(name) }
        return !answer.records.isEmpty
    }

    // MARK: Questions

    private var addressType: DNSRecordType { check.ip.isIPv4 ? .a : .aaaa }

    /// RFC 7208 §5: an error other than "no such name" ends it all with temperror.
    private mutating func ask(_ name: DNSName, _ type: DNSRecordType) throws(SPFStop) -> DNSAnswer {
        let answer = try known(name, type)
        guard !answer.isTemporary else {
            throw .temporary("DNS \(answer.status.rawValue) for \(name) \(type)")
        }
        return answer
    }

    private mutating func known(_ name: DNSName, _ type: DNSRecordType) throws(SPFStop) -> DNSAnswer {
        let question = DNSQuestion(name, type)
        guard let answer = facts.known(question) else { throw .missing(Missing([question])) }
        if answer.security != .secure { isSecure = false }
        return answer
    }

    /// All that lack are asked for together.
    private func want(_ questions: [DNSQuestion]) throws(SPFStop) {
        var missing: [DNSQuestion] = []
        for question in questions where facts.known(question) == nil && !missing.contains(question) {
            missing.append(question)
        }
        if !missing.isEmpty { throw .missing(Missing(missing)) }
    }

    private mutating func countLookup() throws(SPFStop) {
        guard lookups < Self.lookupLimit else { throw .permanent("more than \(Self.lookupLimit) DNS lookups") }
        lookups += 1
    }

    private mutating func countVoid(_ name: DNSName) throws(SPFStop) {
        guard voids < Self.voidLimit else {
            throw .permanent("more than \(Self.voidLimit) lookups without an answer, the last for \(name)")
        }
        voids += 1
    }

    /// What the terms after the one that waits will most likely ask, so that one wait serves them all: records of
    /// fixed includes, hosts of fixed names. None past a term that ends the record, nor more than the limit allows.
    private func likelyQuestions(_ rest: ArraySlice<SPFDirective>, _ domain: [UInt8]) -> [DNSQuestion] {
        var questions: [DNSQuestion] = []
        for directive in rest {
            guard questions.count + lookups < Self.lookupLimit else { break }
            let target: SPFMacroString?
            let type: DNSRecordType
            switch directive.mechanism {
            case .all: return questions
            case .ip4(let network, let prefix), .ip6(let network, let prefix):
                if Self.isWithin(check.ip, network, prefix) { return questions }
                continue
            case .ptr, .exists: continue
            case .include(let spec): (target, type) = (spec, .txt)
            case .a(let spec, _): (target, type) = (spec, addressType)
            case .mx(let spec, _): (target, type) = (spec, .mx)
            }
            let text = target == nil ? domain : target?.constant
            guard let text, let name = DNSName(dotted: text) else { continue }
            let question = DNSQuestion(name, type)
            if facts.known(question) == nil { questions.append(question) }
        }
        return questions
    }

    // MARK: Names

    /// The target of a mechanism; nil: no name the DNS could hold, so nothing matches (RFC 7208 §4.8).
    private mutating func targetName(_ target: SPFMacroString?, _ domain: [UInt8]) throws(SPFStop) -> DNSName? {
        guard let target else { return DNSName(dotted: domain) }
        return DNSName(dotted: try expand(target, domain))
    }

    /// A target after its expansion, cut to the length of a domain name, no final dot.
    private mutating func expand(_ spec: SPFMacroString, _ domain: [UInt8]) throws(SPFStop) -> [UInt8] {
        try expansion(spec, domain, in: .term)
    }

    /// RFC 7208 §5.5: names that the client's address leads to and that lead back to it, the first ten.
    private mutating func validatedNames(countsVoid: Bool) throws(SPFStop) -> [DNSName] {
        let reverse = check.ip.reverseName
        let answer = try known(reverse, .ptr)
        guard !answer.isTemporary else { return [] }
        if answer.records.isEmpty, countsVoid { try countVoid(reverse) }
        let names = answer.targets.prefix(Self.addressLimit).filter { !$0.isRoot }
        try want(names.map { DNSQuestion($0, addressType) })
        var validated: [DNSName] = []
        for name in names {
            // An error skips the name: a stranger chose it.
            if try known(name, addressType).addresses.contains(check.ip) { validated.append(name) }
        }
        return validated
    }

    private static func byPreference(_ records: [RecordData]) -> [DNSName] {
        var hosts: [(UInt16, DNSName)] = []
        for case .mx(let preference, let host) in records { hosts.append((preference, host)) }
        return hosts.sorted { $0.0 < $1.0 }.map(\.1)
    }

    private static func isWithin(_ ip: IPAddress, _ network: [UInt8], _ prefix: Int) -> Bool {
        guard ip.bytes.count == network.count else { return false }
        var left = prefix
        for i in 0..<network.count where left > 0 {
            let mask: UInt8 = left >= 8 ? 0xFF : ~(0xFF >> UInt8(truncatingIfNeeded: left))
            if (ip.bytes[i] ^ network[i]) & mask != 0 { return false }
            left -= 8
        }
        return true
    }

    private static func shown(_ domain: [UInt8]) -> String { "\"\(Array(domain.prefix(128)).escapedText)\"" }
}

// MARK: Macros

extension SPFEvaluator {
    /// An explanation is for one SMTP reply (RFC 7208 §6.2: its length may be limited).
    private static let explanationMax = 480
    /// Far more than a name can hold; what stands left of it is cut in any case.
    private static let workMax = 4_096

    private enum Use {
        case term, explanation
    }

    /// RFC 7208 §7.3
    private mutating func expansion(
        _ spec: SPFMacroString, _ domain: [UInt8], in use: Use
    ) throws(SPFStop) -> [UInt8] {
        var out: [UInt8] = []
        for segment in spec.segments {
            switch segment {
            case .literal(let text), .fixed(let text): out += text
            case .macro(let macro): out += macro.transform(try value(macro.letter, domain, use))
            }
            if out.count > Self.workMax { out.removeFirst(out.count - Self.workMax) }
        }
        return Self.cutToName(out)
    }

    private mutating func value(_ letter: UInt8, _ domain: [UInt8], _ use: Use) throws(SPFStop) -> [UInt8] {
        switch letter {
        case UInt8(ascii: "s"): return try local(use) + [ASCII.at] + self.domain
        case UInt8(ascii: "l"): return try local(use)
        case UInt8(ascii: "o"): return self.domain
        case UInt8(ascii: "d"): return domain
        case UInt8(ascii: "i"): return dottedAddress
        case UInt8(ascii: "p"): return try validatedName(domain, use)
        case UInt8(ascii: "v"): return Array((check.ip.isIPv4 ? "in-addr" : "ip6").utf8)
        case UInt8(ascii: "h"): return check.helo
        case UInt8(ascii: "c"): return Array(check.ip.description.utf8)
        case UInt8(ascii: "r"): return check.receiver
        default: return Array(String(check.now.seconds).utf8)
        }
    }

    /// RFC 8616 §4: terms with a local-part beyond ASCII match nothing.
    private func local(_ use: Use) throws(SPFStop) -> [UInt8] {
        guard use == .explanation || check.local.allSatisfy({ $0 < 0x80 }) else { throw .noMatch }
        return check.local
    }

    /// Dotted quad, or 32 nibbles with dots between.
    private var dottedAddress: [UInt8] {
        if check.ip.isIPv4 { return Array(check.ip.description.utf8) }
        return Array(Hex.encode(check.ip.bytes).utf8.map { [$0] }.joined(separator: [ASCII.dot]))
    }

    /// RFC 7208 §7.3: the domain itself, else a name below it, else any. Counted like the `ptr` mechanism (§4.6.4),
    /// but not in text that is made when the result is known.
    private mutating func validatedName(_ domain: [UInt8], _ use: Use) throws(SPFStop) -> [UInt8] {
        if use == .term { try countLookup() }
        let names = try validatedNames(countsVoid: false)
        guard let first = names.first else { return Array("unknown".utf8) }
        guard let name = DNSName(dotted: domain) else { return first.dotted }
        return (names.first { $0 == name } ?? names.first { $0.isWithin(name) } ?? first).dotted
    }

    /// RFC 7208 §6.2: nil whenever anything is wrong with it. Made after the result, outside its limits.
    private mutating func explain(_ spec: SPFMacroString, _ domain: [UInt8]) throws(SPFStop) -> [UInt8]? {
        do throws(SPFStop) {
            let target = try expansion(spec, domain, in: .explanation)
            // RFC 8616 §4: a local-part beyond ASCII names no text.
            guard target.allSatisfy({ $0 < 0x80 }), let name = DNSName(dotted: target) else { return nil }
            let answer = try known(name, .txt)
            guard !answer.isTemporary, answer.texts.count == 1, let text = answer.texts.first else { return nil }
            return try explanation(text, domain)
        } catch {
            guard case .missing = error else { return nil }
            throw error
        }
    }

    private mutating func explanation(_ text: [UInt8], _ domain: [UInt8]) throws(SPFStop) -> [UInt8]? {
        let string: SPFMacroString
        do throws(SPFSyntaxError) {
            string = try SPFMacroString(text[...], letters: .explanation, allowsSpace: true)
        } catch {
            return nil
        }
        var out: [UInt8] = []
        for segment in string.segments where out.count < Self.explanationMax {
            switch segment {
            case .literal(let text), .fixed(let text): out += text
            case .macro(let macro): out += macro.transform(try value(macro.letter, domain, .explanation))
            }
        }
        // RFC 7208 §6.2: US-ASCII; and §11.5.1: nothing that could end a reply line. The sender chose some of it.
        guard out.allSatisfy(ASCII.isPrintable) else { return nil }
        return Array(out.prefix(Self.explanationMax))
    }

    /// RFC 7208 §7.3: labels are removed from the left until at most 253 octets are left.
    private static func cutToName(_ text: [UInt8]) -> [UInt8] {
        var name = text[...]
        if name.last == ASCII.dot { name = name.dropLast() }
        while name.count > 253, let dot = name.firstIndex(of: ASCII.dot) { name = name[(dot + 1)...] }
        return Array(name)
    }
}
