import Base
import Protocols
import Store

/// The octets of one message as they go to a peer: the fields put before it, and the body in memory or in the store.
struct MessageContent {
    enum Body {
        case memory([UInt8])
        /// Read by slices while it is sent.
        case stored(MessageID, size: Int)
    }

    /// A forwarder's seals, then our own trace fields.
    let head: [UInt8]
    var body: Body

    init(_ job: DeliveryJob) {
        let prefix = job.prefix
        head = prefix.isEmpty ? job.message.trace : prefix + job.message.trace
        if let bytes = job.body {
            body = .memory(bytes)
        } else {
            body = .stored(job.message.id, size: job.message.bodySize)
        }
    }

    init(head: [UInt8], body: [UInt8]) {
        self.head = head
        self.body = .memory(body)
    }

    var size: Int {
        switch body {
        case .memory(let bytes): head.count + bytes.count
        case .stored(_, let size): head.count + size
        }
    }

    /// Whether octets above 127 are in it; `unknown` while most of it is in the store.
    func isEightBit(unknown: Bool) -> Bool {
        if ByteScan.containsNonASCII(head.span) { return true }
        switch body {
        case .memory(let bytes): return ByteScan.containsNonASCII(bytes.span)
        case .stored: return unknown
        }
    }

    /// Whether the header section needs SMTPUTF8; yes when it cannot be seen.
    // RFC 6531 §3.2
    var hasUTF8Header: Bool {
        if ByteScan.containsNonASCII(head.span) { return true }
        guard case .memory(let bytes) = body else { return true }
        return ByteScan.containsNonASCII(bytes.span.extracting(0..<Self.headerEnd(bytes.span)))
    }

    /// Where the empty line begins, or the end.
    private static func headerEnd(_ bytes: Span<UInt8>) -> Int {
        var from = 0
        while let end = ByteScan.firstIndex(of: ASCII.lf, in: bytes, from: from) {
            let next = end + 1
            if next < bytes.count, bytes[next] == ASCII.lf { return next }
            if next + 1 < bytes.count, bytes[next] == ASCII.cr, bytes[next + 1] == ASCII.lf { return next }
            from = next
        }
        return bytes.count
    }
}

/// Where the sending of one body stands, for bodies too large to be written at once.
struct BodyPump {
    var stuffer = DotStuffer()
    /// Octets of the body (not the head) that were written.
    var offset = 0
    /// A slice came and the connection still holds the one before.
    var slice: [UInt8]?
    var isReading = false
    /// Everything written so far has left.
    var isDrained = true
}
