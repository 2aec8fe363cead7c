import Base
package import Reactor

/// One mail filter (milter) as configured: where it listens and what happens without it. A value of the configuration;
/// the loops look at it by name.
package struct MilterServer: Sendable, Equatable {
    package enum FailurePolicy: String, Sendable, CaseIterable {
        /// The message goes on without the filter.
        case accept
        /// 451 4.7.1.
        case tempfail
    }

    /// What a domain's policy and the log call it; lower case.
    package let name: [UInt8]
    package let target: ConnectTarget
    /// For one answer, or ten times as long while the filter reports progress (`MilterLimits.endSecondsMax` at most).
    /// Connecting may take a third of it.
    package let timeoutSeconds: Double
    package let onFailure: FailurePolicy

    package init(
        name: [UInt8], target: ConnectTarget, timeoutSeconds: Double = 30, onFailure: FailurePolicy = .tempfail
    ) {
        self.name = name
        self.target = target
        self.timeoutSeconds = timeoutSeconds
        self.onFailure = onFailure
    }

    /// `127.0.0.1:11332`, `[::1]:8891`, `unix:/run/filter.sock`; nil when it is none of these.
    package static func target(_ text: String) -> ConnectTarget? {
        if text.hasPrefix("unix:/"), text.utf8.count > 6, text.utf8.count < 5 + 108 {
            return .unix(path: String(text.dropFirst(5)))
        }
        guard let address = ListenAddress(text), let socket = SocketAddress(ip: address.host, port: address.port),
            address.port > 0
        else { return nil }
        return .inet(socket)
    }
}

extension Configuration {
    /// Of all filters, also those that are switched off; lower case.
    package var milterNames: [[UInt8]] { milters.map { ASCII.lowercased(Array($0.name.utf8)) } }

    /// The filters that look at what comes in by listeners of `kind`, in their order.
    package func milterServers(for kind: Listener.Kind) -> [MilterServer] {
        milters.compactMap { filter in
            guard filter.isEnabled, filter.listeners.contains(kind), let target = MilterServer.target(filter.address)
            else { return nil }
            return MilterServer(
                name: ASCII.lowercased(Array(filter.name.utf8)), target: target,
                timeoutSeconds: Double(filter.timeoutSeconds), onFailure: filter.onFailure)
        }
    }
}
