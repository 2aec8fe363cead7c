import Base
import Protocols
import Testing

@Suite struct MilterHeaderTests {
    private static let block =
        "Received: one\r\nReceived: two\r\n\tfolded\r\nno field here\r\nSubject : hello\r\nreceived: three\r\n\r\n"

    private static func text(_ header: MilterHeader) -> String { String(decoding: header.bytes, as: UTF8.self) }

    @Test func untouchedStaysAsItIs() {
        for text in [
            Self.block, "", "\r\n", "\n", "Subject: x", "Subject: x\r\n", "rubbish\r\n\r\n", " folded\r\nA: b\r\n\r\n",
            "A: b\n\n", "A:\r\n\r\n", "A: b\r\n\r\nbody that does not belong here",
        ] {
            let header = MilterHeader(text.b)
            #expect(Self.text(header) == text)
            #expect(header.octets == text.utf8.count)
            #expect(!header.isChanged)
        }
    }

    @Test func aChangeSaysWhatItWas() {
        var header = MilterHeader(Self.block.b)
        var view = header.view()
        func change(_ i: Int, _ name: String, _ value: String) -> MilterHeader.Change {
            header.change(i, name.b, value.b, hasLeadingSpace: false, &view)
        }
        #expect(change(1, "subject", "new") == .changed(was: "hello".b))
        #expect(change(1, "Subject", "newer") == .changed(was: "new".b))
        #expect(change(2, "Received", "") == .removed(was: "two\n\tfolded".b))
        #expect(change(2, "Received", "") == .nothing)
        #expect(change(7, "Received", "") == .nothing)
        #expect(change(2, "Received", "back") == .added)
        #expect(change(1, "X-New", "x") == .added)
    }

    @Test func isShownAsFiltersWant() {
        let header = MilterHeader(Self.block.b)
        let view = header.view()
        #expect(header.count(in: view) == 4)
        #expect(header.name(2, in: view) == "Subject".b)
        #expect(header.value(2, in: view, keepsLeadingSpace: false) == "hello".b)
        #expect(header.value(2, in: view, keepsLeadingSpace: true) == " hello".b)
        #expect(header.value(1, in: view, keepsLeadingSpace: false) == "two\n\tfolded".b)
        #expect(header.value(9, in: view, keepsLeadingSpace: false).isEmpty)
    }

    enum Edit {
        case add(String, String)
        case insert(Int, String, String)
        case change(Int, String, String)
    }

    private static func apply(_ edits: [Edit], to header: inout MilterHeader, _ view: inout MilterHeader.View) {
        for edit in edits {
            switch edit {
            case .add(let n, let v): header.add(n.b, v.b, hasLeadingSpace: false, &view)
            case .insert(let i, let n, let v): header.insert(i, n.b, v.b, hasLeadingSpace: false, &view)
            case .change(let i, let n, let v): header.change(i, n.b, v.b, hasLeadingSpace: false, &view)
            }
        }
    }

    private static let r1 = "Received: one\r\n"
    private static let r2 = "Received: two\r\n\tfolded\r\n"
    private static let no = "no field here\r\n"
    private static let s = "Subject : hello\r\n"
    private static let r3 = "received: three\r\n"

