import Base

/// A domain name as label bytes. Any byte may stand in a label (names that SPF macros make hold `%`, space and `_`);
/// names are equal when their labels are but for ASCII case (RFC 4343 §3). At most 255 bytes on the wire.
package struct DNSName: Sendable {
    /// Length-prefixed labels and the final zero, uncompressed, as it came (RFC 1035 §3.1).
    package let wire: [UInt8]

    package static let root = DNSName(unchecked: [0])
    /// RFC 1035 §2.3.4
    package static let maximumLabel = 63
    package static let maximumWire = 255

    private init(unchecked wire: [UInt8]) { self.wire = wire }

    /// From uncompressed wire form. nil: not exactly one name.
    package init?(wire: [UInt8]) {
        guard wire.count <= Self.maximumWire else { return nil }
        var i = 0
        while i < wire.count, wire[i] != 0 {
            guard wire[i] <= Self.maximumLabel else { return nil }
            i += 1 + Int(wire[i])
        }
        guard i == wire.count - 1 else { return nil }
        self.wire = wire
    }

    /// From labels, first label leftmost. nil: an empty or overlong label, or too long as a whole.
    package init?(labels: some Sequence<[UInt8]>) {
        var wire: [UInt8] = []
        for label in labels {
            guard !label.isEmpty, label.count <= Self.maximumLabel,
                wire.count + label.count + 2 <= Self.maximumWire
            else { return nil }
            wire.append(UInt8(truncatingIfNeeded: label.count))
            wire.append(contentsOf: label)
        }
        wire.append(0)
        self.wire = wire
    }

    /// From text: labels parted by dots, every other byte taken as it is (no escapes). A final dot is allowed; "." is
    /// the root. nil: empty text, an empty or overlong label, or too long as a whole.
    package init?(dotted text: [UInt8]) {
        if text == [ASCII.dot] {
            self = .root
            return
        }
        guard !text.isEmpty, text.count <= Self.maximumWire else { return nil }
        var wire: [UInt8] = []
        wire.reserveCapacity(text.count + 2)
        var start = 0
        let end = text[text.count - 1] == ASCII.dot ? text.count - 1 : text.count
        while start <= end {
            var stop = start
            while stop < end, text[stop] != ASCII.dot { stop += 1 }
            guard stop > start, stop - start <= Self.maximumLabel else { return nil }
            wire.append(UInt8(truncatingIfNeeded: stop - start))
            wire.append(contentsOf: text[start..<stop])
            start = stop + 1
        }
        wire.append(0)
        guard wire.count <= Self.maximumWire else { return nil }
        self.wire = wire
    }

    package init?(_ text: String) { self.init(dotted: Array(text.utf8)) }

    package var isRoot: Bool { wire.count == 1 }

    package var labels: [[UInt8]] {
        var out: [[UInt8]] = []
        var i = 0
        while wire[i] != 0 {
            let end = i + 1 + Int(wire[i])
            out.append(Array(wire[(i + 1)..<end]))
            i = end
        }
        return out
    }

    package var labelCount: Int {
        var n = 0
        var i = 0
        while wire[i] != 0 {
            n += 1
            i += 1 + Int(wire[i])
        }
        return n
    }

    /// Without its leftmost label; nil for the root.
    package var parent: DNSName? {
        guard !isRoot else { return nil }
        return DNSName(unchecked: Array(wire[(1 + Int(wire[0]))...]))
    }

    /// The rightmost `count` labels; the whole name when it has no more.
    package func suffix(_ count: Int) -> DNSName {
        var name = self
        var excess = labelCount - max(0, count)
        while excess > 0, let parent = name.parent {
            name = parent
            excess -= 1
        }
        return name
    }

    /// `label.self`; nil when that would be no name.
    package func prepending(_ label: [UInt8]) -> DNSName? {
        guard !label.isEmpty, label.count <= Self.maximumLabel,
            wire.count + label.count + 1 <= Self.maximumWire
        else { return nil }
        return DNSName(unchecked: [UInt8(truncatingIfNeeded: label.count)] + label + wire)
    }

    /// `first.second.self`, labels parted by dots.
    package func prepending(dotted text: String) -> DNSName? {
        var name: DNSName? = self
        for label in text.split(separator: ".", omittingEmptySubsequences: false).reversed() {
            name = name?.prepending(Array(label.utf8))
        }
        return name
    }

    /// Whether this name is `ancestor` or below it, label by label.
    package func isWithin(_ ancestor: DNSName) -> Bool {
        let depth = ancestor.labelCount
        return labelCount >= depth && suffix(depth) == ancestor
    }

    /// The label bytes with dots between and none at the end; empty for the root. Labels that hold dots are not told
    /// apart: for matching use the name itself.
    package var dotted: [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(wire.count)
        var i = 0
        while wire[i] != 0 {
            if i > 0 { out.append(ASCII.dot) }
            let end = i + 1 + Int(wire[i])
            out.append(contentsOf: wire[(i + 1)..<end])
            i = end
        }
        return out
    }

    /// Master-file form with a final dot: dots and backslashes inside labels as `\.` and `\\`, other bytes outside
    /// printable ASCII, and those with a meaning there, as `\DDD` (RFC 1035 §5.1). This is what libunbound parses.
    package var presentation: [UInt8] {
        guard !isRoot else { return [ASCII.dot] }
        var out: [UInt8] = []
        for label in labels {
            for c in label { Self.appendEscaped(c, to: &out) }
            out.append(ASCII.dot)
        }
        return out
    }

    private static func appendEscaped(_ c: UInt8, to out: inout [UInt8]) {
        if ASCII.isAlphanumeric(c) || c == ASCII.hyphen || c == 0x5F || c == 0x2A {
            out.append(c)
        } else {
            out.append(ASCII.backslash)
            out.append(0x30 + c / 100)
            out.append(0x30 + c / 10 % 10)
            out.append(0x30 + c % 10)
        }
    }
}

extension DNSName: Hashable {
    package static func == (a: DNSName, b: DNSName) -> Bool {
        // Length bytes are below 64 and so are never folded.
        ASCII.equalIgnoringCase(a.wire, b.wire)
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(wire.count)
        for c in wire { hasher.combine(ASCII.lowercased(c)) }
    }
}

extension DNSName: CustomStringConvertible {
    /// For people: without the final dot, odd bytes escaped.
    package var description: String { isRoot ? "." : dotted.escapedText }
}
