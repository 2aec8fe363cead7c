package import Protocols

/// Told on the workers' threads what they do; must not block. The server connects it to metrics and log.
package protocol DeliveryObserver: AnyObject, Sendable {
    func connectionOpened(isTLS: Bool)
    func connectionReused()
    func connectionClosed()
    /// A connection could not be made or used: what failed.
    func hostFailed(_ failure: DeliveryFailure, host: [UInt8])
    /// One host's part in one job is over. `octets`: of the message, when it was handed over.
    func attempted(_ attempt: AttemptRecord, octets: Int)
    func stageTook(_ stage: DeliveryStage, seconds: Double)
    func jobEnded(_ site: SiteEvent, seconds: Double)
}

/// What is timed of a delivery.
package enum DeliveryStage: String, Sendable, Hashable, CaseIterable {
    /// DNS and policies.
    case plan
    case connect
    /// To the greeting.
    case greeting
    /// The handshake, and what comes before and after it.
    case tls
    /// MAIL to the last RCPT's reply (to DATA's, when pipelined).
    case envelope
    /// From the body's first octet to the last reply.
    case body
}

extension DeliveryObserver {
    package func connectionOpened(isTLS: Bool) {}
    package func connectionReused() {}
    package func connectionClosed() {}
    package func hostFailed(_ failure: DeliveryFailure, host: [UInt8]) {}
    package func attempted(_ attempt: AttemptRecord, octets: Int) {}
    package func stageTook(_ stage: DeliveryStage, seconds: Double) {}
    package func jobEnded(_ site: SiteEvent, seconds: Double) {}
}

/// For those who do not count.
package final class SilentDeliveryObserver: DeliveryObserver {
    package init() {}
}
