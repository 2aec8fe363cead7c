import Base
import Protocols

extension Explanation {
    mutating func add(_ attempts: [AttemptRecord], _ pending: [Pending]) {
        add("Delivery", attempts.flatMap(Self.attempt))
        add("Waiting", pending.map(Self.waiting))
        var seen: Set<String> = Set(remedies)
        for remedy in attempts.flatMap(Self.remedies) where seen.insert(remedy).inserted { remedies.append(remedy) }
    }

    private static func attempt(_ attempt: AttemptRecord) -> [String] {
        var head = "\(ShownText.utc(attempt.began)) for \(attempt.destination.shownText)"
        if attempt.host.isEmpty {
            head += attempt.recipients.isEmpty ? ": the domain's policy" : ": no host to try"
        } else {
            head += " at \(attempt.host.shownText)"
            if !attempt.address.isEmpty { head += " [\(attempt.address.shownText)]:\(attempt.port)" }
            if attempt.isReused { head += ", connection used before" }
        }
        var out = [head + ", \(ShownText.duration(attempt.elapsedMicroseconds))"]
        if !attempt.banner.isEmpty { out.append("  greeted as: \(attempt.banner.shownText)") }
        if let tls = attempt.tls { out += self.tls(tls).map { "  " + $0 } }
        for recipient in attempt.recipients {
            out.append("  \(ShownText.path(recipient.address)): \(result(recipient.result))")
        }
        return out
    }

    private static func tls(_ tls: AttemptRecord.TLS) -> [String] {
        var out: [String] = []
        var line = "tls: "
        if tls.version.isEmpty {
            line += "none"
        } else {
            line += "\(tls.version.shownText) \(tls.cipher.shownText)"
            if !tls.group.isEmpty { line += ", group \(tls.group.shownText)" }
            line += tls.hasForwardSecrecy ? ", forward secrecy" : ", no forward secrecy"
            line += tls.isVerified ? ", verified" : ", not verified"
        }
        if tls.result != .success {
            line += ", \(tls.result.rawValue)"
            if tls.isTesting { line += " (in testing, not enforced)" }
        }
        if !tls.detail.isEmpty { line += " (\(tls.detail.shownText))" }
        out.append(line)
        if !tls.requirement.isEmpty { out.append("asked for: \(tls.requirement.shownText)") }
        for policy in tls.policies {
            let text = policy.strings.map(\.shownText).joined(separator: " | ")
            out.append(
                "policy \(policy.type.rawValue) of \(policy.domain.shownText)" + (text.isEmpty ? "" : ": \(text)"))
        }
        if let certificate = tls.certificate {
            out.append(
                "certificate: \(certificate.subject.shownText), \(certificate.key.shownText), by "
                    + "\(certificate.issuer.shownText), until \(ShownText.utc(WallTime(seconds: certificate.notAfter)))"
            )
        }
        return out
    }

    private static func result(_ result: AttemptRecord.Result) -> String {
        switch result {
        case .delivered(let code, let text): "delivered: \(code) \(text.shownText)"
        case .failed(let failure):
            "\(failure.permanence == .permanent ? "failed" : "deferred"): \(self.failure(failure))"
        case .passedOn(let failure): "tried at the next host: \(self.failure(failure))"
        }
    }

    private static func failure(_ failure: DeliveryFailure) -> String {
        let code = failure.code.map { "\($0) " } ?? ""
        let host = failure.host.isEmpty ? "" : ", said \(failure.host.shownText)"
        return "\(code)\(failure.status.shownText) \(failure.text.shownText) (\(failure.source.rawValue)\(host))"
    }

    private static func waiting(_ pending: Pending) -> String {
        var out = "\(ShownText.path(pending.recipient)): next attempt at \(ShownText.utc(pending.next))"
        out += " after \(pending.attempts) " + (pending.attempts == 1 ? "attempt" : "attempts")
        if !pending.reason.isEmpty { out += ", last: \(pending.reason.shownText)" }
        return out
    }

    private static func remedies(_ attempt: AttemptRecord) -> [String] {
        attempt.recipients.compactMap { recipient in
            switch recipient.result {
            case .delivered, .passedOn: nil
            case .failed(let failure): remedy(failure, recipient.address, attempt)
            }
        }
    }

    private static func remedy(_ failure: DeliveryFailure, _ address: [UInt8], _ attempt: AttemptRecord) -> String {
        let domain = attempt.destination.shownText
        let host = attempt.host.isEmpty ? domain : attempt.host.shownText
        let isPermanent = failure.permanence == .permanent
        switch failure.source {
        case .remote:
            return isPermanent
                ? "\(host) refuses \(ShownText.path(address)): its words say why; the address or the message has to change"
                : "\(host) asked to come back later; nothing to do but wait"
        case .dns:
            return isPermanent
                ? "\(domain) cannot get mail as its DNS stands: check the address for a typing mistake"
                : "DNS did not answer for \(domain); `martlet check route` shows what it says now"
        case .network:
            return
                "\(host) cannot be reached: check the way to port \(attempt.port == 0 ? 25 : Int(attempt.port)) from here "
                + "(firewall, IPv6), or wait until it is back"
        case .tls:
            let (named, of) = (
                ShownText.argument(attempt.host.isEmpty ? attempt.destination : attempt.host, or: "HOST"),
                ShownText.argument(attempt.destination, or: "DOMAIN")
            )
            return "\(host) does not show the TLS that is asked for: `martlet check dane \(named)` and "
                + "`martlet check mta-sts \(of)` show what it publishes; its operators have to repair it"
        case .local: return "the cause is here: \(failure.text.shownText)"
        }
    }
}