    static let edits: [([Edit], String)] = [
        ([.add("X", "y")], r1 + r2 + no + s + r3 + "X: y\r\n\r\n"),
        ([.insert(0, "X", "y")], "X: y\r\n" + r1 + r2 + no + s + r3 + "\r\n"),
        ([.insert(1, "X", "y")], "X: y\r\n" + r1 + r2 + no + s + r3 + "\r\n"),
        ([.insert(2, "X", "y")], r1 + "X: y\r\n" + r2 + no + s + r3 + "\r\n"),
        ([.insert(3, "X", "y")], r1 + r2 + no + "X: y\r\n" + s + r3 + "\r\n"),
        ([.insert(99, "X", "y")], r1 + r2 + no + s + r3 + "X: y\r\n\r\n"),
        ([.insert(-4, "X", "y")], "X: y\r\n" + r1 + r2 + no + s + r3 + "\r\n"),
        ([.insert(1, "X", "y"), .insert(1, "Z", "z")], "Z: z\r\nX: y\r\n" + r1 + r2 + no + s + r3 + "\r\n"),
        // The name stays as it was spelled.
        ([.change(1, "SUBJECT", "new")], r1 + r2 + no + "Subject: new\r\n" + r3 + "\r\n"),
        ([.change(0, "subject", "new")], r1 + r2 + no + "Subject: new\r\n" + r3 + "\r\n"),
        ([.change(3, "Received", "x")], r1 + r2 + no + s + "received: x\r\n\r\n"),
        ([.change(4, "Received", "x")], r1 + r2 + no + s + r3 + "Received: x\r\n\r\n"),
        ([.change(4, "Received", "")], block),
        ([.change(1, "Absent", "")], block),
        ([.change(1, "Absent", "x")], r1 + r2 + no + s + r3 + "Absent: x\r\n\r\n"),
        ([.change(2, "received", "")], r1 + no + s + r3 + "\r\n"),
        // Going up and going down take the same ones away.
        (
            [.change(1, "Received", ""), .change(2, "Received", ""), .change(3, "Received", "")],
            no + s + "\r\n"
        ),
        (
            [.change(3, "Received", ""), .change(2, "Received", ""), .change(1, "Received", "")],
            no + s + "\r\n"
        ),
        ([.change(1, "Received", ""), .change(1, "Received", "x")], r2 + no + s + r3 + "Received: x\r\n\r\n"),
        ([.change(1, "Received", ""), .insert(1, "X", "y")], "X: y\r\n" + r2 + no + s + r3 + "\r\n"),
        // Its own additions count.
        ([.add("X", "1"), .add("X", "2"), .change(2, "x", "3")], r1 + r2 + no + s + r3 + "X: 1\r\nX: 3\r\n\r\n"),
        ([.add("X", "1"), .change(1, "X", "")], block),
        // Nothing gets out of a field.
        (
            [.add("X", "a\nBcc: evil@x.example\r\n\r\nbody")],
            r1 + r2 + no + s + r3 + "X: a\r\n\tBcc: evil@x.example\r\n\tbody\r\n\r\n"
        ),
        ([.add("X", "a\r\n b\n \t \n\tc\r\r\n")], r1 + r2 + no + s + r3 + "X: a\r\n b\r\n\tc\r\n\r\n"),
        ([.add("X", "a\rb")], r1 + r2 + no + s + r3 + "X: a b\r\n\r\n"),
        ([.add("X", "")], r1 + r2 + no + s + r3 + "X: \r\n\r\n"),
    ]

    @Test(arguments: edits.indices) func changesWhatIsMeant(_ i: Int) {
        let (edits, expected) = Self.edits[i]
        var header = MilterHeader(Self.block.b)
        var view = header.view()
        Self.apply(edits, to: &header, &view)
        #expect(Self.text(header) == expected)
        #expect(header.octets == expected.utf8.count)
    }

    @Test func leadingSpaceIsTheFiltersOwn() {
        var header = MilterHeader("A: b\r\n\r\n".b)
        var view = header.view()
        header.add("X".b, "  y".b, hasLeadingSpace: true, &view)
        header.add("Z".b, "z".b, hasLeadingSpace: true, &view)
        #expect(Self.text(header) == "A: b\r\nX:  y\r\nZ:z\r\n\r\n")
    }

    @Test func aHeaderWithoutItsEndCanGrow() {
        for (text, expected) in [
            ("", "X: y\r\n"), ("A: b", "A: b\r\nX: y\r\n"), ("A: b\r\n", "A: b\r\nX: y\r\n"), ("\r\n", "X: y\r\n\r\n"),
            ("\n", "X: y\r\n\n"),
        ] {
            var header = MilterHeader(text.b)
            var view = header.view()
            header.add("X".b, "y".b, hasLeadingSpace: false, &view)
            #expect(Self.text(header) == expected)
        }
    }

