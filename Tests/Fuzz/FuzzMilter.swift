import Base
import Protocols

/// A hostile filter: whatever it says, in whatever pieces, nothing traps, what is held is bounded, and what it asks for
/// neither ends the header nor a reply before its time.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    guard let start, count > 2 else { return 0 }
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    let whole = Filter(bytes[0]).hear(Array(bytes[2...]), piece: .max)
    let pieces = Filter(bytes[0]).hear(Array(bytes[2...]), piece: Int(bytes[1] % 32) + 1)
    precondition(whole == pieces, "another meaning in other pieces")
    return 0
}

private struct Filter {
    var session = MilterSession()
    var header = MilterHeader(Array("Received: a\r\n b\r\nrubbish\r\nSubject: s\r\nReceived: c\r\n\r\n".utf8))
    var view: MilterHeader.View
    var events: [MilterEvent] = []
    var step: UInt8

    /// The first octet chooses where the filter is listened to: from the negotiation on, or from the end of a message.
    init(_ step: UInt8) {
        self.step = step
        view = header.view()
        session.negotiate()
        guard step & 1 == 1 else { return }
        // With large packets or without.
        let large: UInt8 = step & 2 == 0 ? 0 : 0x20
        let ready: [UInt8] = [0, 0, 0, 13, 0x4F, 0, 0, 0, 6, 0, 0, 1, 0xFF, large, 0x10, 0, 0]
        var index = 0
        _ = session.next(ready.span, &index)
        _ = session.endOfMessage()
    }

    consuming func hear(_ bytes: [UInt8], piece: Int) -> [MilterEvent] {
        var from = 0
        while from < bytes.count {
            let part = Array(bytes[from..<min(bytes.count, from + min(piece, bytes.count))])
            from += part.count
            var index = 0
            while let event = session.next(part.span, &index) { take(event) }
            precondition(index == part.count, "octets left")
            precondition(session.takeOutput().count < 200_000, "too much said")
        }
        check(header.bytes)
        return events
    }

    private mutating func take(_ event: MilterEvent) {
        events.append(event)
        switch event {
        case .ready, .answer:
            if case .answer(.reply(let reply)) = event { check(reply) }
            step = step &* 5 &+ 1
            switch step % 9 {
            case 0: _ = session.connect(name: [0x68], address: IPAddress("192.0.2.1"), port: 25)
            case 1: _ = session.mail([], [])
            case 2: _ = session.header([0x41], [0x62])
            case 3: _ = session.body([1, 2, 3].span)
            case 4: _ = session.unknown([0x46, 0, 0x6F])
            default: _ = session.endOfMessage()
            }
        case .change(.addHeader(let name, let value)):
            header.add(name, value, hasLeadingSpace: session.keepsLeadingSpace, &view)
        case .change(.insertHeader(let i, let name, let value)):
            header.insert(i, name, value, hasLeadingSpace: session.keepsLeadingSpace, &view)
        case .change(.changeHeader(let i, let name, let value)):
            header.change(i, name, value, hasLeadingSpace: session.keepsLeadingSpace, &view)
        case .change(.quarantine(let reason)):
            precondition(reason.count <= 256 && reason.allSatisfy { ASCII.isPrintable($0) }, "a reason that is none")
        case .change(.addRecipient(let wish)):
            check(ignored: wish.ignored)
            if let orcpt = wish.recipient.orcpt { check(word: orcpt, octetsMax: 500) }
        case .change(.changeSender(let wish)):
            check(ignored: wish.ignored)
            if let envid = wish.envid { check(word: envid, octetsMax: 100) }
        case .change, .progress, .failed: break
        }
    }

    private func check(ignored: [UInt8]) {
        precondition(ignored.count <= 256 && ignored.allSatisfy { ASCII.isPrintable($0) }, "not fit to be shown")
    }

    /// It goes into a command as it is.
    private func check(word: [UInt8], octetsMax: Int) {
        precondition(!word.isEmpty && word.count <= octetsMax, "not a parameter")
        precondition(word.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "a parameter that ends early")
    }

    private func check(_ reply: Reply) {
        precondition((400...599).contains(reply.code), "no refusal")
        var wire: [UInt8] = []
        reply.append(to: &wire)
        var isLast = false
        for line in wire.split(separator: ASCII.lf) {
            precondition(!isLast, "a reply behind the reply")
            precondition(line.count >= 4 && line.last == ASCII.cr && line.count <= 511, "not a line")
            isLast = line[line.startIndex + 3] == ASCII.space
        }
        precondition(isLast, "a reply without its end")
    }

    /// One empty line, at the end; every line ends with CRLF; the octets are counted right.
    private func check(_ block: [UInt8]) {
        precondition(block.count == header.octets, "miscounted")
        var previous: UInt8 = 0
        var length = 0
        for (i, c) in block.enumerated() {
            precondition(c != 0, "a NUL")
            if c == ASCII.lf { precondition(previous == ASCII.cr, "a lone line feed") }
            if previous == ASCII.cr { precondition(c == ASCII.lf, "a lone carriage return") }
            if c == ASCII.lf {
                precondition(length > 1 || i == block.count - 1, "the header ends early")
                length = 0
            } else {
                length += 1
            }
            previous = c
        }
        precondition(block.suffix(4) == [13, 10, 13, 10], "no end")
    }
}
