/// What we say to a filter, by the letter that begins the packet.
package enum MilterCommand: UInt8, Sendable, CaseIterable {
    case abort = 0x41  // A
    case body = 0x42  // B
    case connect = 0x43  // C
    case macros = 0x44  // D
    case endOfMessage = 0x45  // E
    case helo = 0x48  // H
    case header = 0x4C  // L
    case mail = 0x4D  // M
    case endOfHeader = 0x4E  // N
    case negotiate = 0x4F  // O
    case quit = 0x51  // Q
    case recipient = 0x52  // R
    case data = 0x54  // T
    case unknown = 0x55  // U
}

/// What a filter says to us, by the letter that begins the packet.
package enum MilterReplyCode: UInt8, Sendable, CaseIterable {
    case addRecipient = 0x2B  // +
    case removeRecipient = 0x2D  // -
    case addRecipientWithParameters = 0x32  // 2
    case shutdown = 0x34  // 4
    case negotiate = 0x4F  // O
    case accept = 0x61  // a
    case replaceBody = 0x62  // b
    case proceed = 0x63  // c
    case discard = 0x64  // d
    case changeSender = 0x65  // e
    case connectionFailure = 0x66  // f
    case addHeader = 0x68  // h
    case insertHeader = 0x69  // i
    case changeHeader = 0x6D  // m
    case progress = 0x70  // p
    case quarantine = 0x71  // q
    case reject = 0x72  // r
    case skip = 0x73  // s
    case tempfail = 0x74  // t
    case replyCode = 0x79  // y
}

/// What a filter may do to a message; negotiated.
package struct MilterActions: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let addHeaders = MilterActions(rawValue: 0x01)
    package static let changeBody = MilterActions(rawValue: 0x02)
    package static let addRecipients = MilterActions(rawValue: 0x04)
    package static let removeRecipients = MilterActions(rawValue: 0x08)
    package static let changeHeaders = MilterActions(rawValue: 0x10)
    package static let quarantine = MilterActions(rawValue: 0x20)
    package static let changeSender = MilterActions(rawValue: 0x40)
    package static let addRecipientsWithParameters = MilterActions(rawValue: 0x80)
    package static let setSymbols = MilterActions(rawValue: 0x100)
    /// What we offer: all of them.
    package static let offered = MilterActions(rawValue: 0x1FF)
}

/// Which steps a filter leaves out, and to which it sends no answer; negotiated.
package struct MilterSteps: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    package static let noConnect = MilterSteps(rawValue: 0x01)
    package static let noHELO = MilterSteps(rawValue: 0x02)
    package static let noMail = MilterSteps(rawValue: 0x04)
    package static let noRecipient = MilterSteps(rawValue: 0x08)
    package static let noBody = MilterSteps(rawValue: 0x10)
    package static let noHeaders = MilterSteps(rawValue: 0x20)
    package static let noEndOfHeader = MilterSteps(rawValue: 0x40)
    package static let silentHeader = MilterSteps(rawValue: 0x80)
    package static let noUnknown = MilterSteps(rawValue: 0x100)
    package static let noData = MilterSteps(rawValue: 0x200)
    /// The filter may answer "skip".
    package static let skip = MilterSteps(rawValue: 0x400)
    package static let silentConnect = MilterSteps(rawValue: 0x1000)
    package static let silentHELO = MilterSteps(rawValue: 0x2000)
    package static let silentMail = MilterSteps(rawValue: 0x4000)
    package static let silentRecipient = MilterSteps(rawValue: 0x8000)
    package static let silentData = MilterSteps(rawValue: 0x1_0000)
    package static let silentUnknown = MilterSteps(rawValue: 0x2_0000)
    package static let silentEndOfHeader = MilterSteps(rawValue: 0x4_0000)
    package static let silentBody = MilterSteps(rawValue: 0x8_0000)
    /// Values of header fields keep the white space after the colon.
    package static let leadingSpace = MilterSteps(rawValue: 0x10_0000)
    /// Packets may hold 256 KiB of data less one octet, or 1 MiB less one, instead of 64 KiB less one.
    package static let packets256K = MilterSteps(rawValue: 0x1000_0000)
    package static let packets1M = MilterSteps(rawValue: 0x2000_0000)
    /// Everything but rejected recipients (0x800), which filters are not told of.
    package static let offered = MilterSteps(rawValue: 0x301F_F7FF)

    /// Octets of the data of one packet.
    var dataMax: Int {
        if contains(.packets1M) { return 1_048_575 }
        return contains(.packets256K) ? 262_143 : MilterPacketWriter.usualDataMax
    }
}

/// Where macros are sent, numbered as in a filter's lists of symbols.
package enum MilterStage: UInt32, Sendable, CaseIterable {
    case connect = 0
    case helo, mail, recipient, data, endOfMessage, endOfHeader

    var command: MilterCommand {
        switch self {
        case .connect: .connect
        case .helo: .helo
        case .mail: .mail
        case .recipient: .recipient
        case .data: .data
        case .endOfMessage: .endOfMessage
        case .endOfHeader: .endOfHeader
        }
    }
}
