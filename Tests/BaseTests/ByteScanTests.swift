import Base
import Testing

@Suite struct ByteScanTests {
    /// Each place of a byte in texts of each length around a vector's width, against a search byte by byte.
    @Test func findsTheFirstWhereverItIs() {
        for count in 0...70 {
            for place in 0...count {
                var bytes = [UInt8](repeating: 0x61, count: count)
                if place < count { bytes[place] = ASCII.lf }
                if place + 3 < count { bytes[place + 3] = ASCII.cr }
                for start in [0, 1, 7, 16, place, place + 1, count] where start <= count {
                    let either = bytes[start...].firstIndex { $0 == ASCII.lf || $0 == ASCII.cr }
                    let one = bytes[start...].firstIndex(of: ASCII.lf)
                    #expect(first(ASCII.cr, ASCII.lf, in: bytes, from: start) == either)
                    #expect(first(ASCII.lf, in: bytes, from: start) == one)
                }
            }
        }
    }

    @Test func takesNoPlaceOutside() {
        let bytes: [UInt8] = [ASCII.lf]
        #expect(first(ASCII.lf, in: bytes, from: -1) == nil)
        #expect(first(ASCII.lf, in: bytes, from: 1) == nil)
        #expect(first(ASCII.lf, ASCII.cr, in: bytes, from: 2) == nil)
    }

    /// Bytes that differ from the one looked for in the highest bit only are not it.
    @Test func tellsNeighboursApart() {
        let bytes = [UInt8](repeating: ASCII.lf | 0x80, count: 40) + [ASCII.lf]
        #expect(first(ASCII.lf, in: bytes, from: 0) == 40)
    }

    @Test func seesAnOctetOutsideASCIIWhereverItIs() {
        for count in 0...70 {
            let plain = [UInt8](repeating: 0x7F, count: count)
            #expect(!hasOthers(plain))
            for place in 0..<count {
                var bytes = plain
                bytes[place] = 0x80
                #expect(hasOthers(bytes))
            }
        }
    }

    // A span cannot be part of an expectation.
    private func first(_ a: UInt8, _ b: UInt8? = nil, in bytes: [UInt8], from start: Int) -> Int? {
        guard let b else { return ByteScan.firstIndex(of: a, in: bytes.span, from: start) }
        return ByteScan.firstIndex(of: a, or: b, in: bytes.span, from: start)
    }

    private func hasOthers(_ bytes: [UInt8]) -> Bool { ByteScan.containsNonASCII(bytes.span) }

    @Test(arguments: [0, 1, 9, 10, 99, 100, 65_535, Int.max]) func writesNumbers(n: Int) {
        var out: [UInt8] = []
        out.append(decimal: n)
        out.append(decimal: -n)
        #expect(out == Array((n == 0 ? "00" : "\(n)-\(n)").utf8))
    }
}
