import Base
import Reactor

/// What a sink does differently from accepting everything: rules `[@WHERE] STAGE [PERCENT%] ACTION`, one a line or
/// separated by semicolons. WHERE is an address the sink listens on or a recipient domain.
struct SinkScript: Sendable {
    enum Stage: String, Sendable, CaseIterable {
        /// `body`: while a message comes, after its first bytes. `dot`: it is complete, the reply is owed.
        case connect, ehlo, starttls, mail, rcpt, data, bdat, body, dot, rset, quit
    }
    enum Action: Sendable {
        /// Answer with this code (4xx or 5xx).
        case reply(Int, String)
        /// Close without an answer, and without keeping the message.
        case drop
        /// Keep the message, close without an answer: the sender cannot know.
        case dropAfter
        case delay(Double)
        /// Never answer, but go on reading.
        case hang
        /// Neither answer nor read.
        case stall
        /// From here on every reply leaves one byte at a time, so many seconds apart.
        case drip(Double)
        /// Answer with a multi-line reply that has no end.
        case endless
        /// Answer with the code alone.
        case bare
    }
    struct Rule: Sendable {
        var address: SocketAddress?
        var domain: [UInt8] = []
        let stage: Stage
        let percent: Double
        let action: Action
    }
    struct SyntaxError: Error, CustomStringConvertible {
        let description: String
    }

    private(set) var rules: [Rule] = []
    /// Some rule asks which address was connected to.
    private(set) var needsAddress = false

    init() {}

    init(_ text: String) throws {
        for line in text.split(whereSeparator: { $0 == ";" || $0.isNewline }) {
            let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
            if words.isEmpty || words[0].hasPrefix("#") { continue }
            rules.append(try Self.rule(words))
        }
        needsAddress = rules.contains { $0.address != nil }
    }

    private static func rule(_ words: [String]) throws -> Rule {
        let line = words.joined(separator: " ")
        var rest = words[...]
        var place: String?
        if let word = rest.first, word.hasPrefix("@") {
            place = String(word.dropFirst())
            rest = rest.dropFirst()
        }
        guard let word = rest.first, let stage = Stage(rawValue: word.lowercased()) else {
            throw SyntaxError(
                description: "\(line): stages are " + Stage.allCases.map(\.rawValue).joined(separator: ", "))
        }
        rest = rest.dropFirst()
        var percent = 100.0
        if let word = rest.first, word.hasSuffix("%") {
            guard let value = Double(word.dropLast()), value >= 0, value <= 100 else {
                throw SyntaxError(description: "\(line): no percentage")
            }
            percent = value
            rest = rest.dropFirst()
        }
        guard let word = rest.first else { throw SyntaxError(description: "\(line): no action") }
        let argument = rest.dropFirst().joined(separator: " ")
        var rule = Rule(stage: stage, percent: percent, action: try action(word, argument, line))
        guard let place else { return rule }
        rule.address = SocketAddress(ip: place, port: 0)
        if rule.address == nil { rule.domain = ASCII.lowercased(Array(place.utf8)) }
        return rule
    }

    private static func action(_ word: String, _ argument: String, _ line: String) throws -> Action {
        switch word {
        case "drop": return .drop
        case "drop-after": return .dropAfter
        case "hang": return .hang
        case "stall": return .stall
        case "endless": return .endless
        case "bare": return .bare
        case "delay": return .delay(try seconds(argument, line))
        case "drip": return .drip(try seconds(argument, line))
        default:
            guard let code = Int(word), code >= 400, code < 600 else {
                throw SyntaxError(
                    description:
                        "\(line): actions are a code from 400 to 599, drop, drop-after, delay S, hang, stall, drip S, "
                        + "endless, bare")
            }
            return .reply(code, argument.isEmpty ? "\(code / 100).0.0 scripted" : argument)
        }
    }

    private static func seconds(_ text: String, _ line: String) throws -> Double {
        guard let seconds = Double(text), seconds >= 0, seconds < 1e6 else {
            throw SyntaxError(description: "\(line): seconds are missing")
        }
        return seconds
    }

    /// What happens at `stage` this time: delays add up, the first other action that its dice choose wins.
    func decide(
        _ stage: Stage, _ address: SocketAddress?, _ domain: ArraySlice<UInt8>, _ random: inout Seeded
    ) -> (delay: Double, action: Action?) {
        var delay = 0.0
        for rule in rules where rule.stage == stage {
            if let wanted = rule.address, wanted.addressBytes != address?.addressBytes { continue }
            if !rule.domain.isEmpty, !rule.domain.elementsEqual(domain) { continue }
            guard rule.percent >= 100 || Double(random.below(1_000_000)) < rule.percent * 10_000 else { continue }
            if case .delay(let seconds) = rule.action { delay += seconds } else { return (delay, rule.action) }
        }
        return (delay, nil)
    }
}
