package import Base

/// One event being rendered, as text or as JSON. Bytes a peer sent can neither end the line nor reach a terminal.
///
/// Lives on the caller's stack during `Log.write`; bounded by `valueMaximum` a field and `lineMaximum` a line.
package struct LogLine {
    private var bytes: [UInt8] = []
    private let json: Bool
    private static let valueMaximum = 1_024
    private static let lineMaximum = 8_192

    package init(_ format: LogFormat, _ level: LogLevel, _ event: StaticString, microseconds: Int64) {
        json = format == .json
        bytes.reserveCapacity(192)
        if json {
            bytes.append(ascii: "{\"ts\":\"")
            Timestamp.append(microseconds, to: &bytes)
            bytes.append(ascii: "\",\"level\":\"")
            bytes.append(ascii: level.name)
            bytes.append(ascii: "\",\"event\":\"")
            bytes.append(ascii: event)
            bytes.append(ASCII.quote)
        } else {
            Timestamp.append(microseconds, to: &bytes)
            bytes.append(ASCII.space)
            bytes.append(ascii: level.name)
            bytes.append(ASCII.space)
            bytes.append(ascii: event)
        }
    }

    package mutating func add(_ key: StaticString, _ value: Int) {
        guard begin(key) else { return }
        Timestamp.append(decimal: value, to: &bytes)
    }

    package mutating func add(_ key: StaticString, _ value: Bool) {
        guard begin(key) else { return }
        bytes.append(ascii: value ? "true" : "false")
    }

    /// A duration: seconds with microseconds.
    package mutating func add(_ key: StaticString, seconds: Double) {
        guard begin(key) else { return }
        let us = seconds > 0 && seconds < 9e9 ? Int64(seconds * 1e6) : 0
        Timestamp.append(decimal: Int(us / 1_000_000), to: &bytes)
        bytes.append(ASCII.dot)
        Timestamp.append(us % 1_000_000, digits: 6, to: &bytes)
    }

    package mutating func add(_ key: StaticString, _ value: StaticString) {
        value.withUTF8Buffer { add(key, buffer: $0) }
    }

    package mutating func add(_ key: StaticString, _ value: [UInt8]) {
        value.withUnsafeBufferPointer { add(key, buffer: $0) }
    }

    package mutating func add(_ key: StaticString, _ value: Span<UInt8>) {
        value.withUnsafeBufferPointer { add(key, buffer: $0) }
    }

    package mutating func add(_ key: StaticString, _ value: String) {
        var value = value
        value.withUTF8 { add(key, buffer: $0) }
    }

    /// Never the bytes: a secret is logged as `***`.
    package mutating func add(_ key: StaticString, _ value: Secret) { add(key, "***" as StaticString) }

    /// The rendered line with its line end.
    package consuming func finish() -> [UInt8] {
        if json { bytes.append(0x7D) }
        bytes.append(ASCII.lf)
        return bytes
    }

    /// Writes the separator and the key; false when the line is full.
    private mutating func begin(_ key: StaticString) -> Bool {
        guard bytes.count < Self.lineMaximum else { return false }
        if json {
            bytes.append(ascii: ",\"")
            bytes.append(ascii: key)
            bytes.append(ascii: "\":")
        } else {
            bytes.append(ASCII.space)
            bytes.append(ascii: key)
            bytes.append(ASCII.equals)
        }
        return true
    }

    private mutating func add(_ key: StaticString, buffer: UnsafeBufferPointer<UInt8>) {
        guard begin(key) else { return }
        let kept = UnsafeBufferPointer(rebasing: buffer.prefix(Self.valueMaximum))
        let plain = kept.allSatisfy { LogEscape.isPlain($0) } && !kept.isEmpty
        if json || !plain { bytes.append(ASCII.quote) }
        if plain {
            bytes.append(contentsOf: kept)
        } else if json {
            LogEscape.appendJSON(kept, to: &bytes)
        } else {
            LogEscape.appendText(kept, to: &bytes)
        }
        if buffer.count > kept.count { bytes.append(ascii: "...") }
        if json || !plain { bytes.append(ASCII.quote) }
    }
}
