/// MAIL's BODY parameter (RFC 6152, RFC 3030).
package enum BodyType: UInt8, Sendable { case sevenBit, eightBitMIME, binaryMIME }

/// MAIL's RET parameter (RFC 3461 §4.3).
package enum DSNReturn: UInt8, Sendable { case full, headers }

/// RCPT's NOTIFY parameter (RFC 3461 §4.1). Empty means: not given.
package struct DSNNotify: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package static let never = DSNNotify(rawValue: 1)
    package static let success = DSNNotify(rawValue: 2)
    package static let failure = DSNNotify(rawValue: 4)
    package static let delay = DSNNotify(rawValue: 8)

    /// As NOTIFY's value is written; empty: not given.
    package var text: String {
        let names: [(DSNNotify, String)] = [
            (.never, "NEVER"), (.success, "SUCCESS"), (.failure, "FAILURE"), (.delay, "DELAY"),
        ]
        return names.filter { contains($0.0) }.map(\.1).joined(separator: ",")
    }

    /// For who is not to tell of success: what else was asked; nothing at all when that was all.
    package var withoutSuccess: DSNNotify {
        guard contains(.success) else { return self }
        let rest = subtracting(.success)
        return rest.isEmpty ? .never : rest
    }
}

/// One accepted recipient with its DSN parameters. `orcpt` is the validated wire form (`rfc822;xtext`).
package struct EnvelopeRecipient: Sendable, Hashable {
    package var address: MailAddress
    package var notify: DSNNotify
    package var orcpt: [UInt8]?

    package init(address: MailAddress, notify: DSNNotify = [], orcpt: [UInt8]? = nil) {
        self.address = address
        self.notify = notify
        self.orcpt = orcpt
    }
}

/// What the TLS layer knows of the connection. Texts are OpenSSL's (`TLSv1.3`, `TLS_AES_256_GCM_SHA384`).
package struct TLSFacts: Sendable, Hashable {
    package var version: [UInt8]
    package var cipher: [UInt8]
    /// The name the client asked for, empty when none.
    package var serverName: [UInt8]

    package init(version: [UInt8], cipher: [UInt8], serverName: [UInt8] = []) {
        self.version = version
        self.cipher = cipher
        self.serverName = serverName
    }
}

/// Everything a transaction says about a message, and what was seen while its body passed. The later stages store it.
package struct Envelope: Sendable {
    /// Nil for the null reverse-path.
    package var sender: MailAddress?
    package var recipients: [EnvelopeRecipient] = []
    package var bodyType: BodyType = .sevenBit
    package var smtpUTF8 = false
    package var requireTLS = false
    package var ret: DSNReturn?
    /// Validated wire form (xtext), at most 100 octets.
    package var envid: [UInt8]?
    package var declaredSize: UInt64?
    /// MAIL's AUTH as it came (RFC 4954 §5), believed of nobody who did not log in.
    package var author: [UInt8]?
    /// Octets handed to the body sink.
    package var actualSize: UInt64 = 0
    package var helo: [UInt8] = []
    package var isESMTP = false
    /// Came by LMTP.
    package var isLMTP = false
    package var tls: TLSFacts?
    package var identity: [UInt8]?
    package var facts = MessageFacts()

    package init(sender: MailAddress?) { self.sender = sender }
}
