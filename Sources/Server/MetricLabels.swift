package import Protocols
import Telemetry

/// Which kind of listener a peer came in by.
package enum ListenerLabel: Int, MetricLabel {
    case mx, submission, submissions, lmtp
    package static var label: String { "listener" }
}

package enum ConnectionResult: Int, MetricLabel {
    case accepted, limit, limitPerIP, limitPerNetwork, rate, failedLogins, pressure, proxy, frontEnd, shutdown, error
    package static var label: String { "result" }
    package var text: String {
        switch self {
        case .limitPerIP: "limit_per_ip"
        case .limitPerNetwork: "limit_per_network"
        case .failedLogins: "failed_logins"
        case .frontEnd: "no_front_end"
        case .accepted, .limit, .rate, .pressure, .proxy, .shutdown, .error: "\(self)"
        }
    }
}

/// The SMTP verbs, and `other` for what is none or is not implemented.
package enum VerbLabel: Int, MetricLabel {
    case ehlo, helo, mail, rcpt, data, bdat, rset, noop, vrfy, expn, help, quit, starttls, auth, lhlo, other
    package static var label: String { "verb" }

    /// The first cases are those of `Verb`, in its order.
    package init(_ verb: Verb?) { self = verb.flatMap { VerbLabel(rawValue: Int($0.rawValue)) } ?? .other }
}

/// The first digit of a reply code.
package enum ReplyClass: Int, MetricLabel {
    case success, intermediate, transient, permanent
    package static var label: String { "class" }
    package var text: String { "\(rawValue + 2)xx" }

    /// From the first digit; one that is none counts as a permanent refusal.
    package init(_ digit: Int) { self = ReplyClass(rawValue: digit - 2) ?? .permanent }
}

package enum MessageResult: Int, MetricLabel {
    case accepted, rejected, deferred, aborted, discarded
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
