import Base

/// The macros of a session, by name (`j`, `{client_addr}`): what is known now, to be sent at the stages where filters want
/// them. Bounded by its makers: a dozen or two.
package struct MilterMacros: Sendable, Equatable {
    private var values: [[UInt8]: [UInt8]] = [:]

    package init() {}

    /// An empty value is none.
    package subscript(_ name: StaticString) -> [UInt8] {
        get { values[Self.bytes(name)] ?? [] }
        set { values[Self.bytes(name)] = newValue.isEmpty ? nil : newValue }
    }

    func value(_ name: [UInt8]) -> [UInt8]? { values[name] }

    private static func bytes(_ text: StaticString) -> [UInt8] {
        var out: [UInt8] = []
        out.append(ascii: text)
        return out
    }

    private static let namesMax = 64

    /// A filter's list of symbols: names between blanks or commas, of one letter or in braces.
    static func names(_ list: [UInt8]) -> [[UInt8]] {
        var out: [[UInt8]] = []
        let words = list.split { $0 == ASCII.space || $0 == ASCII.tab || $0 == ASCII.comma }
        for word in words.prefix(namesMax) where word.count <= 64 {
            var name = Array(word)
            // {j} and j are the same.
            if name.count == 3, name[0] == 0x7B, name[2] == 0x7D { name = [name[1]] }
            if name.count > 1, name[0] != 0x7B { name = [0x7B] + name + [0x7D] }
            out.append(name)
        }
        return out
    }

    /// What is sent where to a filter that names nothing itself.
    static let usual: [MilterStage: [[UInt8]]] = [
        .connect: names(
            Array(
                "j _ v {daemon_name} {if_addr} {client_addr} {client_name} {client_port} {client_ptr} {client_resolve}"
                    .utf8)
        ),
        .helo: names(Array("{tls_version} {cipher}".utf8)),
        .mail: names(
            Array(
                "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer} {tls_version} {cipher}"
                    .utf8)
        ),
        .recipient: names(Array("i {rcpt_addr} {rcpt_host} {rcpt_mailer}".utf8)),
        .data: names(Array("i".utf8)),
        .endOfHeader: names(Array("i".utf8)),
        .endOfMessage: names(Array("i".utf8)),
    ]
}
