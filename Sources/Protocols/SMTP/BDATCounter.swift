import Base

/// The chunk being received: what is left of it and what will be answered at its end.
struct BDATCounter {
    var size: UInt64 = 0
    var remaining: UInt64 = 0
    var isLast = false
    /// Set when the chunk is only read to keep in step.
    var refusal: Reply?

    /// `BDAT octets [LAST]` (RFC 3030 §2); nil on a syntax error.
    init?(_ line: Span<UInt8>) {
        var i = 4
        guard i < line.count, line[i] == ASCII.space else { return nil }
        while i < line.count, line[i] == ASCII.space { i += 1 }
        let start = i
        while i < line.count, line[i] != ASCII.space { i += 1 }
        guard let size = Decimal.parse(line.extracting(start..<i)) else { return nil }
        while i < line.count, line[i] == ASCII.space { i += 1 }
        if i < line.count {
            guard ASCII.equalIgnoringCase(line.extracting(i..<line.count), "last") else { return nil }
            isLast = true
        }
        self.size = size
        remaining = size
    }

    init() {}
}
