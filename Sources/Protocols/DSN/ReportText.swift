import Base

/// The part of a report that people read: who, why, and what happens next.
struct ReportText {
    private let report: DeliveryReport
    private static let replyLineOctetsMax = 400
    private static let replyLinesMax = 10

    init(_ report: DeliveryReport) { self.report = report }

    var bytes: [UInt8] {
        var out: [UInt8] = []
        out.append(ascii: "This is the mail server ")
        out.append(contentsOf: report.safeHost(report.hostname))
        out.append(ascii: ".\r\n\r\n")
        appendOpening(to: &out)
        for recipient in report.recipients.prefix(DeliveryReport.recipientsMax) {
            out.append(ascii: "\r\n")
            append(recipient, to: &out)
        }
        appendEnding(to: &out)
        return out
    }

    private var kind: DeliveryReport.Action { report.recipients.first?.action ?? .failed }

    private func appendOpening(to out: inout [UInt8]) {
        let isOne = report.recipients.count == 1
        switch kind {
        case .failed:
            out.append(ascii: "Your message was not delivered to ")
            out.append(ascii: isOne ? "the recipient below.\r\n" : "the recipients below.\r\n")
            out.append(ascii: "It will not be tried again.\r\n")
        case .delayed:
            out.append(ascii: "Your message has not been delivered yet to ")
            out.append(ascii: isOne ? "the recipient below.\r\n" : "the recipients below.\r\n")
            out.append(ascii: "This is a warning only: you need not send it again.\r\n")
        case .delivered, .relayed, .expanded:
            out.append(ascii: "You asked to be told of the delivery of your message.\r\n")
        }
    }

    private func append(_ recipient: DeliveryReport.Recipient, to out: inout [UInt8]) {
        out.append(ascii: "  <")
        out.append(contentsOf: SafeText.word(recipient.address, octetsMax: 500, allowsUTF8: true))
        out.append(ascii: ">\r\n")
        switch recipient.action {
        case .failed:
            if recipient.isExpired { Self.sentence("It was tried until its time was up, without success.", to: &out) }
            if let why = StatusExplanation.text(recipient.status) { Self.sentence(why, to: &out) }
            appendAnswer(recipient, to: &out)
        case .delayed:
            appendAnswer(recipient, to: &out)
            guard let until = recipient.retryUntil else { break }
            out.append(ascii: "    It is tried again until ")
            DateTime(until).append(to: &out)
            out.append(ascii: ".\r\n")
        case .delivered:
            Self.sentence("The message was delivered.", to: &out)
        case .relayed:
            Self.sentence("The message was handed to the next server, which may send no further", to: &out)
            Self.sentence("confirmation.", to: &out)
            appendAnswer(recipient, to: &out)
        case .expanded:
            Self.sentence("The message was passed on to those that this address stands for.", to: &out)
        }
    }

    private func appendAnswer(_ recipient: DeliveryReport.Recipient, to out: inout [UInt8]) {
        guard recipient.code != nil || !recipient.text.isEmpty else { return }
        if recipient.code == nil {
            Self.sentence("The reason:", to: &out)
        } else if recipient.remote.isEmpty {
            Self.sentence("The other server answered:", to: &out)
        } else {
            out.append(ascii: "    The server ")
            out.append(contentsOf: report.safeHost(recipient.remote))
            out.append(ascii: " answered:\r\n")
        }
        for line in Self.replyLines(code: recipient.code, text: recipient.text, allowsUTF8: true) {
            out.append(ascii: "      ")
            Self.appendWrapped(line, column: 6, separator: "\r\n      ", to: &out)
            out.append(ascii: "\r\n")
        }
    }

    private func appendEnding(to out: inout [UInt8]) {
        switch kind {
        case .failed:
            out.append(ascii: "\r\nWhat you sent is attached, or its header. If you cannot tell what is wrong,\r\n")
            out.append(ascii: "forward this report to your postmaster.\r\n")
        case .delayed:
            out.append(ascii: "\r\nYou will be told if it fails. The header of your message is attached.\r\n")
        case .delivered, .relayed, .expanded:
            out.append(ascii: "\r\nThe header of your message is attached.\r\n")
        }
    }

    private static func sentence(_ text: StaticString, to out: inout [UInt8]) {
        out.append(ascii: "    ")
        out.append(ascii: text)
        out.append(ascii: "\r\n")
    }

    // MARK: A peer's words

    /// The reply as it was said, line by line: `550-first`, `550 last`; our own words as one line.
    static func replyLines(code: UInt16?, text: [UInt8], allowsUTF8: Bool) -> [[UInt8]] {
        let lines = text.split(separator: ASCII.lf, omittingEmptySubsequences: false).prefix(replyLinesMax)
        return lines.enumerated().map { i, line in
            var out: [UInt8] = []
            if let code {
                out.append(decimal: code)
                out.append(i + 1 == lines.count ? ASCII.space : ASCII.hyphen)
            }
            out.append(
                contentsOf: SafeText.line(line, octetsMax: Self.replyLineOctetsMax, allowsUTF8: allowsUTF8))
            while out.last == ASCII.space { out.removeLast() }
            return out
        }
    }

    /// Breaks at spaces once 76 columns are passed.
    static func appendWrapped(_ line: [UInt8], column: Int, separator: StaticString, to out: inout [UInt8]) {
        var at = column
        var isFirst = true
        for word in line.split(separator: ASCII.space) {
            if !isFirst {
                if at + 1 + word.count > 76 {
                    out.append(ascii: separator)
                    at = 8
                } else {
                    out.append(ASCII.space)
                    at += 1
                }
            }
            out.append(contentsOf: word)
            at += word.count
            isFirst = false
        }
    }
}

/// What common status codes mean to the sender of a message.
// RFC 3463 §3
enum StatusExplanation {
    static func text(_ status: EnhancedStatus) -> StaticString? {
        switch (status.subject, status.detail) {
        case (1, 1): "There is no such mailbox. Look for typing errors in the address."
        case (1, 2): "There is no such domain. Look for typing errors behind the @."
        case (1, 3): "The address is not written correctly."
        case (1, 6): "The mailbox has moved."
        case (1, 7), (1, 8): "The other side does not accept your sender address."
        case (1, 10): "The domain behind the @ takes no mail."
        case (2, 1): "The mailbox is switched off."
        case (2, 2): "The mailbox is full."
        case (2, 3), (3, 4): "The message is too large."
        case (4, 1), (4, 2): "The other server could not be reached."
        case (4, 3), (4, 4): "The way to the recipient's domain could not be found in DNS."
        case (4, 6): "The message went around in circles."
        case (4, 7): "The time for delivery is over."
        case (6, 3): "The other server cannot take this form of message (8-bit or binary)."
        case (6, 7): "The other server cannot take international mail addresses."
        case (7, 1), (7, 0): "The other side refused the message by a rule of its own."
        case (7, 4), (7, 5): "No connection as secure as required could be made to the other server."
        case (7, 30): "The message asks for secure transport that the other server does not offer."
        default: nil
        }
    }
}
