import Base
package import Protocols

/// A golden dialogue. One directive a line:
///
///     # a comment
///     @listener mx|submission|lmtp     @option starttls|requiretls|auth
///     @limit recipients 2              (also: message, header, line)
///     @refuse sender|recipient ADDRESS CODE X.Y.Z text     @refuse submit CODE X.Y.Z text
///     @settle ADDRESS CODE X.Y.Z text  what the recipient comes to by itself after the dot (LMTP)
///     @password USER PASSWORD
///     C: EHLO a | MAIL FROM:<b@c.example>      lines sent together, each with CRLF
///     D: raw octets with \r \n \t \0 \\ \xNN   sent as they are, in one segment with the C:/D: before it
///     S: 250 2.1.0 | 250                       the replies so far, each by the start of its last line
///     S+: PIPELINING                           a line of the last reply, after its code
///     S-: STARTTLS                             no line of the last reply
///     B: raw octets                            the last body stored
///     @tls                                     the handshake succeeds
///     @timeout                                 the deadline passes
///     @closed REASON                           the session wants to close
package struct Transcript: Sendable {
    package enum Step: Sendable {
        case send([UInt8])
        case expect([String])
        case contains(String)
        case lacks(String)
        case body([UInt8])
        case handshake
        case timeout
        case closed(String)
    }

    package struct Malformed: Error {
        package let line: String
    }

    package var steps: [(number: Int, step: Step)] = []
    private var kind = SMTPListenerKind.mx
    private var options: Set<String> = []
    private var limits = SMTPLimits()
    private var refusals: [String: Reply] = [:]
    private var settled: [String: Reply] = [:]
    private var passwords: [String: String] = [:]

    package init(parsing text: String) throws {
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if line.isEmpty || line.hasPrefix("#") { continue }
            try parse(String(line), number + 1)
        }
    }

    package var configuration: SMTPSessionConfiguration {
        SMTPSessionConfiguration(
            hostname: Array("mx.martlet.example".utf8), kind: kind, limits: limits,
            offersTLS: options.contains("starttls"), requiresTLS: options.contains("requiretls"),
            offersAuth: options.contains("auth"),
            domainToASCII: { $0 == Array("bücher.example".utf8) ? Array("xn--bcher-kva.example".utf8) : nil })
    }

    /// The world the dialogue takes place in.
    package func answer(_ question: Question) -> Answer {
        switch question {
        case .sender(let address): refusal("sender " + text(address)) ?? .accepted
        case .recipient(let address, _): refusal("recipient " + text(address)) ?? .accepted
        case .verify: .accepted
        case .unknown(let line): refusal("unknown " + String(decoding: line, as: UTF8.self)) ?? .accepted
        case .submit: refusal("submit") ?? .accepted
        case .authenticate(let request): authenticate(request)
        }
    }

    /// What one recipient of a complete message comes to by itself.
    package func ownReply(_ recipient: EnvelopeRecipient) -> Reply? { settled[text(recipient.address)] }

    private func text(_ address: MailAddress?) -> String {
        address.map { String(decoding: $0.wire, as: UTF8.self) } ?? "<>"
    }

    private func refusal(_ key: String) -> Answer? { refusals[key].map { .refused($0) } }

    private func authenticate(_ request: SASLRequest) -> Answer {
        switch request {
        case .password(_, let user, let password):
            passwords[String(decoding: user, as: UTF8.self)] == String(decoding: password.bytes, as: UTF8.self)
                ? .authenticated(identity: user)
                : .refused(Reply(535, EnhancedStatus(5, 7, 8), "Authentication failed"))
        case .scram(let message, let isFirst):
            if message.bytes.isEmpty && !isFirst {
                .authenticated(identity: Array("scram".utf8))
            } else {
                .challenge(Array((isFirst ? "r=first" : "v=final").utf8))
            }
        }
    }

    private mutating func parse(_ line: String, _ number: Int) throws {
        func after(_ prefix: String) -> String { String(line.dropFirst(prefix.count)) }
        if line.hasPrefix("C: ") {
            let lines = after("C: ").components(" | ")
            send(lines.flatMap { Array($0.utf8) + [13, 10] }, number)
        } else if line.hasPrefix("D: ") {
            send(try Self.unescape(after("D: ")), number)
        } else if line.hasPrefix("S: ") {
            steps.append((number, .expect(after("S: ").components(" | "))))
        } else if line.hasPrefix("S+: ") {
            steps.append((number, .contains(after("S+: "))))
        } else if line.hasPrefix("S-: ") {
            steps.append((number, .lacks(after("S-: "))))
        } else if line.hasPrefix("B: ") {
            steps.append((number, .body(try Self.unescape(after("B: ")))))
        } else {
            try directive(line, number)
        }
    }

    private mutating func send(_ bytes: [UInt8], _ number: Int) {
        if case .send(let before)? = steps.last?.step {
            steps[steps.count - 1].step = .send(before + bytes)
        } else {
            steps.append((number, .send(bytes)))
        }
    }

    private mutating func directive(_ line: String, _ number: Int) throws {
        let words = line.split(separator: " ").map { String($0) }
        switch (words[0], words.count) {
        case ("@listener", 2): kind = words[1] == "submission" ? .submission : words[1] == "lmtp" ? .lmtp : .mx
        case ("@option", 2...): options.formUnion(words[1...])
        case ("@limit", 3): try limit(words[1], words[2], line)
        case ("@refuse", 4...):
            let keyed = words[1] == "submit" ? 2 : 3
            guard let reply = Self.reply(words[keyed...]) else { throw Malformed(line: line) }
            refusals[words[1..<keyed].joined(separator: " ")] = reply
        case ("@settle", 5...):
            guard let reply = Self.reply(words[2...]) else { throw Malformed(line: line) }
            settled[words[1]] = reply
        case ("@password", 3): passwords[words[1]] = words[2]
        case ("@tls", 1): steps.append((number, .handshake))
        case ("@timeout", 1): steps.append((number, .timeout))
        case ("@closed", 2): steps.append((number, .closed(words[1])))
        default: throw Malformed(line: line)
        }
    }

    private mutating func limit(_ name: String, _ value: String, _ line: String) throws {
        guard let n = Int(value) else { throw Malformed(line: line) }
        switch name {
        case "recipients": limits.recipients = n
        case "message": limits.messageOctets = UInt64(n)
        case "drain": limits.drainOctets = UInt64(n)
        case "header": limits.headerOctets = UInt64(n)
        case "line": limits.textLineOctets = n
        case "messages": limits.messages = n
        default: throw Malformed(line: line)
        }
    }

    private static func reply(_ words: ArraySlice<String>) -> Reply? {
        guard words.count >= 3, let code = words.first.flatMap({ UInt16($0) }) else { return nil }
        let status = words[words.startIndex + 1].split(separator: ".").compactMap { UInt16($0) }
        guard status.count == 3 else { return nil }
        return Reply(
            code, EnhancedStatus(UInt8(truncatingIfNeeded: status[0]), status[1], status[2]),
            words.dropFirst(2).joined(separator: " "))
    }

    private static func unescape(_ text: String) throws -> [UInt8] {
        var out: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let c = rest.popFirst() {
            guard c == ASCII.backslash else {
                out.append(c)
                continue
            }
            switch rest.popFirst() {
            case 0x72: out.append(13)
            case 0x6E: out.append(10)
            case 0x74: out.append(9)
            case 0x30: out.append(0)
            case 0x5C: out.append(0x5C)
            case 0x78:
                guard let a = rest.popFirst().flatMap(Hex.value), let b = rest.popFirst().flatMap(Hex.value) else {
                    throw Malformed(line: text)
                }
                out.append(a << 4 | b)
            default: throw Malformed(line: text)
            }
        }
        return out
    }
}

extension String {
    /// The pieces between `separator`.
    fileprivate func components(_ separator: String) -> [String] {
        var out: [String] = []
        var piece = ""
        var rest = self[...]
        while !rest.isEmpty {
            if rest.hasPrefix(separator) {
                out.append(piece)
                piece = ""
                rest = rest.dropFirst(separator.count)
            } else {
                piece.append(rest.removeFirst())
            }
        }
        return out + [piece]
    }
}
