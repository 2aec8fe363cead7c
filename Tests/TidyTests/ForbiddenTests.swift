import Foundation
import Testing

/// Words that would break a promise of the house, each with what to write instead.
@Suite struct ForbiddenTests {
    private static let pure: Set<String> = ["Base", "Protocols", "Policy"]

    private struct Rule {
        let pattern: Regex<Substring>
        let instead: String
        let applies: (String) -> Bool
    }

    private let rules: [Rule] = [
        Rule(pattern: /\bTask\s*(?:\.detached)?\s*\{/, instead: "a message to the owner's mailbox") { _ in true },
        Rule(pattern: /\b(?:await|async)\b/, instead: "a question with a ticket") { _ in true },
        Rule(pattern: /\bactor\s+\w/, instead: "a confined class on its thread") { _ in true },
        Rule(pattern: /\btry!/, instead: "typed throws") { _ in true },
        Rule(pattern: /\bas!/, instead: "an enum, or `as?` and an outcome") { _ in true },
        Rule(pattern: /\bfatalError\(/, instead: "an outcome; peers must not end the process") {
            Self.pure.contains($0)
        },
        Rule(pattern: /\bprecondition(?:Failure)?\(/, instead: "an outcome; peers must not end the process") {
            ["Protocols", "Policy"].contains($0)
        },
        Rule(pattern: /(?:^|[^.\w])(?:debugPrint|print)\(/, instead: "Log") { $0 != "martlet" },
        Rule(pattern: /\b(?:u|nano)?sleep\(/, instead: "a timer, or Mailbox.wait") { _ in true },
        Rule(pattern: /\bDate\(\)/, instead: "TimeSource") { _ in true },
        Rule(pattern: /\bString\(decoding:/, instead: "bytes, or String(validating:as:)") { Self.pure.contains($0) },
    ]

    @Test func noForbiddenWord() {
        for file in Repository.files(below: "Sources", suffix: ".swift") {
            let target = Repository.target(of: file.path)
            for (i, line) in file.lines.enumerated() {
                let code = Repository.code(line)
                for rule in rules where rule.applies(target) && code.contains(rule.pattern) {
                    let found = code.trimmingCharacters(in: .whitespaces)
                    Issue.record("\(file.path):\(i + 1): \(found) - use \(rule.instead)")
                }
            }
        }
    }

    @Test func eachUncheckedClaimIsExplained() {
        for file in Repository.files(below: "Sources", suffix: ".swift") {
            let lines = file.lines
            for (i, line) in lines.enumerated() {
                let code = Repository.code(line)
                guard code.contains("@unchecked Sendable") || code.contains("nonisolated(unsafe)") else { continue }
                let near = lines[max(0, i - 3)...min(lines.count - 1, i + 1)]
                #expect(near.contains { $0.contains("// Safety:") }, "\(file.path):\(i + 1) says not why it is safe")
            }
        }
    }

    @Test func nothingIsLeftUnfinished() {
        let words = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]
        for file in Repository.files(below: "Sources") + Repository.files(below: "Benchmarks") {
            for word in words {
                #expect(!file.text.contains(try! Regex("\\b\(word)\\b")), "\(file.path) holds a \(word)")
            }
        }
    }
}
