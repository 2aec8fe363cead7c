import Base
import Server
import Testing

@Suite struct ConfigParserTests {
    static func failure(_ text: String) -> ConfigSyntaxError? {
        do {
            _ = try ConfigParser.parse(Array(text.utf8))
            return nil
        } catch {
            return error
        }
    }

    @Test(arguments: [
        ("", 1, 1, "the file ends"), ("{", 1, 2, "expected a key"), ("{\n  \"a\": 1,\n}", 3, 1, "comma before }"),
        ("[1,]", 1, 4, "comma before ]"), ("{\"a\" 1}", 1, 6, "expected :"), ("{'a': 1}", 1, 2, "double quotes"),
        ("{\"a\": 1 \"b\": 2}", 1, 9, "expected a comma"), ("{\"a\": 1}\n x", 2, 2, "something follows"),
        ("{\n\"a\": 1,\n \"a\": 2}", 3, 2, "set twice; the first is on line 2"),
        ("{\"a\": yes}", 1, 7, "yes is not a value"),
        ("{\"a\": 050}", 1, 7, "not a number"), ("{\"a\": 5m}", 1, 7, "unit goes in double quotes"),
        ("{\"a\": +1}", 1, 7, "expected a value"), ("{\"a\": 1.}", 1, 7, "not a number"),
        ("{\"a\": \"x\n\"}", 1, 7, "no closing quote"), ("{\"a\": \"\\q\"}", 1, 8, "unknown escape"),
        ("{\"a\": \"\\u12g4\"}", 1, 8, "four hex digits"), ("{\"a\": \"\\ud800\"}", 1, 8, "surrogate"),
        ("{\"a\": \"\u{1}\"}", 1, 8, "control character"), ("/* x", 1, 1, "never closed"), ("/x", 1, 1, "a comment is"),
        ("{\"ü\": x}", 1, 7, "x is not a value"), ("\u{FEFF}{}", 1, 1, "byte-order mark"),
        ("// c\r\n\r\n  {\"a\": nul}", 3, 9, "nul is not a value"),
    ])
    func errors(_ text: String, _ line: Int, _ column: Int, _ message: String) throws {
        let error = try #require(Self.failure(text))
        #expect(error.position == ConfigPosition(line: line, column: column), "\(error.message)")
        #expect(error.message.contains(message), "\(error.message)")
    }

    @Test func values() throws {
        let text = """
            // a comment
            { "a": [1, -2, 3.5, true, null], /* and
            another */ "b": {"c": "x\\u00e9\\ud83d\\ude00\\n"} }
            """
        let root = try ConfigParser.parse(Array(text.utf8))
        guard case .object(let members) = root.value, case .array(let items) = members[0].node.value,
            case .object(let inner) = members[1].node.value
        else {
            Issue.record("wrong shape")
            return
        }
        #expect(items.map(\.value) == [.integer(1), .integer(-2), .number("3.5"), .boolean(true), .null])
        #expect(items[1].position == ConfigPosition(line: 2, column: 12))
        #expect(inner[0].node.value == .text("xé😀\n"))
        #expect(inner[0].node.position == ConfigPosition(line: 3, column: 23))
    }

    /// One line as long as a file may be: a step for each octet, and the last value still knows its column.
    @Test func oneLongLineTakesAStepForEachOctet() throws {
        func list(_ octets: Int) -> [UInt8] {
            Array("[".utf8) + Array(repeatElement(Array("\"ü\", ".utf8), count: octets / 6).joined()) + Array("1]".utf8)
        }
        for octets in [4_096, ConfigParser.bytesMax - 16] {
            let bytes = list(octets)
            let (node, steps) = try ConfigParser.counted(bytes)
            #expect(steps == bytes.count)
            guard case .array(let items) = node.value, let last = items.last else {
                Issue.record("no list")
                return
            }
            #expect(items.count == octets / 6 + 1)
            // `"ü", ` is six octets and five characters.
            #expect(last.position == ConfigPosition(line: 1, column: 2 + octets / 6 * 5))
        }
    }

    @Test func theLineThatIsNotUTF8IsNamed() throws {
        let many = Array(repeatElement(Array("// ü\n".utf8), count: 20_000).joined())
        let error = #expect(throws: ConfigSyntaxError.self) {
            try ConfigParser.parse(many + [ASCII.quote, 0xC3, ASCII.quote])
        }
        #expect(error?.position == ConfigPosition(line: 20_001, column: 1))
    }

    @Test func bounds() {
        let deep = String(repeating: "[", count: 100_000)
        #expect(Self.failure(deep)?.message.contains("nested deeper than 32") == true)
        #expect(
            Self.failure(String(repeating: " ", count: (4 << 20) + 1))?.message.contains("larger than 4MiB") == true)
        #expect(Self.failure(String(repeating: "[", count: 31) + String(repeating: "]", count: 31)) == nil)
    }

    @Test func notUTF8() {
        do {
            _ = try ConfigParser.parse(Array("{\n\"a\":\n\"".utf8) + [0xC3, 0x28] + Array("\"}".utf8))
            Issue.record("taken")
        } catch {
            #expect(error.position.line == 3)
        }
    }

    /// Any prefix, and any single byte changed, is an answer and not a trap.
    @Test func damagedFilesDoNotTrap() {
        let text = Array("{ // c\n \"a\": [1, \"\\u00e9\\n\", {\"b\": -1.5e3}], /* d */ \"e\": true }".utf8)
        for n in 0..<text.count {
            _ = try? ConfigParser.parse(Array(text[..<n]))
            for c: UInt8 in [0, 0x22, 0x2F, 0x5C, 0x7B, 0x7D, 0xFF] {
                var changed = text
                changed[n] = c
                _ = try? ConfigParser.parse(changed)
            }
        }
    }
}
