import Base
import Protocols
import Store

extension ControlService {
    func tlsPeers(_ request: ControlTLSPeers, _ format: ControlFormat) -> ControlWork {
        let today = Int(hooks.now().seconds / 86_400)
        let from = today - min(max(request.days, 1), 400) + 1
        return .read { (session) throws(StoreError) in
            var peers: [TLSPeer] = []
            // Trouble with a policy as a whole is no server's.
            for row in try session.tlsResults(from: from, to: today) where !row.key.host.isEmpty {
                if let last = peers.last, last.newest.key.domain == row.key.domain, last.newest.key.host == row.key.host
                {
                    peers[peers.count - 1].add(row)
                } else {
                    peers.append(TLSPeer(row))
                }
            }
            let shown = peers.filter { !$0.meets(request.requirement) || request.requirement == .anything }
            var answer = Self.list(
                TLSPeer.header, TLSPeer.names, shown.map { $0.cells(format) },
                empty: request.requirement == .anything
                    ? "no sessions with other servers in the last \(request.days) days"
                    : "all \(peers.count) servers of the last \(request.days) days meet it", format)
            if request.requirement != .anything, !shown.isEmpty {
                answer.status = ExitStatus.problemsFound
                answer.complaint =
                    "\(shown.count) of \(peers.count) servers do not meet \(request.requirement.rawValue)"
            }
            return answer
        }
    }
}

/// One server under one destination, over some days.
private struct TLSPeer {
    private(set) var newest: TLSResultRow
    private var sessions: Int
    private var failures: Int

    init(_ row: TLSResultRow) {
        newest = row
        sessions = row.sessions
        failures = row.key.result == .success ? 0 : row.sessions
    }

    mutating func add(_ row: TLSResultRow) {
        sessions += row.sessions
        if row.key.result != .success { failures += row.sessions }
        if row.last >= newest.last { newest = row }
    }

    /// By what was seen last.
    func meets(_ requirement: ControlTLSPeers.Requirement) -> Bool {
        switch requirement {
        case .anything: true
        case .modern:
            newest.hasForwardSecrecy && [Array("TLSv1.2".utf8), Array("TLSv1.3".utf8)].contains(newest.version)
        case .verified: newest.isVerified && !newest.version.isEmpty
        }
    }

    static let header = [
        "DESTINATION", "HOST", "SESSIONS", "FAILED", "RESULT", "VERSION", "CIPHER", "GROUP", "PFS", "VERIFIED", "KEY",
        "EXPIRES", "LAST",
    ]
    static let names = [
        "destination", "host", "sessions", "failed", "result", "version", "cipher", "group", "forward_secrecy",
        "verified",
        "key", "expires", "last", "issuer", "detail", "policy",
    ]

    func cells(_ format: ControlFormat) -> [JSONValue] {
        func text(_ bytes: [UInt8]) -> JSONValue {
            bytes.isEmpty && format == .text ? .text("-") : .text(ControlText.shown(bytes))
        }
        var out: [JSONValue] = [
            text(newest.key.domain), text(newest.key.host), .integer(sessions), .integer(failures),
            .text(newest.key.result.rawValue), text(newest.version), text(newest.cipher), text(newest.group),
            .boolean(newest.hasForwardSecrecy), .boolean(newest.isVerified), text(newest.certificate?.key ?? []),
            newest.certificate.map { .text(ControlText.utc(WallTime(seconds: $0.notAfter))) } ?? .null,
            .text(ControlText.utc(newest.last)),
        ]
        if format == .json {
            out += [text(newest.certificate?.issuer ?? []), text(newest.detail), .text(newest.key.policy.rawValue)]
        }
        return out
    }
}
