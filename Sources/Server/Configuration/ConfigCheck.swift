/// Checks a parsed value against a type; collects every problem instead of stopping at the first.
struct ConfigCheck {
    let source: String
    /// Put before relative paths: the directory of the file, with a slash at its end.
    let directory: String
    /// Whether positions mean anything to the reader.
    let positions: Bool
    var problems: [ConfigProblem] = []

    mutating func problem(_ message: String, at position: ConfigPosition) {
        problems.append(ConfigProblem(source: source, position: positions ? position : nil, message: message))
    }

    mutating func unknown(_ what: String, _ name: String, among known: [String], at position: ConfigPosition) {
        let hint = ConfigText.suggestion(for: name, among: known).map { "; did you mean \"\($0)\"?" } ?? ""
        problem("unknown \(what) \"\(name)\"" + hint, at: position)
    }

    mutating func value(_ node: ConfigNode, _ type: ConfigType, key: String, empty: Bool = false) -> ConfigValue? {
        switch type {
        case .boolean:
            if case .boolean(let b) = node.value { return .boolean(b) }
            return wrong(node, key, "must be true or false")
        case .integer(let range):
            guard case .integer(let n) = node.value else { return wrong(node, key, "must be a whole number") }
            return ranged(n, range, node, key) { "\($0)" }
        case .size(let range):
            guard let n = quantity(node, ConfigText.size) else {
                return wrong(node, key, "must be a size: octets, or a text such as \"50MiB\" (KiB, MiB, GiB)")
            }
            return ranged(n, range, node, key, ConfigText.sizeText)
        case .duration(let range):
            guard let n = quantity(node, ConfigText.duration) else {
                return wrong(node, key, "must be a duration: seconds, or a text such as \"5m\" (s, m, h, d, w)")
            }
            return ranged(n, range, node, key, ConfigText.durationText)
        case .choice(let words): return choice(node, words, key)
        case .text(let rule): return text(node, rule, key, empty: empty)
        case .list(let element, let countMax): return list(node, element, countMax, key)
        case .records(let fields, let countMax): return records(node, fields, countMax, key)
        }
    }

    private mutating func wrong(_ node: ConfigNode, _ key: String, _ rule: String) -> ConfigValue? {
        problem("\(key) \(rule), not \(Self.shown(node))", at: node.position)
        return nil
    }

    /// A value as an error message quotes it, cut at 60 characters.
    private static func shown(_ node: ConfigNode) -> String {
        switch node.value {
        case .text(let s): s.unicodeScalars.count <= 60 ? "\"\(s)\"" : "\"\(s.prefix(57))...\""
        case .integer(let n): "\(n)"
        case .number(let s): String(s.prefix(60))
        case .boolean(let b): "\(b)"
        case .null, .array, .object: node.kindName
        }
    }

    private func quantity(_ node: ConfigNode, _ parse: (String) -> Int?) -> Int? {
        switch node.value {
        case .integer(let n): n
        case .text(let s): parse(s)
        case .null, .boolean, .number, .array, .object: nil
        }
    }

    private mutating func ranged(
        _ n: Int, _ range: ClosedRange<Int>, _ node: ConfigNode, _ key: String, _ show: (Int) -> String
    ) -> ConfigValue? {
        if range.contains(n) { return .integer(n) }
        problem(
            "\(key) must be \(show(range.lowerBound)) to \(show(range.upperBound)), not \(Self.shown(node))",
            at: node.position)
        return nil
    }

    private mutating func choice(_ node: ConfigNode, _ words: [String], _ key: String) -> ConfigValue? {
        guard case .text(let word) = node.value else {
            return wrong(node, key, "must be one of " + words.joined(separator: ", "))
        }
        if words.contains(word) { return .text(word) }
        let hint = ConfigText.suggestion(for: word, among: words).map { "; did you mean \"\($0)\"?" } ?? ""
        problem(
            "\(key) must be one of \(words.joined(separator: ", ")), not \(Self.shown(node))" + hint, at: node.position)
        return nil
    }

    private mutating func text(
        _ node: ConfigNode, _ rule: ConfigTextRule, _ key: String, empty: Bool
    ) -> ConfigValue? {
        guard case .text(let s) = node.value else { return wrong(node, key, "must be a text (\(rule.name))") }
        if s.isEmpty, empty { return .text("") }
        guard !s.isEmpty, rule.accepts(s) else {
            let example = rule.rangeText.isEmpty ? "" : " (\(rule.rangeText))"
            return wrong(node, key, "must be a valid \(rule.name)" + example)
        }
        if case .path = rule, !s.hasPrefix("/") { return .text(directory + s) }
        return .text(s)
    }

    private mutating func list(
        _ node: ConfigNode, _ element: ConfigType, _ countMax: Int, _ key: String
    ) -> ConfigValue? {
        guard case .array(let nodes) = node.value else { return wrong(node, key, "must be a list in [ ]") }
        guard nodes.count <= countMax else { return wrong(node, key, "holds at most \(countMax) values") }
        let before = problems.count
        var values: [ConfigValue] = []
        for (i, n) in nodes.enumerated() {
            if let v = value(n, element, key: "\(key)[\(i)]") { values.append(v) }
        }
        return problems.count == before ? .list(values) : nil
    }

    private mutating func records(
        _ node: ConfigNode, _ fields: [ConfigField], _ countMax: Int, _ key: String
    ) -> ConfigValue? {
        guard case .array(let nodes) = node.value else { return wrong(node, key, "must be a list of objects in [ ]") }
        guard nodes.count <= countMax else { return wrong(node, key, "holds at most \(countMax) objects") }
        let before = problems.count
        var out: [[String: ConfigValue]] = []
        for (i, n) in nodes.enumerated() { out.append(record(n, fields, "\(key)[\(i)]")) }
        return problems.count == before ? .records(out) : nil
    }

    private mutating func record(_ node: ConfigNode, _ fields: [ConfigField], _ key: String) -> [String: ConfigValue] {
        guard case .object(let members) = node.value else {
            _ = wrong(node, key, "must be an object in { }")
            return [:]
        }
        var out: [String: ConfigValue] = [:]
        for member in members {
            guard let field = fields.first(where: { $0.name == member.key }) else {
                unknown("field of \(key)", member.key, among: fields.map(\.name), at: member.position)
                continue
            }
            out[field.name] = value(member.node, field.type, key: "\(key).\(field.name)")
        }
        for field in fields where field.defaultText == nil && !members.contains(where: { $0.key == field.name }) {
            problem("\(key) needs \"\(field.name)\": \(field.sentence)", at: node.position)
        }
        return out
    }
}
