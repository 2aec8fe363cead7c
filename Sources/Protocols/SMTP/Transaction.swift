/// The envelope under construction and the body's accounts. One box per transaction, none between transactions.
final class Transaction {
    var envelope: Envelope
    var recipientCommands = 0
    /// RCPT commands refused by the world outside or by us.
    var refusedRecipients = 0
    var scanner = MessageScanner()
    var unstuffer = DotUnstuffer()
    /// Octets of the body seen, kept or not.
    var octets: UInt64 = 0
    var bodyBegan = false
    var bodyDiscarded = false
    /// A chunk was refused: nothing but 503 until RSET (RFC 3030 §2).
    var chunkFailed = false

    init(_ envelope: Envelope) { self.envelope = envelope }
}
