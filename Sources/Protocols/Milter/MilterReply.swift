import Base

/// A filter's word on the command before.
package enum MilterAnswer: Sendable, Hashable {
    case proceed
    /// Nothing more of this message (of the session, when it answers the connection or HELO).
    case accept
    case reject, tempfail, discard
    /// A refusal in the filter's words, made fit for the wire.
    case reply(Reply)
    /// No more of this kind: header fields, or the body.
    case skip
    /// 421 and the end of the connection.
    case shutdown
}

/// One change a filter wants of the message, at its end.
package enum MilterChange: Sendable, Hashable {
    case quarantine([UInt8])
    case addHeader(name: [UInt8], value: [UInt8])
    case insertHeader(index: Int, name: [UInt8], value: [UInt8])
    /// The `index`th field of that name, from 1; an empty value removes it.
    case changeHeader(index: Int, name: [UInt8], value: [UInt8])
    /// A piece of the new body.
    case replaceBody([UInt8])
    case addRecipient(MilterRecipient)
    case removeRecipient(MailAddress)
    case changeSender(MilterSender)
    /// Well-formed as a packet, but nothing that can be done: a bad address, a bad field name.
    case unusable
    /// Of a kind that the filter did not say it would ask for.
    case notNegotiated

    func isOne(of actions: MilterActions) -> Bool {
        switch self {
        case .quarantine: actions.contains(.quarantine)
        case .addHeader, .insertHeader: actions.contains(.addHeaders)
        case .changeHeader: actions.contains(.changeHeaders)
        case .replaceBody: actions.contains(.changeBody)
        case .addRecipient: !actions.isDisjoint(with: [.addRecipients, .addRecipientsWithParameters])
        case .removeRecipient: actions.contains(.removeRecipients)
        case .changeSender: actions.contains(.changeSender)
        case .unusable, .notNegotiated: true
        }
    }
}

/// A packet of a filter, understood.
enum MilterReply: Sendable, Hashable {
    case negotiated(version: UInt32, actions: MilterActions, steps: MilterSteps, symbols: [MilterStage: [[UInt8]]])
    case answer(MilterAnswer)
    case change(MilterChange)
    case progress

    /// nil: not a packet of the protocol.
    init?(_ packet: [UInt8]) {
        guard let letter = packet.first, let code = MilterReplyCode(rawValue: letter) else { return nil }
        var scanner = MilterPacketScanner(packet)
        switch code {
        case .negotiate:
            guard let negotiated = Self.negotiation(&scanner) else { return nil }
            self = negotiated
        case .proceed: self = .answer(.proceed)
        case .accept: self = .answer(.accept)
        case .reject: self = .answer(.reject)
        case .tempfail: self = .answer(.tempfail)
        case .discard: self = .answer(.discard)
        case .skip: self = .answer(.skip)
        case .shutdown, .connectionFailure: self = .answer(.shutdown)
        case .progress: self = .progress
        case .replyCode:
            guard let text = scanner.text() else { return nil }
            // A reply that is none defers, as Sendmail does.
            self = .answer(MilterText.reply(text).map { .reply($0) } ?? .tempfail)
        case .replaceBody: self = .change(.replaceBody(scanner.rest))
        case .quarantine:
            guard let reason = scanner.text() else { return nil }
            self = .change(.quarantine(MilterText.line(reason, octetsMax: 256)))
        case .addHeader, .insertHeader, .changeHeader:
            guard let change = Self.field(code, &scanner) else { return nil }
            self = .change(change)
        case .addRecipient, .addRecipientWithParameters, .removeRecipient, .changeSender:
            guard let path = scanner.text() else { return nil }
            // Whatever follows the address without its NUL is no packet either.
            guard let parameters = scanner.isAtEnd ? [] : scanner.text() else { return nil }
            self = .change(Self.address(code, path, parameters))
        }
    }

    private static func negotiation(_ scanner: inout MilterPacketScanner) -> MilterReply? {
        guard let version = scanner.number(), let actions = scanner.number(), let steps = scanner.number() else {
            return nil
        }
        var symbols: [MilterStage: [[UInt8]]] = [:]
        while !scanner.isAtEnd {
            guard let number = scanner.number(), let list = scanner.text() else { return nil }
            guard let stage = MilterStage(rawValue: number) else { continue }
            symbols[stage] = MilterMacros.names(list)
        }
        return .negotiated(
            version: version, actions: MilterActions(rawValue: actions), steps: MilterSteps(rawValue: steps),
            symbols: symbols)
    }

    private static func field(_ code: MilterReplyCode, _ scanner: inout MilterPacketScanner) -> MilterChange? {
        var index: UInt32 = 0
        if code != .addHeader {
            guard let n = scanner.number() else { return nil }
            index = n
        }
        guard let name = scanner.text(), let value = scanner.text() else { return nil }
        guard MilterText.isFieldName(name) else { return .unusable }
        if code == .addHeader { return .addHeader(name: name, value: value) }
        // A number of 32 bits with the sign of a C int.
        let place = Int(Int32(bitPattern: index))
        return code == .insertHeader
            ? .insertHeader(index: place, name: name, value: value)
            : .changeHeader(index: place, name: name, value: value)
    }

    private static func address(_ code: MilterReplyCode, _ text: [UInt8], _ parameters: [UInt8]) -> MilterChange {
        guard let path = path(text) else { return .unusable }
        switch (code, path) {
        case (.changeSender, .null): return .changeSender(MilterSender(nil, parameters: parameters))
        case (.changeSender, .mailbox(let m)) where !m.domainIsUTF8:
            return .changeSender(MilterSender(m.address, parameters: parameters))
        case (.removeRecipient, .mailbox(let m)) where !m.domainIsUTF8: return .removeRecipient(m.address)
        case (.addRecipient, .mailbox(let m)) where !m.domainIsUTF8: return .addRecipient(MilterRecipient(m.address))
        case (.addRecipientWithParameters, .mailbox(let m)) where !m.domainIsUTF8:
            return .addRecipient(MilterRecipient(m.address, parameters: parameters))
        default: return .unusable
        }
    }

    /// With or without angle brackets.
    private static func path(_ text: [UInt8]) -> PathParser.Path? {
        let bracketed = text.first == ASCII.less ? text : [ASCII.less] + text + [ASCII.greater]
        guard bracketed.count <= 1_024 else { return nil }
        var parser = PathParser(at: 0)
        guard let path = parser.path(in: bracketed.span, allowsPostmaster: true), parser.index == bracketed.count else {
            return nil
        }
        return path
    }
}