    @Test(arguments: [
        ("", "\r\n"), ("A: b", "A: b\r\n\r\n"), ("A: b\r\n", "A: b\r\n\r\n"), ("A: b\r\n\r\n", "A: b\r\n\r\n"),
        ("A: b\n\n", "A: b\n\n"), ("A: b\r\nrubbish\r\n", "A: b\r\nrubbish\r\n\r\n"),
    ])
    func aBodyMayFollow(_ text: String, _ expected: String) {
        #expect(MilterHeader(text.b).bytesBeforeBody == expected.b)
    }

    /// Two filters that were shown the same header: what the first does moves nothing for the second.
    @Test func viewsStayWhatTheyWere() {
        var header = MilterHeader(Self.block.b)
        var first = header.view()
        var second = header.view()
        Self.apply([.change(1, "Received", ""), .insert(1, "Received", "zero"), .add("X", "1")], to: &header, &first)
        Self.apply([.change(2, "Received", "2"), .change(1, "X", "mine")], to: &header, &second)
        #expect(
            Self.text(header)
                == "Received: zero\r\nReceived: 2\r\n" + Self.no + Self.s + Self.r3 + "X: 1\r\nX: mine\r\n\r\n")
        // Who comes later sees what stands there now.
        let third = header.view()
        #expect(header.count(in: third) == 6)
        #expect(header.name(0, in: third) == "Received".b)
        #expect(header.value(0, in: third, keepsLeadingSpace: false) == "zero".b)
    }

    @Test func moreFieldsThanTheBoundAreCarriedAlong() {
        let text = String(repeating: "A: b\r\n", count: MilterHeader.fieldsMax + 10) + "\r\n"
        var header = MilterHeader(text.b)
        var view = header.view()
        #expect(header.count(in: view) == MilterHeader.fieldsMax)
        header.add("X".b, "y".b, hasLeadingSpace: false, &view)
        #expect(Self.text(header) == text.dropLast(1) + "X: y\r\n\r\n")
    }

    /// A name no filter could give is carried along unseen; what counts is the fields that are shown.
    @Test func namesBeyondTheBoundAreNotShown() {
        let long = String(repeating: "X", count: 257)
        let text = "A: b\r\n\(long): secret\r\n folded\r\nC: d\r\n\(long): last\r\n\r\n"
        var header = MilterHeader(text.b)
        #expect(Self.text(header) == text && header.octets == text.utf8.count)
        var view = header.view()
        #expect((0..<header.count(in: view)).map { header.name($0, in: view) } == ["A".b, "C".b])
        Self.apply([.insert(2, "X", "y"), .change(1, "A", "")], to: &header, &view)
        #expect(
            Self.text(header) == "\(long): secret\r\n folded\r\nX: y\r\nC: d\r\n\(long): last\r\n\r\n")
        let most = String(repeating: "X", count: 256)
        let shown = MilterHeader("\(most): a\r\n\r\n".b)
        #expect(shown.count(in: shown.view()) == 1)
    }

    /// The names are looked up once a change asked for one, and stay right whatever is put in.
    @Test func whatIsPutInHasItsNumber() {
        var header = MilterHeader("A: 1\r\nB: 2\r\nA: 3\r\n\r\n".b)
        var view = header.view()
        Self.apply(
            [
                .change(2, "a", "three"), .insert(2, "a", "new"), .change(2, "A", "second"), .change(3, "A", "third"),
                .add("A", "4"), .change(4, "A", "fourth"),
            ], to: &header, &view)
        #expect(Self.text(header) == "A: 1\r\na: second\r\nB: 2\r\nA: third\r\nA: fourth\r\n\r\n")
    }
}
