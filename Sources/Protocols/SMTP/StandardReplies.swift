import Base

/// Every text the receiver sends, but for EHLO's keywords (`Capability`) and what a driver's refusal carries.
package enum StandardReplies {
    package static let ok = Reply(250, EnhancedStatus(2, 0, 0), "Ok")
    package static let senderOk = Reply(250, EnhancedStatus(2, 1, 0), "Ok")
    package static let recipientOk = Reply(250, EnhancedStatus(2, 1, 5), "Ok")
    package static let startData = Reply(354, nil, "End data with <CR><LF>.<CR><LF>")
    package static let help = Reply(
        214, EnhancedStatus(2, 0, 0),
        "Commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT STARTTLS AUTH (RFC 5321)")
    package static let helpLMTP = Reply(
        214, EnhancedStatus(2, 0, 0),
        "Commands: LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT STARTTLS (RFC 2033)")
    package static let goodbye = Reply(221, EnhancedStatus(2, 0, 0), "Bye")
    package static let readyForTLS = Reply(220, EnhancedStatus(2, 0, 0), "Ready to start TLS")
    package static let cannotVerify = Reply(
        252, EnhancedStatus(2, 5, 2), "Cannot verify; will accept mail and attempt delivery")
    package static let authenticated = Reply(235, EnhancedStatus(2, 7, 0), "Authentication succeeded")

    package static let timeout = Reply(421, EnhancedStatus(4, 4, 2), "Timeout, closing connection")
    package static let dataTimeout = Reply(
        421, EnhancedStatus(4, 4, 2), "Timeout while waiting for the message, closing connection")
    package static let shutdown = Reply(421, EnhancedStatus(4, 3, 2), "Server shutting down, try again later")
    package static let tooManyErrors = Reply(421, EnhancedStatus(4, 7, 0), "Too many errors, closing connection")
    package static let foreignProtocol = Reply(
        421, EnhancedStatus(4, 7, 0), "This is a mail server, closing connection")
    package static let lineEndless = Reply(421, EnhancedStatus(4, 7, 0), "Line far too long, closing connection")
    package static let drainLimit = Reply(421, EnhancedStatus(4, 3, 4), "Message far too big, closing connection")
    package static let tooManyMessages = Reply(452, EnhancedStatus(4, 7, 0), "Too many messages in one connection")
    package static let tooManyRecipients = Reply(452, EnhancedStatus(4, 5, 3), "Too many recipients")
    package static let localError = Reply(451, EnhancedStatus(4, 3, 0), "Local error, try again later")

    package static let unknownCommand = Reply(500, EnhancedStatus(5, 5, 1), "Command not recognised")
    package static let bareLineEnding = Reply(
        500, EnhancedStatus(5, 5, 2), "Lines end with CR LF; a bare LF is not accepted")
    package static let badOctet = Reply(500, EnhancedStatus(5, 5, 2), "Control character in command")
    package static let lineTooLong = Reply(500, EnhancedStatus(5, 5, 6), "Line too long")
    package static let syntax = Reply(501, EnhancedStatus(5, 5, 4), "Syntax error in parameters")
    package static let noArguments = Reply(501, EnhancedStatus(5, 5, 4), "No arguments allowed")
    package static let heloName = Reply(501, EnhancedStatus(5, 5, 4), "A domain or address literal is needed")
    package static let senderSyntax = Reply(501, EnhancedStatus(5, 1, 7), "Bad sender address syntax")
    package static let recipientSyntax = Reply(501, EnhancedStatus(5, 1, 3), "Bad recipient address syntax")
    package static let badParameter = Reply(501, EnhancedStatus(5, 5, 4), "Bad value of a parameter")
    package static let duplicateParameter = Reply(501, EnhancedStatus(5, 5, 4), "Duplicate parameter")
    package static let badBase64 = Reply(501, EnhancedStatus(5, 5, 2), "Cannot decode the response")
    package static let authCancelled = Reply(501, EnhancedStatus(5, 7, 0), "Authentication cancelled")
    package static let bdatSyntax = Reply(
        501, EnhancedStatus(5, 5, 4), "Syntax: BDAT octets [LAST]; closing connection")
    package static let notImplemented = Reply(502, EnhancedStatus(5, 5, 1), "Command not implemented")
    package static let needsHello = Reply(503, EnhancedStatus(5, 5, 1), "EHLO or HELO first")
    package static let needsLHLO = Reply(503, EnhancedStatus(5, 5, 1), "LHLO first")
    package static let needsMail = Reply(503, EnhancedStatus(5, 5, 1), "MAIL first")
    package static let needsRecipient = Reply(503, EnhancedStatus(5, 5, 1), "RCPT first")
    package static let nestedMail = Reply(503, EnhancedStatus(5, 5, 1), "A transaction is already open")
    package static let inChunks = Reply(
        503, EnhancedStatus(5, 5, 1), "BDAT has begun; only BDAT, RSET, NOOP or QUIT may follow")
    package static let chunkFailed = Reply(503, EnhancedStatus(5, 5, 1), "An earlier chunk failed; RSET first")
    package static let binaryNeedsBDAT = Reply(503, EnhancedStatus(5, 5, 1), "BODY=BINARYMIME needs BDAT")
    package static let tlsActive = Reply(503, EnhancedStatus(5, 5, 1), "TLS is already active")
    package static let alreadyAuthenticated = Reply(503, EnhancedStatus(5, 5, 1), "Already authenticated")
    package static let authInTransaction = Reply(
        503, EnhancedStatus(5, 5, 1), "AUTH is not allowed during a transaction")
    package static let unknownMechanism = Reply(504, EnhancedStatus(5, 5, 4), "Unknown authentication mechanism")
    package static let needsTLS = Reply(530, EnhancedStatus(5, 7, 0), "Must issue a STARTTLS command first")
    package static let needsAuth = Reply(530, EnhancedStatus(5, 7, 0), "Authentication required")
    package static let authNeedsTLS = Reply(538, EnhancedStatus(5, 7, 11), "Encryption required for authentication")
    package static let bareInData = Reply(
        550, EnhancedStatus(5, 6, 0), "Message refused: bare CR or LF in it; closing connection")
    package static let textLineTooLong = Reply(550, EnhancedStatus(5, 6, 0), "Message refused: a line is too long")
    package static let messageTooBig = Reply(552, EnhancedStatus(5, 3, 4), "Message exceeds the size limit")
    package static let headerTooBig = Reply(552, EnhancedStatus(5, 3, 4), "Header section exceeds the size limit")
    package static let senderNeedsUTF8 = Reply(550, EnhancedStatus(5, 6, 7), "Non-ASCII address without SMTPUTF8")
    package static let addressNeedsUTF8 = Reply(553, EnhancedStatus(5, 6, 7), "Non-ASCII address without SMTPUTF8")
    package static let badUTF8Domain = Reply(501, EnhancedStatus(5, 1, 2), "Not a valid internationalised domain name")
    package static let noValidRecipients = Reply(554, EnhancedStatus(5, 5, 1), "No valid recipients")
    package static let hopLimit = Reply(554, EnhancedStatus(5, 4, 6), "Too many hops: mail loop")
    package static let unknownParameter = Reply(555, EnhancedStatus(5, 5, 4), "Unknown parameter")

    private static let queuedAs = Array("Ok: queued as ".utf8)
    private static let octetsReceived = Array(" octets received".utf8)

    package static func queued(_ id: MessageID) -> Reply {
        Reply(code: 250, enhanced: EnhancedStatus(2, 0, 0), text: queuedAs + id.text)
    }

    static func chunkReceived(_ octets: UInt64) -> Reply {
        var text: [UInt8] = []
        text.append(decimal: octets)
        text.append(contentsOf: octetsReceived)
        return Reply(code: 250, enhanced: EnhancedStatus(2, 0, 0), text: text)
    }
}
