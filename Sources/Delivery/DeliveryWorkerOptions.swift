package import Protocols
package import Reactor

/// Every bound and name of the delivery workers. Immutable, the same for all of them; a reload gives them new ones.
package struct DeliveryWorkerOptions: Sendable {
    /// The EHLO argument: this server's name.
    package var helloName: [UInt8]
    /// Made with `TLSClientOptions.outbound`: the roots, and what is offered. Each session says what it verifies.
    package var tls: TLSContext
    /// The file of its roots; nil: the system's.
    package var rootsPath: String?
    /// Where connections come from, by family; nil: as the system chooses.
    package var sourceIPv4: IPAddress?
    package var sourceIPv6: IPAddress?
    /// Jobs one worker holds, waiting ones included.
    package var jobsPerWorker = 4_096
    package var connectionsPerWorker = 4_096
    /// To one host under one policy, in one worker.
    package var connectionsPerHost = 512
    /// Connections kept without work, in one worker, and for how long.
    package var idleConnectionsMax = 512
    package var idleSeconds = 5.0
    package var messagesPerConnection = 100
    /// Hosts tried for one job, and addresses of all of them together.
    package var hostsMax = 5
    package var addressesMax = 8
    /// For one connection to be made.
    package var connectSeconds = 30.0
    /// For one job to be planned.
    package var planSeconds = 60.0
    /// For greeting to authentication, all in all: a peer that sends an octet now and then gets no more.
    package var openingSeconds = 600.0
    /// For one transaction, all in all; a body gets more by its size.
    package var transactionSeconds = 1_200.0
    /// Octets a second below which a large body is not worth waiting for.
    package var bodyRateMin = 1_024.0
    /// Past this, no further host is tried.
    package var jobSeconds = 900.0
    /// Shortens the waits of RFC 5321 §4.5.3.2, for tests.
    package var stageScale = 1.0
    /// Plans kept, and for how long at most.
    package var plansMax = 4_096
    package var planKeepSeconds = 60.0
    /// A body that must be rewritten for a peer is read whole up to this.
    package var rewriteBytesMax = 32 << 20
    /// Octets of a body in hand at once, for one connection.
    package var sliceBytes = 131_072

    /// How long an address that could not be reached is tried last, and one whose opportunistic TLS failed is spoken to
    /// in the clear.
    package var downSeconds = 60.0
    package var plainSeconds = 600.0

    package init(helloName: [UInt8], tls: TLSContext) {
        self.helloName = helloName
        self.tls = tls
    }
}
