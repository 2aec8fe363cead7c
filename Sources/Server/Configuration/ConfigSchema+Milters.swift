/// The row of the mail filters.
extension ConfigSchema {
    static let milterSettings = [
        ConfigSetting(
            key: "smtp.milters", type: .records(milterFields, countMax: 16), reloadable: true,
            sentence: "Mail filters (milters) that see mail as it comes in, in this order.",
            read: { .records($0.milters.map(record)) },
            write: { $0.milters = $1.objects.map(filter) })
    ]

    private static let milterFields = [
        ConfigField(
            name: "name", type: .text(.hostName), defaultText: nil,
            sentence: "What the log and the milters field of a domain's policy call it."),
        ConfigField(
            name: "address", type: .text(.connectAddress), defaultText: nil,
            sentence: "Where it listens: a numeric address and port, or unix: and the path of a socket."),
        ConfigField(
            name: "listeners",
            type: .list(of: .choice(Configuration.Listener.Kind.allCases.map(\.rawValue)), countMax: 4),
            defaultText: "mx", sentence: "The kinds of listeners whose mail it sees."),
        ConfigField(
            name: "timeout", type: .duration(1...120), defaultText: "30s", sentence: "How long one answer may take."),
        ConfigField(
            name: "on_failure", type: .choice(MilterServer.FailurePolicy.allCases.map(\.rawValue)),
            defaultText: "tempfail",
            sentence: "When it is away or too slow: mail passes without it (accept), or is put off with 451 (tempfail)."
        ),
        ConfigField(name: "enabled", type: .boolean, defaultText: "true", sentence: "Whether it is asked at all."),
    ]

    private static func record(_ m: Configuration.Milter) -> [String: ConfigValue] {
        [
            "name": .text(m.name), "address": .text(m.address),
            "listeners": .list(m.listeners.map { .text($0.rawValue) }), "timeout": .integer(m.timeoutSeconds),
            "on_failure": .text(m.onFailure.rawValue), "enabled": .boolean(m.isEnabled),
        ]
    }

    private static func filter(_ r: [String: ConfigValue]) -> Configuration.Milter {
        var out = Configuration.Milter(name: r["name"]?.text ?? "", address: r["address"]?.text ?? "")
        if let kinds = r["listeners"]?.texts {
            out.listeners = kinds.compactMap { Configuration.Listener.Kind(rawValue: $0) }
        }
        if let seconds = r["timeout"]?.number { out.timeoutSeconds = seconds }
        if let policy = r["on_failure"]?.text.flatMap({ MilterServer.FailurePolicy(rawValue: $0) }) {
            out.onFailure = policy
        }
        out.isEnabled = r["enabled"]?.flag ?? true
        return out
    }
}

extension Configuration {
    /// A mail filter.
    package struct Milter: Sendable, Equatable {
        package var name: String
        /// Read by `MilterServer.target`.
        package var address: String
        package var listeners: [Listener.Kind] = [.mx]
        package var timeoutSeconds = 30
        package var onFailure = MilterServer.FailurePolicy.tempfail
        package var isEnabled = true

        package init(name: String, address: String) {
            self.name = name
            self.address = address
        }
    }
}
