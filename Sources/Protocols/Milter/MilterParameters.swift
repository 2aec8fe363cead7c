import Base

/// A recipient that a filter adds, with the ESMTP parameters of its wish that mean something here. Bounded by the packet.
package struct MilterRecipient: Sendable, Hashable {
    package var recipient: EnvelopeRecipient
    /// The parameters that were not honoured: unknown ones, malformed ones. Printable, bounded, between blanks.
    package var ignored: [UInt8] = []

    package var address: MailAddress { recipient.address }

    package init(_ address: MailAddress) { recipient = EnvelopeRecipient(address: address) }

    /// RFC 3461 §4: NOTIFY and ORCPT, checked as those of a client are.
    package init(_ address: MailAddress, parameters: [UInt8]) {
        self.init(address)
        var made = recipient
        ignored = MilterParameters.take(parameters) { word in
            let context = MilterParameters.context
            // What is wrong behind a value takes the value with it.
            var trial = made
            guard ParameterParser.rcpt(word, from: 0, into: &trial, context) == nil else { return false }
            made = trial
            return true
        }
        recipient = made
    }
}

/// The sender that a filter puts in place of the message's own, with the ESMTP parameters of its wish that mean something
/// here.
package struct MilterSender: Sendable, Hashable {
    /// nil: the null sender.
    package var address: MailAddress?
    package var ret: DSNReturn?
    /// Validated wire form (xtext).
    package var envid: [UInt8]?
    /// The message is to be sent as 8BITMIME; nothing makes it less than it came as.
    package var isEightBit = false
    package var smtpUTF8 = false
    package var requireTLS = false
    /// As in `MilterRecipient`.
    package var ignored: [UInt8] = []

    package init(_ address: MailAddress?) { self.address = address }

    /// RET, ENVID, BODY=8BITMIME, SMTPUTF8 and REQUIRETLS count; SIZE is passed over, for the size is known.
    package init(_ address: MailAddress?, parameters: [UInt8]) {
        self.init(address)
        var envelope = Envelope(sender: nil)
        var isRaised = false
        ignored = MilterParameters.take(parameters) { word in
            var trial = envelope
            trial.bodyType = .sevenBit
            let context = MilterParameters.context
            guard ParameterParser.mail(word, from: 0, into: &trial, context) == nil else { return false }
            envelope = trial
            guard MilterParameters.isKeyword("body", word) else { return true }
            // What the octets are is known better from the message: only the promise to the next server can be raised.
            isRaised = envelope.bodyType == .eightBitMIME
            return isRaised
        }
        isEightBit = isRaised
        ret = envelope.ret
        envid = envelope.envid
        smtpUTF8 = envelope.smtpUTF8
        requireTLS = envelope.requireTLS
    }

    /// What is honoured, put into an envelope. What an earlier filter or the client said and this one does not stays.
    package func apply(to envelope: inout Envelope) {
        envelope.sender = address
        if let ret { envelope.ret = ret }
        if let envid { envelope.envid = envid }
        if isEightBit, envelope.bodyType == .sevenBit { envelope.bodyType = .eightBitMIME }
        if smtpUTF8 { envelope.smtpUTF8 = true }
        if requireTLS { envelope.requireTLS = true }
    }
}

/// A filter's ESMTP parameters: words between blanks, of which each is looked at by itself, so that one that is wrong takes
/// no other with it.
enum MilterParameters {
    private static let octetsMax = 2_048
    private static let wordsMax = 16
    private static let ignoredMax = 256

    /// AUTH is not among them: nobody logged in by what a filter says.
    static let context = ParameterParser.Context(underTLS: true, offersAuth: false, sizeMax: .max, utf8: false)

    /// The words that `honour`, which gets each behind a blank, does not take; a second one of the same keyword neither.
    static func take(_ parameters: [UInt8], _ honour: (Span<UInt8>) -> Bool) -> [UInt8] {
        guard !parameters.isEmpty else { return [] }
        guard parameters.count <= octetsMax else { return MilterText.line(parameters, octetsMax: ignoredMax) }
        var seen: Set<[UInt8]> = []
        var ignored: [UInt8] = []
        var words = 0
        for word in parameters.split(whereSeparator: { $0 == ASCII.space || $0 == ASCII.tab }) {
            words += 1
            let key = ASCII.lowercased(Array(word.prefix { $0 != ASCII.equals }))
            let line = [ASCII.space] + word
            if words <= wordsMax, seen.insert(key).inserted, honour(line.span) { continue }
            if !ignored.isEmpty { ignored.append(ASCII.space) }
            ignored += word
        }
        return MilterText.line(ignored, octetsMax: ignoredMax)
    }

    static func isKeyword(_ keyword: StaticString, _ word: Span<UInt8>) -> Bool {
        let end = 1 + keyword.utf8CodeUnitCount
        guard word.count >= end, word.count == end || word[end] == ASCII.equals else { return false }
        return ASCII.equalIgnoringCase(word.extracting(1..<end), keyword)
    }
}
