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
        .connect: list(
            "j _ v {daemon_name} {daemon_addr} {daemon_port} {if_name} {if_addr} {client_addr} {client_name} ",
            "{client_port} {client_ptr} {client_resolve}"),
        .helo: list("{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}"),
        .mail: list("i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer}"),
        .recipient: list("i {rcpt_addr} {rcpt_host} {rcpt_mailer}"),
        .data: list("i"),
        .endOfHeader: list("i"),
        .endOfMessage: list("i"),
    ]

    private static func list(_ texts: String...) -> [[UInt8]] { names(texts.flatMap { Array($0.utf8) }) }
}
