/// What a sink does differently from accepting everything: rules `STAGE [PERCENT%] ACTION`, one a line or separated by
/// semicolons.
struct SinkScript: Sendable {
    enum Stage: String, Sendable, CaseIterable {
        case connect, ehlo, starttls, mail, rcpt, data, bdat, dot, rset, quit
    }
    enum Action: Sendable {
        /// Answer with this code (4xx or 5xx).
        case reply(Int, String)
        /// Close without an answer, and without keeping the message.
        case drop
        /// Keep the message, close without an answer: the sender cannot know.
        case dropAfter
        case delay(Double)
        /// Never answer.
        case hang
    }
    struct Rule: Sendable {
        let stage: Stage
        let percent: Double
        let action: Action
    }
    struct SyntaxError: Error, CustomStringConvertible {
        let description: String
    }

    private(set) var rules: [Rule] = []

    init() {}

    init(_ text: String) throws {
        for line in text.split(whereSeparator: { $0 == ";" || $0.isNewline }) {
            let words = line.split(whereSeparator: \.isWhitespace).map(String.init)
            if words.isEmpty || words[0].hasPrefix("#") { continue }
            rules.append(try Self.rule(words))
        }
    }

    private static func rule(_ words: [String]) throws -> Rule {
        let line = words.joined(separator: " ")
        guard let stage = Stage(rawValue: words[0].lowercased()) else {
            throw SyntaxError(
                description: "\(line): stages are " + Stage.allCases.map(\.rawValue).joined(separator: ", "))
        }
        var rest = words.dropFirst()
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
        return Rule(stage: stage, percent: percent, action: try action(word, argument, line))
    }

    private static func action(_ word: String, _ argument: String, _ line: String) throws -> Action {
        switch word {
        case "drop": return .drop
        case "drop-after": return .dropAfter
        case "hang": return .hang
        case "delay":
            guard let seconds = Double(argument), seconds >= 0, seconds < 1e6 else {
                throw SyntaxError(description: "\(line): delay wants seconds")
            }
            return .delay(seconds)
        default:
            guard let code = Int(word), code >= 400, code < 600 else {
                throw SyntaxError(
                    description: "\(line): actions are a code from 400 to 599, drop, drop-after, delay S, hang")
            }
            return .reply(code, argument.isEmpty ? "\(code / 100).0.0 scripted" : argument)
        }
    }

    /// What happens at `stage` this time: delays add up, the first other action that its dice choose wins.
    func decide(_ stage: Stage, _ random: inout Seeded) -> (delay: Double, action: Action?) {
        var delay = 0.0
        for rule in rules where rule.stage == stage {
            guard rule.percent >= 100 || Double(random.below(1_000_000)) < rule.percent * 10_000 else { continue }
            if case .delay(let seconds) = rule.action { delay += seconds } else { return (delay, rule.action) }
        }
        return (delay, nil)
    }
}
