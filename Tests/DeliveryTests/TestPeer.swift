import Base
import Foundation
import Reactor

/// A scripted mail server inside the worker's own reactor: says what the test tells it to, keeps what it was sent.
final class TestPeer {
    enum Answer {
        case reply(String)
        /// As the peer does by itself.
        case usual
        /// Nothing, ever.
        case silence
        /// These octets, then the end of the connection.
        case drop(String)
        /// Octet by octet, one every few milliseconds, for ever.
        case drip(String)
    }

    struct Message {
        var sender = ""
        var recipients: [String] = []
        var data: [UInt8] = []
    }

    var greeting = "220 mx.example ESMTP ready"
    var keywords = ["PIPELINING", "8BITMIME", "SIZE 100000000", "DSN", "ENHANCEDSTATUSCODES"]
    var context: TLSContext?
    var isImplicitTLS = false
    var isLMTP = false
    /// Asked for each command line, and for "." when a message has come.
    var script: (String) -> Answer = { _ in .usual }
    var onConnection: (Int) -> Answer = { _ in .usual }
    private(set) var connections = 0
    private(set) var closed = 0
    private(set) var handshakes = 0
    var commands: [String] = []
    var messages: [Message] = []
    /// Largest number of octets given to one call of the connection.
    var segments = 0
    private(set) var address = SocketAddress()
    let reactor: Reactor

    init(_ reactor: Reactor) throws {
        self.reactor = reactor
        let any = SocketAddress(ip: "127.0.0.1", port: 0)!
        address = try reactor.listen(.inet(any)) { [unowned self] _ in TestPeerConnection(self) }
    }

    func opened() -> Int {
        connections += 1
        return connections
    }
    func ended() { closed += 1 }
    func shookHands() { handshakes += 1 }
}

final class TestPeerConnection: ConnectionDriver {
    private let peer: TestPeer
    private var line: [UInt8] = []
    private var isInData = false
    private var chunkLeft = 0
    private var chunkIsLast = false
    private var message = TestPeer.Message()
    private var isSilent = false
    private var isSecure = false

    init(_ peer: TestPeer) { self.peer = peer }

    func opened(_ c: Connection) {
        let number = peer.opened()
        if peer.isImplicitTLS, let context = peer.context { c.startTLSServer(context) }
        answer(peer.onConnection(number), peer.greeting, c)
    }

    func secured(_ c: Connection, _ info: TLSInfo) {
        isSecure = true
        peer.shookHands()
    }

    func closed(_ c: Connection, _ reason: CloseReason) { peer.ended() }

    func received(_ c: Connection, _ bytes: Span<UInt8>) -> Int {
        peer.segments += 1
        for i in bytes.indices { take(bytes[i], c) }
        return bytes.count
    }

    private func take(_ byte: UInt8, _ c: Connection) {
        if chunkLeft > 0 {
            message.data.append(byte)
            chunkLeft -= 1
            if chunkLeft == 0 { chunkIsLast ? end(c) : c.write(Array("250 2.0.0 chunk\r\n".utf8)) }
            return
        }
        line.append(byte)
        guard byte == 10, line.count > 1, line[line.count - 2] == 13 else { return }
        let whole = line
        line = []
        if isInData { return takeData(whole, c) }
        take(command: String(decoding: whole.dropLast(2), as: UTF8.self), c)
    }

    private func takeData(_ line: [UInt8], _ c: Connection) {
        if line == [46, 13, 10] {
            isInData = false
            return end(c)
        }
        message.data += line.first == 46 ? Array(line.dropFirst()) : line
    }

    private func end(_ c: Connection) {
        peer.messages.append(message)
        let count = message.recipients.count
        let usual =
            peer.isLMTP
            ? (0..<count).map { "250 2.0.0 kept \($0)" }.joined(separator: "\r\n") : "250 2.0.0 kept"
        message = TestPeer.Message()
        answer(peer.script("."), usual, c)
    }

    private func take(command: String, _ c: Connection) {
        peer.commands.append(command)
        let verb = command.prefix { $0 != " " }.uppercased()
        answer(peer.script(command), usual(verb, command), c)
        switch verb {
        case "STARTTLS":
            if let context = peer.context, !isSilent { c.startTLSServer(context) }
        case "BDAT":
            let words = command.split(separator: " ")
            chunkLeft = Int(words[1]) ?? 0
            chunkIsLast = words.count > 2
        case "QUIT": c.closeAfterFlush()
        default: break
        }
    }

    private func usual(_ verb: String, _ command: String) -> String {
        switch verb {
        case "EHLO", "LHLO":
            var lines = ["mx.example greets you"] + peer.keywords
            if peer.context != nil, !isSecure, !peer.isImplicitTLS { lines.append("STARTTLS") }
            return lines.enumerated().map { "250" + ($0.offset + 1 == lines.count ? " " : "-") + $0.element }
                .joined(separator: "\r\n")
        case "STARTTLS": return "220 2.0.0 go on"
        case "MAIL":
            message.sender = command
            return "250 2.1.0 sender"
        case "RCPT":
            message.recipients.append(command)
            return "250 2.1.5 recipient"
        case "DATA": return "354 go on"
        case "BDAT": return ""
        case "AUTH": return "235 2.7.0 welcome"
        case "QUIT": return "221 2.0.0 bye"
        case "RSET":
            message = TestPeer.Message()
            return "250 2.0.0 reset"
        default: return "250 2.0.0 fine"
        }
    }

    private func answer(_ answer: TestPeer.Answer, _ usual: String, _ c: Connection) {
        guard !isSilent else { return }
        switch answer {
        case .usual: say(usual, c)
        case .reply(let text): say(text, c)
        case .silence: isSilent = true
        case .drop(let text):
            c.write(Array(text.utf8))
            c.closeAfterFlush()
        case .drip(let text):
            isSilent = true
            drip(Array(text.utf8), 0, c)
        }
    }

    private func say(_ text: String, _ c: Connection) {
        guard !text.isEmpty else { return }
        if text.hasPrefix("354") { isInData = true }
        if text.hasPrefix("4") || text.hasPrefix("5"), !message.recipients.isEmpty, !isInData,
            peer.commands.last?.hasPrefix("RCPT") == true
        {
            message.recipients.removeLast()
        }
        c.write(Array((text + "\r\n").utf8))
    }

    private func drip(_ text: [UInt8], _ place: Int, _ c: Connection) {
        guard c.isOpen else { return }
        c.write([text[place % text.count]])
        peer.reactor.after(0.05) { [weak self] in self?.drip(text, place + 1, c) }
    }
}
