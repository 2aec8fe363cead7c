/// How much a log line matters; `logging.level` names the lowest that is written.
package enum LogLevel: Int, Sendable, CaseIterable, Comparable {
    case debug, info, notice, warning, error

    package static func < (a: LogLevel, b: LogLevel) -> Bool { a.rawValue < b.rawValue }

    package var name: StaticString {
        switch self {
        case .debug: "debug"
        case .info: "info"
        case .notice: "notice"
        case .warning: "warning"
        case .error: "error"
        }
    }
}

/// How log events are rendered; `logging.format`.
package enum LogFormat: String, Sendable {
    case text, json
}
