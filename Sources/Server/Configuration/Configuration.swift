/// Everything an operator can set, typed and checked. Built by `LoadedConfiguration` from `ConfigSchema`, which also holds
/// each key's range and meaning; the defaults are the initial values below. Immutable once the server runs: a reload
/// makes a new one.
package struct Configuration: Sendable, Equatable {
    package var server = Host()
    package var smtp = SMTP()
    package var milters: [Milter] = []
    package var tls = TLS()
    package var dns = DNS()
    package var store = StoreFiles()
    package var delivery = Outbound()
    package var mtaSTS = MTASTS()
    package var web = Web()
    package var metrics = Metrics()
    package var control = Control()
    package var auth = Auth()
    package var ledger = Ledger()
    package var dmarc = DMARC()
    package var tlsrpt = TLSReporting()
    package var pressure = Pressure()
    package var logging = Logging()

    package init() {}

    package struct Host: Sendable, Equatable {
        /// Empty: the system's host name; read `Configuration.hostname`.
        package var hostname = ""
    }

    package struct SMTP: Sendable, Equatable {
        package var listeners = [
            Listener(address: ListenAddress(host: "0.0.0.0", port: 25), kind: .mx),
            Listener(address: ListenAddress(host: "0.0.0.0", port: 587), kind: .submission),
            Listener(address: ListenAddress(host: "0.0.0.0", port: 465), kind: .submissions),
        ]
        /// 0: one for each core but one.
        package var reactors = 0
        /// Who may relay without AUTH.
        package var relayNetworks: [IPNetwork] = []
        /// Whose PROXY headers are believed.
        package var proxyNetworks: [IPNetwork] = []
        /// Whose LMTP is taken, besides this machine's.
        package var lmtpNetworks: [IPNetwork] = []
        package var maxConnections = 10_000
        package var maxConnectionsPerIP = 1_000
        /// 0: no limit.
        package var maxConnectionsPerNetwork = 0
        package var maxHeldSessions = 2_500
        /// Held to no limit but the total of connections.
        package var trustedNetworks: [IPNetwork] = []
        package var maxMessageSize = 50 << 20
        package var maxRecipients = 1_000
        /// Rejected commands of one session before it is closed.
        package var maxErrors = 20
        /// The banner is kept back so long from clients that are not known; 0: it is not.
        package var greetWaitMilliseconds = 0
        package var commandTimeoutSeconds = 300
        package var dataTimeoutSeconds = 600
        package var rateLimit = RateLimit()
    }

    /// Per client address; 0 is no limit.
    package struct RateLimit: Sendable, Equatable {
        package var connectionsPerMinute = 0
        package var messagesPerMinute = 0
        package var recipientsPerMinute = 0
        /// In ten minutes.
        package var failedLogins = 10
        /// A network may have so many times each of them.
        package var networkFactor = 4
        /// Of one user, from wherever.
        package var accountMessagesPerHour = 300
        package var accountRecipientsPerHour = 1_000
        /// Addresses.
        package var accountExempt: [String] = []
    }

    package struct Listener: Sendable, Equatable {
        package var address: ListenEndpoint
        package var kind: Kind
        package var tls: TLSUse
        package var proxyProtocol = false
        package var sessionTickets = true
        /// Of a Unix socket.
        package var mode = SocketMode.group

        /// `tls` nil: what the kind usually does.
        package init(address: ListenAddress, kind: Kind, tls: TLSUse? = nil) {
            self.init(endpoint: .inet(address), kind: kind, tls: tls)
        }

        package init(endpoint: ListenEndpoint, kind: Kind, tls: TLSUse? = nil) {
            address = endpoint
            self.kind = kind
            self.tls = tls ?? kind.usualTLS
        }

        package enum Kind: String, Sendable, CaseIterable {
            /// Mail from other servers.
            case mx
            /// Mail from users: STARTTLS, then AUTH (RFC 6409).
            case submission
            /// Mail from users, TLS from the first byte (RFC 8314).
            case submissions
            /// Mail from a front end of ours, for mailboxes here (RFC 2033).
            case lmtp

            package var usualTLS: TLSUse {
                switch self {
                case .mx, .submission: .starttls
                case .submissions: .required
                case .lmtp: .off
                }
            }
        }

        /// Who may connect to a Unix socket.
        package enum SocketMode: String, Sendable, CaseIterable {
            case owner = "0600"
            case group = "0660"
            case everybody = "0666"

            package var bits: UInt32 {
                switch self {
                case .owner: 0o600
                case .group: 0o660
                case .everybody: 0o666
                }
            }
        }

        package enum TLSUse: String, Sendable, CaseIterable {
            /// Written `none`.
            case off = "none"
            case starttls
            /// On `submissions` TLS from the first byte, elsewhere no mail before STARTTLS.
            case required
        }
    }

    package struct TLS: Sendable, Equatable {
        package var mode = Mode.selfSigned
        package var certificates: [CertificateFiles] = []
        package var minVersion = Version.tls12
        package var sessionTickets = true
        package var acme = ACME()

        package enum Mode: String, Sendable, CaseIterable {
            case selfSigned = "self-signed"
            case files, acme
        }

        package enum Version: String, Sendable, CaseIterable {
            case tls12 = "1.2"
            case tls13 = "1.3"
        }
    }

    /// PEM files; the first pair also serves clients that name no host.
    package struct CertificateFiles: Sendable, Equatable {
        package var certificate: String
        package var key: String
        /// Host names it is for; empty: those in the certificate.
        package var names: [String]
    }

    package struct ACME: Sendable, Equatable {
        package var directory = "https://acme-v02.api.letsencrypt.org/directory"
        package var email = ""
        package var names: [String] = []
        package var agreeToTerms = false
    }

    package struct DNS: Sendable, Equatable {
        /// Resolvers to ask, `address` or `address@port`; empty: ask the root servers ourselves.
        package var forward: [String] = []
        package var trustAnchorFile = ""
        package var rootHints = ""
        package var timeoutSeconds = 20
    }

    package struct StoreFiles: Sendable, Equatable {
        package var path = "/var/lib/martlet"
        package var minFreeBytes = 256 << 20
    }

    package struct Outbound: Sendable, Equatable {
        package var queueWorkers = 2
        package var retryIntervalSeconds = [300, 900, 1_800, 3_600, 7_200, 14_400]
        package var maxAgeSeconds = 5 * 86_400
        package var delayWarningSeconds = 4 * 3_600
        package var routes: [Route] = []
        package var port = 25
        package var localAddresses: [String] = []
        package var maxConnectionsPerDestination = 20
        /// To one destination; 0: no limit.
        package var maxMessagesPerMinute = 0
        /// PEM file of the roots that other servers' certificates are checked against; empty: the system's.
        package var caFile = ""
    }

    /// Fetching other domains' MTA-STS policies.
    package struct MTASTS: Sendable, Equatable {
        package var port = 443
        package var allowPrivate = false
    }

    /// Mail for `domain` (`*`: any) goes to `to` and not to its MX.
    package struct Route: Sendable, Equatable {
        package var domain: String
        package var to: String
        package var port: Int
        package var transport: Transport
        /// `user:password`, or `file:PATH` holding that; empty: no AUTH.
        package var auth: String
        package var tls: TLSUse

        package enum Transport: String, Sendable, CaseIterable { case smtp, lmtp }
        package enum TLSUse: String, Sendable, CaseIterable {
            case off = "none"
            case opportunistic, required, verified
        }
    }

    package struct Web: Sendable, Equatable { package var listen: ListenAddress? }

    package struct Metrics: Sendable, Equatable {
        package var listen: ListenAddress? = ListenAddress(host: "127.0.0.1", port: 9154)
    }

    package struct Control: Sendable, Equatable {
        /// Empty: `control.sock` in the store; read `Configuration.controlSocketPath`.
        package var socket = ""
    }

    /// The record of decisions.
    package struct Ledger: Sendable, Equatable {
        package var enabled = true
        package var maxSizeBytes = 2 << 30
        package var maxAgeSeconds = 30 * 86_400
    }

    /// The checks of mail from elsewhere.
    package struct Auth: Sendable, Equatable {
        package var enabled = true
        package var timeoutSeconds = 20
        package var maxQuestions = 256
        package var bimi = true
    }

    package struct DMARC: Sendable, Equatable {
        package var mode = Mode.rfc9989
        package var sendReports = false
        package enum Mode: String, Sendable, CaseIterable { case rfc9989, rfc7489 }
    }

    package struct TLSReporting: Sendable, Equatable { package var sendReports = false }

    /// What is given up when the server runs short of something.
    package struct Pressure: Sendable, Equatable {
        package var enabled = true
        /// 0: the control group's, or the machine's.
        package var memoryLimitBytes = 0
        package var commitLatencyMilliseconds = 250
    }

    package struct Logging: Sendable, Equatable {
        package var level = Level.info
        package var format = Format.text
        package enum Level: String, Sendable, CaseIterable { case debug, info, notice, warning, error }
        package enum Format: String, Sendable, CaseIterable { case text, json }
    }
}
