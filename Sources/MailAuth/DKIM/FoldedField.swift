import Base

/// Writes a tag list as a header field with lines of at most 78 octets where tags allow it (RFC 5322 §2.1.1).
struct FoldedField {
    private(set) var bytes: [UInt8]
    private var column: Int
    private var isFirst = true

    private static let width = 76
    private static let fold: [UInt8] = [ASCII.cr, ASCII.lf, ASCII.tab]

    init(_ name: String) {
        bytes = Array(name.utf8) + [ASCII.colon]
        column = bytes.count
    }

    mutating func add(_ tag: String, _ value: String = "") { add(tag, Array(value.utf8)) }

    mutating func add(_ tag: String, _ value: [UInt8]) {
        start(tag.utf8.count + value.count)
        put(Array(tag.utf8) + value)
    }

    /// A list with colons, folded after them.
    mutating func add(list tag: String, _ items: [[UInt8]]) {
        start(tag.utf8.count + (items.first?.count ?? 0))
        put(Array(tag.utf8))
        for (i, item) in items.enumerated() {
            let last = i == items.count - 1
            if i > 0, column + item.count + 2 > Self.width { breakLine() }
            put(last ? item : item + [ASCII.colon])
        }
    }

    /// Appends `b=` without a value, and gives the field as it is signed.
    mutating func openSignature() -> [UInt8] {
        start(Self.width)
        put([0x62, ASCII.equals])
        return bytes
    }

    mutating func close(signature: [UInt8]) {
        var rest = signature[...]
        while !rest.isEmpty {
            if column >= Self.width { breakLine() }
            let piece = rest.prefix(Self.width - column)
            put(Array(piece))
            rest = rest.dropFirst(piece.count)
        }
        bytes.append(ASCII.cr)
        bytes.append(ASCII.lf)
    }

    private mutating func start(_ count: Int) {
        if !isFirst { put([ASCII.semicolon]) }
        if !isFirst, column + count + 2 > Self.width {
            breakLine()
        } else {
            put([ASCII.space])
        }
        isFirst = false
    }

    private mutating func put(_ more: [UInt8]) {
        bytes.append(contentsOf: more)
        column += more.count
    }

    private mutating func breakLine() {
        bytes.append(contentsOf: Self.fold)
        column = 1
    }
}
