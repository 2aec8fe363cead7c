/// What a driver may want to know of the transaction to answer a question about it.
extension SMTPSession {
    /// MAIL's SIZE parameter; nil when it was not given or no transaction is open.
    package var declaredSize: UInt64? { transaction?.envelope.declaredSize }
}
