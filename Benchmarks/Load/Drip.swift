import Base

/// A slow peer's bytes, one by one: endless, and never a complete command, message or record.
struct Drip {
    let state: DripState
    let seconds: Double
    var isRunning = false
    private var sent = 0

    init(state: DripState, seconds: Double) {
        self.state = state
        self.seconds = seconds
    }

    mutating func next() -> UInt8 {
        defer { sent += 1 }
        switch state {
        case .greeting: return Self.byte(of: "EHLO slow.example.", at: sent, then: 0x61)
        case .command: return Self.byte(of: "NOOP ", at: sent, then: 0x61)
        case .data, .bdat: return Self.byte(of: "Subject: slow\r\n\r\n", at: sent, then: 0x61)
        // The head of a ClientHello record of 512 bytes, then nothing that completes it within hours.
        case .tls: return sent < Self.hello.count ? Self.hello[sent] : 0
        }
    }

    private static let hello: [UInt8] = [0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xFC, 0x03, 0x03]

    private static func byte(of text: String, at place: Int, then rest: UInt8) -> UInt8 {
        let bytes = Array(text.utf8)
        return place < bytes.count ? bytes[place] : rest
    }
}
