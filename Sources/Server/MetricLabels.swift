import Telemetry

/// Which kind of listener a peer came in by.
package enum ListenerLabel: Int, MetricLabel {
    case mx, submission, submissions, lmtp
    package static var label: String { "listener" }
}

package enum ConnectionResult: Int, MetricLabel {
    case accepted, limit, limitPerIP, rate, shutdown, error
    package static var label: String { "result" }
    package var text: String {
        switch self {
        case .limitPerIP: "limit_per_ip"
        case .accepted, .limit, .rate, .shutdown, .error: "\(self)"
        }
    }
}

/// The SMTP verbs, and `other` for what is none.
package enum VerbLabel: Int, MetricLabel {
    case ehlo, helo, lhlo, mail, rcpt, data, bdat, rset, noop, quit, vrfy, expn, help, starttls, auth, other
    package static var label: String { "verb" }
}

/// The first digit of a reply code.
package enum ReplyClass: Int, MetricLabel {
    case success, intermediate, transient, permanent
    package static var label: String { "class" }
    package var text: String { "\(rawValue + 2)xx" }

    /// The class of a reply code; a code below 200 or above 599 counts as its nearest class.
    package init(code: Int) {
        switch code {
        case ..<300: self = .success
        case 300..<400: self = .intermediate
        case 400..<500: self = .transient
        default: self = .permanent
        }
    }
}

package enum MessageResult: Int, MetricLabel {
    case accepted, rejected, deferred, aborted
    package static var label: String { "result" }
}

package enum RecipientResult: Int, MetricLabel {
    case accepted, unknown, relayDenied, tooMany, rejected, deferred
    package static var label: String { "result" }
    package var text: String {
        switch self {
        case .relayDenied: "relay_denied"
        case .tooMany: "too_many"
        case .accepted, .unknown, .rejected, .deferred: "\(self)"
        }
    }
}

package enum TLSVersionLabel: Int, MetricLabel {
    case tls12, tls13, unknown
    package static var label: String { "version" }
}

package enum TLSResultLabel: Int, MetricLabel {
    case established, resumed, failed
    package static var label: String { "result" }
}

package enum AuthMechanismLabel: Int, MetricLabel {
    case plain, login, scramSHA256, other
    package static var label: String { "mechanism" }
    package var text: String {
        switch self {
        case .scramSHA256: "scram_sha_256"
        case .plain, .login, .other: "\(self)"
        }
    }
}

package enum AuthResultLabel: Int, MetricLabel {
    case success, failure, error
    package static var label: String { "result" }
}

/// Whose mailbox was full.
package enum MailboxLabel: Int, MetricLabel {
    case reactor, store, worker
    package static var label: String { "mailbox" }
}

package enum ReloadResult: Int, MetricLabel {
    case applied, refused
    package static var label: String { "result" }
}

package enum ControlResult: Int, MetricLabel {
    case ok, refused, failed
    package static var label: String { "result" }
}
