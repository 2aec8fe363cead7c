package import Base
package import Protocols
package import Store

/// What decides how a failed attempt goes on. Values and pure functions; given by the server, used on the scheduler's thread.
package struct OutcomeRules: Sendable {
    /// Seconds from now to the next attempt, given how many attempts there were (this one included) and 32 random bits.
    package var retrySeconds: @Sendable (_ attempts: Int, _ random: UInt32) -> Double
    /// `delivery.max_age`.
    package var maxAgeSeconds: Double
    /// `delivery.delay_warning`; 0: never.
    package var delayWarningSeconds: Double
    /// Makes the message that tells the sender, or nil when nobody is to be told (NOTIFY=NEVER, an unproven sender…). Its
    /// recipients are resolved already. Called on a store's reader thread, where the message can be read, once for each
    /// message and kind of news; again when the store failed.
    package var notice: Notice
    /// Where attempts are remembered for `explain`. Must not block.
    package var remember: @Sendable ([AttemptRecord]) -> Void

    /// The part that an operator may change while the server runs.
    package struct Times: Sendable {
        package var retrySeconds: @Sendable (_ attempts: Int, _ random: UInt32) -> Double
        package var maxAgeSeconds: Double
        package var delayWarningSeconds: Double

        package init(
            maxAgeSeconds: Double, delayWarningSeconds: Double,
            retrySeconds: @escaping @Sendable (_ attempts: Int, _ random: UInt32) -> Double
        ) {
            self.retrySeconds = retrySeconds
            self.maxAgeSeconds = maxAgeSeconds
            self.delayWarningSeconds = delayWarningSeconds
        }
    }

    /// What is decided from now on goes by these; rows keep the time they were put off until.
    package mutating func follow(_ times: Times) {
        retrySeconds = times.retrySeconds
        maxAgeSeconds = times.maxAgeSeconds
        delayWarningSeconds = times.delayWarningSeconds
    }

    package typealias Notice =
        @Sendable (DeliveryNotice, any StoreReaderSession) throws(StoreError) -> AcceptRequest?

    package init(
        _ times: Times, notice: @escaping Notice, remember: @escaping @Sendable ([AttemptRecord]) -> Void
    ) {
        retrySeconds = times.retrySeconds
        maxAgeSeconds = times.maxAgeSeconds
        delayWarningSeconds = times.delayWarningSeconds
        self.notice = notice
        self.remember = remember
    }
}

/// News of one message for its sender: what a delivery status notification is made of.
package struct DeliveryNotice: Sendable {
    package enum Kind: Sendable, Hashable { case failed, delayed, delivered, relayed }

    package struct Recipient: Sendable {
        package let recipient: RemoteRecipient
        /// Why, for failures and delays; the reply's words for the others.
        package let failure: DeliveryFailure?
        package let code: UInt16
        package let text: [UInt8]
        package let host: [UInt8]
        package let attempts: Int
    }

    package let kind: Kind
    package let message: StoredMessage
    /// The reverse-path the news goes to: the message's, or the one its forwarding gave it. Never empty.
    package let sender: [UInt8]
    package let recipients: [Recipient]
    package let now: WallTime
    /// When trying ends, for delays.
    package let until: WallTime
}
