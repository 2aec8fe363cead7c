import Foundation
import Protocols
import Testing

@Suite struct AddressTests {
    @Test(arguments: [
        ("a@b.example", "a", "b.example"), ("\"a b\"@B.Example", "a b", "b.example"), ("\"a\\\"b\"@b", "a\"b", "b"),
        ("\"plain\"@b.example", "plain", "b.example"), ("a+tag@b.example", "a+tag", "b.example"),
        ("a@[192.0.2.1]", "a", "[192.0.2.1]"), ("a@[IPv6:2001:DB8::1]", "a", "[ipv6:2001:db8::1]"),
        ("ñ@b.example", "ñ", "b.example"), ("\"\"@b.example", "", "b.example"),
    ])
    func parts(_ text: String, _ local: String, _ domain: String) throws {
        let address = try #require(MailAddress(parsing: Array(text.utf8)))
        #expect(address.localpart == Array(local.utf8))
        #expect(address.domain == Array(domain.utf8))
        #expect(MailAddress(parsing: address.wire) == address)
    }

    @Test func quotesOnlyWhereNeeded() {
        #expect(MailAddress(parsing: Array("\"plain\"@b".utf8))?.wire == Array("plain@b".utf8))
        #expect(MailAddress(parsing: Array("\"a..b\"@b".utf8))?.wire == Array("\"a..b\"@b".utf8))
    }

    @Test func isemail() throws {
        guard let data = Conformance.data("smtp/isemail/test/tests.xml") else { return }
        let document = IsEmail()
        let parser = XMLParserBox(document)
        #expect(parser.parse(data))
        #expect(document.cases.count == 164)
        for (id, text, category) in document.cases {
            let octets = text.unicodeScalars.flatMap { scalar -> [UInt8] in
                (0x2400...0x2420).contains(scalar.value)
                    ? [UInt8(scalar.value - 0x2400)] : Array(String(Character(scalar)).utf8)
            }
            let accepted = MailAddress(parsing: octets) != nil
            let wanted = ["ISEMAIL_VALID_CATEGORY", "ISEMAIL_RFC5321", "ISEMAIL_DNSWARN"].contains(category)
            // 160 escapes a non-ASCII character, which RFC 6531 §3.3 admits to quoted text unescaped only.
            #expect(accepted == wanted, "\(id) \(text) \(category)")
        }
    }

    @Test func mox() throws {
        guard let data = Conformance.data("smtp/mox-address-vectors.json") else { return }
        let json = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        let cases = try #require(json["cases"] as? [[String: Any]])
        #expect(cases.count == 21)
        for c in cases {
            var input = try #require(c["input"] as? String)
            if c["func"] as? String == "TestParseLocalpart" { input += "@example.com" }
            let accepted = MailAddress(parsing: Array(input.utf8)) != nil
            #expect(accepted == ["good", "valid"].contains(c["kind"] as? String ?? ""), "\(input)")
        }
    }
}

/// The cases of isemail's file, read by its few fixed elements.
private final class IsEmail {
    var cases: [(String, String, String)] = []
}

private struct XMLParserBox {
    let document: IsEmail
    init(_ document: IsEmail) { self.document = document }

    func parse(_ data: Data) -> Bool {
        let text = String(decoding: data, as: UTF8.self)
        for part in text.components(separatedBy: "<test id=\"").dropFirst() {
            guard let quote = part.firstIndex(of: "\"") else { return false }
            document.cases.append(
                (
                    String(part[..<quote]), unescape(element("address", part)), element("category", part)
                ))
        }
        return !document.cases.isEmpty
    }

    private func element(_ name: String, _ text: String) -> String {
        guard let start = text.range(of: "<\(name)>"), let end = text.range(of: "</\(name)>") else { return "" }
        return String(text[start.upperBound..<end.lowerBound])
    }

    private func unescape(_ text: String) -> String {
        var out = ""
        var rest = text[...]
        while let amp = rest.firstIndex(of: "&"), let semi = rest[amp...].firstIndex(of: ";") {
            out += rest[..<amp]
            let name = rest[rest.index(after: amp)..<semi]
            let named = ["amp": "&", "lt": "<", "gt": ">", "quot": "\"", "apos": "'"]
            if name.hasPrefix("#x"), let value = UInt32(name.dropFirst(2), radix: 16),
                let scalar = Unicode.Scalar(value)
            {
                out.unicodeScalars.append(scalar)
            } else {
                out += named[String(name)] ?? ""
            }
            rest = rest[rest.index(after: semi)...]
        }
        return out + rest
    }
}
