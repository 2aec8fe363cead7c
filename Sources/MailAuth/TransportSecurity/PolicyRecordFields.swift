import Base

/// The `v=…; name=value; …` form that the TXT records of MTA-STS and TLS-RPT share.
// RFC 8461 §3.1 and RFC 8460 §3
struct PolicyRecordFields {
    /// Octets of a record that is read at all, and fields that are kept.
    private static let octetsMax = 4_096
    private static let fieldsMax = 32
    private static let nameMax = 32

    struct Field {
        let name: ArraySlice<UInt8>
        let value: ArraySlice<UInt8>
    }

    let fields: [Field]

    /// Whether `text` begins with the version, so that it counts among the records of its name.
    static func begins(_ text: [UInt8], with version: StaticString) -> Bool {
        guard let rest = rest(of: text, after: version) else { return false }
        let next = rest.drop { isSpace($0) }
        return next.first == ASCII.semicolon
    }

    /// nil: another version, or not of this form. `spaced` names the field whose value may hold white space.
    init?(_ text: [UInt8], version: StaticString, spaced: StaticString = "") {
        guard text.count <= Self.octetsMax, let rest = Self.rest(of: text, after: version) else { return nil }
        var parts = rest.split(separator: ASCII.semicolon, omittingEmptySubsequences: false)
        // What stands between the version and the first semicolon.
        guard let head = parts.first, head.allSatisfy({ Self.isSpace($0) }), parts.count > 1 else { return nil }
        parts.removeFirst()
        if let last = parts.last, last.allSatisfy({ Self.isSpace($0) }) { parts.removeLast() }
        guard parts.count <= Self.fieldsMax else { return nil }
        var fields: [Field] = []
        for part in parts {
            guard let field = Self.field(part, spaced) else { return nil }
            fields.append(field)
        }
        self.fields = fields
    }

    /// The first of that name: the others are ignored.
    func value(_ name: StaticString) -> ArraySlice<UInt8>? { values(name).first }

    func values(_ name: StaticString) -> [ArraySlice<UInt8>] {
        var wanted: [UInt8] = []
        wanted.append(ascii: name)
        return fields.filter { $0.name.elementsEqual(wanted) }.map(\.value)
    }

    private static func rest(of text: [UInt8], after version: StaticString) -> ArraySlice<UInt8>? {
        var wanted: [UInt8] = []
        wanted.append(ascii: version)
        return text.starts(with: wanted) ? text[wanted.count...] : nil
    }

    private static func field(_ part: ArraySlice<UInt8>, _ spaced: StaticString) -> Field? {
        let text = trimmed(part)
        guard let equals = text.firstIndex(of: ASCII.equals) else { return nil }
        let name = text[..<equals]
        let value = text[(equals + 1)...]
        guard isName(name), !value.isEmpty else { return nil }
        var exempt: [UInt8] = []
        exempt.append(ascii: spaced)
        // RFC 8461 §3.1: no "=", no space and no control in a value; a URI may hold "=".
        guard name.elementsEqual(exempt) || value.allSatisfy({ (0x21..<0x7F).contains($0) && $0 != ASCII.equals })
        else { return nil }
        return Field(name: name, value: value)
    }

    static func isName(_ name: ArraySlice<UInt8>) -> Bool {
        guard let first = name.first, ASCII.isAlphanumeric(first), name.count <= nameMax else { return false }
        return name.allSatisfy { ASCII.isAlphanumeric($0) || $0 == 0x5F || $0 == ASCII.hyphen || $0 == ASCII.dot }
    }

    static func isSpace(_ c: UInt8) -> Bool { c == ASCII.space || c == ASCII.tab }

    static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var text = text.drop { isSpace($0) }
        while let last = text.last, isSpace(last) { text.removeLast() }
        return text
    }
}
