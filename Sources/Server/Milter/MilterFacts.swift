package import Base
package import Protocols

/// What filters are told of a client when a session begins, and of its HELO. Made by the SMTP driver, at MAIL.
package struct MilterConnectFacts: Sendable, Equatable {
    /// The outcome of reverse DNS, as `{client_resolve}` says it.
    package enum Resolved: String, Sendable {
        case ok = "OK"
        case fail = "FAIL"
        case forged = "FORGED"
        case temporary = "TEMP"
    }

    /// Ours.
    package var hostname: [UInt8] = []
    /// The listener: `mx`, `submission`…
    package var daemonName: [UInt8] = []
    /// The verified reverse name of the client; empty: none is known.
    package var clientName: [UInt8] = []
    /// What the address pointed to, verified or not.
    package var clientPointer: [UInt8] = []
    package var resolved = Resolved.fail
    /// False: the reverse name is being looked up, and nothing is said to a new filter until `MilterChain.named`.
    package var isNamed = true
    /// nil: a Unix socket.
    package var clientAddress: IPAddress?
    package var clientPort: UInt16 = 0
    /// Our end of the connection.
    package var localAddress: IPAddress?
    package var localPort: UInt16 = 0
    package var helo: [UInt8] = []
    /// Empty: no TLS.
    package var tlsVersion: [UInt8] = []
    package var cipher: [UInt8] = []
    package var cipherBits = 0
    /// Of the client's certificate; empty: it showed none.
    package var certificateSubject: [UInt8] = []
    package var certificateIssuer: [UInt8] = []
    /// When the connection was opened, for the events' times.
    package var began = Instant(nanoseconds: 0)

    package init() {}

    /// The host name of CONNECT: the verified name, or the address in brackets.
    var connectName: [UInt8] {
        if !clientName.isEmpty { return clientName }
        guard let clientAddress else { return Array("localhost".utf8) }
        return Array((clientAddress.isIPv4 ? "[\(clientAddress)]" : "[IPv6:\(clientAddress)]").utf8)
    }
}

/// What filters are told of a transaction at MAIL.
package struct MilterMail: Sendable, Equatable {
    /// The reverse-path without its brackets; empty: the null sender.
    package var sender: [UInt8]
    /// ESMTP parameters as they came, `SIZE=1000`.
    package var parameters: [[UInt8]] = []
    /// The id the message will have; empty: not known yet, see `MilterChain.messageID`.
    package var id: [UInt8] = []
    /// Who logged in; empty: nobody.
    package var authenticated: [UInt8] = []
    package var mechanism: [UInt8] = []
    /// For whom the message was submitted (MAIL's AUTH); empty: not said.
    package var author: [UInt8] = []
    /// Where mail for the sender would go.
    package var route = MilterRoute()

    package init(sender: [UInt8]) { self.sender = sender }
}

/// Where mail for an address goes, as `{mail_mailer}`, `{rcpt_host}` and their kind say it.
package struct MilterRoute: Sendable, Equatable {
    /// The domain it is sent to, or this host's name; empty: not known.
    package var host: [UInt8] = []
    /// `local`: it is kept here; `smtp`: it goes on.
    package var mailer: [UInt8] = []

    package init() {}

    package init(_ host: [UInt8], isLocal: Bool) {
        self.host = host
        mailer = Array((isLocal ? "local" : "smtp").utf8)
    }
}
