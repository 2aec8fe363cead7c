import Base
import Protocols
import Server

/// How checks print: a line that begins with the result, or one JSON object that ends with the DNS evidence.
enum CheckOutput {
    /// `words` after the result, parted by spaces; empty ones are left out.
    static func show(
        _ result: String, _ words: [String], json: Bool, members: [JSONMember], facts: Facts
    ) {
        if json {
            let all = [JSONMember("result", .text(result))] + members + [JSONMember("dns", evidence(facts))]
            Console.print(all)
        } else {
            Console.print(([result] + words.filter { !$0.isEmpty }).joined(separator: " ") + "\n")
        }
    }

    /// Every question in the order it was answered.
    static func evidence(_ facts: Facts) -> JSONValue {
        .array(
            facts.questions.compactMap { question in
                facts.known(question).map { .object(members(question, $0)) }
            })
    }

    private static func members(_ question: DNSQuestion, _ answer: DNSAnswer) -> [JSONMember] {
        var members = [
            JSONMember("name", .text("\(question.name)")),
            JSONMember("type", .text("\(question.type)")),
            JSONMember("status", .text(answer.status.rawValue)),
            JSONMember("security", .text(answer.security.rawValue)),
            JSONMember("ttl", .integer(Int(answer.ttl))),
            JSONMember("records", .array(answer.records.map { .text("\($0)") })),
        ]
        if let name = answer.canonicalName { members.append(JSONMember("canonical_name", .text("\(name)"))) }
        if let reason = answer.reason { members.append(JSONMember("reason", .text(reason))) }
        return members
    }
}

extension Console {
    /// One JSON object and a line end.
    static func print(_ members: [JSONMember]) {
        print(String(decoding: JSONValue.object(members).bytes, as: UTF8.self) + "\n")
    }
}
