import Base

/// Turns a body into canonical form as it streams in, in any split. The bytes go to a `CanonicalBodySink`; besides one small
/// buffer nothing is kept, whatever the body holds.
package struct BodyCanonicalizer {
    private let mode: Canonicalization
    /// White space seen that counts only when more follows in its line (relaxed).
    private var space = false
    /// A CR whose next byte is not known yet.
    private var cr = false
    /// Line ends that count only when something follows.
    private var lineEnds = 0
    /// Whether anything but line ends was there.
    private var hasText = false
    /// Short pieces, put together before they go on.
    private var short: [UInt8] = []

    private static let shortMax = 512

    package init(_ mode: Canonicalization) { self.mode = mode }

    package mutating func feed(_ bytes: Span<UInt8>, to sink: some CanonicalBodySink) {
        var i = 0
        while i < bytes.count {
            if !space, !cr, lineEnds == 0 {
                let end = verbatimEnd(bytes, from: i)
                if end > i {
                    hasText = true
                    pass(bytes.extracting(i..<end), to: sink)
                    i = end
                    continue
                }
            }
            step(bytes[i], to: sink)
            i += 1
        }
    }

    /// Ends the body.
    package mutating func finish(to sink: some CanonicalBodySink) {
        if cr {
            cr = false
            ordinary(ASCII.cr, to: sink)
        }
        switch mode {
        case .simple:
            // RFC 6376 §3.4.3: exactly one CRLF at the end, also of an empty body.
            newline(to: sink)
        case .relaxed:
            // RFC 6376 §3.4.4: a body without text is empty.
            if hasText { newline(to: sink) }
        }
        flush(to: sink)
    }

    /// How far the bytes at `start` are canonical as they stand, given that nothing is pending.
    private func verbatimEnd(_ bytes: Span<UInt8>, from start: Int) -> Int {
        mode == .simple ? simpleEnd(bytes, from: start) : relaxedEnd(bytes, from: start)
    }

    /// All up to the line ends that the piece ends with.
    private func simpleEnd(_ bytes: Span<UInt8>, from start: Int) -> Int {
        var end = bytes.count
        // What ends with CR waits for its LF, and so do the line ends before it.
        if end > start, bytes[end - 1] == ASCII.cr { end -= 1 }
        while end - 2 >= start, bytes[end - 1] == ASCII.lf, bytes[end - 2] == ASCII.cr { end -= 2 }
        return end
    }

    private func relaxedEnd(_ bytes: Span<UInt8>, from start: Int) -> Int {
        let count = bytes.count
        var i = start
        while i < count {
            let c = bytes[i]
            if c > ASCII.space {
                i += 1
            } else if c == ASCII.space {
                guard i + 1 < count, bytes[i + 1] > ASCII.space else { return i }
                i += 2
            } else if c == ASCII.cr {
                guard i + 2 < count, bytes[i + 1] == ASCII.lf, bytes[i + 2] > ASCII.space else { return i }
                i += 3
            } else if c == ASCII.tab {
                return i
            } else {
                i += 1
            }
        }
        return count
    }

    private mutating func step(_ c: UInt8, to sink: some CanonicalBodySink) {
        if cr {
            cr = false
            if c == ASCII.lf {
                space = false
                lineEnds += 1
                return
            }
            // A lone CR is a byte like others.
            ordinary(ASCII.cr, to: sink)
        }
        if c == ASCII.cr {
            cr = true
        } else if mode == .relaxed, c == ASCII.space || c == ASCII.tab {
            space = true
        } else {
            ordinary(c, to: sink)
        }
    }

    private mutating func ordinary(_ c: UInt8, to sink: some CanonicalBodySink) {
        while lineEnds > 0 {
            newline(to: sink)
            lineEnds -= 1
        }
        if space { short.append(ASCII.space) }
        space = false
        hasText = true
        short.append(c)
        if short.count >= Self.shortMax { flush(to: sink) }
    }

    private mutating func newline(to sink: some CanonicalBodySink) {
        short.append(ASCII.cr)
        short.append(ASCII.lf)
        if short.count >= Self.shortMax { flush(to: sink) }
    }

    private mutating func pass(_ bytes: Span<UInt8>, to sink: some CanonicalBodySink) {
        if bytes.count < 64 {
            short.append(bytes)
            if short.count >= Self.shortMax { flush(to: sink) }
        } else {
            flush(to: sink)
            sink.write(bytes)
        }
    }

    private mutating func flush(to sink: some CanonicalBodySink) {
        guard !short.isEmpty else { return }
        sink.write(short.span)
        short.removeAll(keepingCapacity: true)
    }
}

/// Where a canonical body goes.
package protocol CanonicalBodySink: AnyObject {
    func write(_ bytes: Span<UInt8>)
}
