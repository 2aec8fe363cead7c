/// Makers of rows for plain values.
extension ConfigSchema {
    static func integer(
        _ key: String, _ path: Path<Int>, _ range: ClosedRange<Int>, reloadable: Bool = false, _ sentence: String
    ) -> ConfigSetting { number(key, path, .integer(range), reloadable, sentence) }

    static func size(
        _ key: String, _ path: Path<Int>, _ range: ClosedRange<Int>, reloadable: Bool = false, _ sentence: String
    ) -> ConfigSetting { number(key, path, .size(range), reloadable, sentence) }

    static func duration(
        _ key: String, _ path: Path<Int>, _ range: ClosedRange<Int>, reloadable: Bool = false, _ sentence: String
    ) -> ConfigSetting { number(key, path, .duration(range), reloadable, sentence) }

    private static func number(
        _ key: String, _ path: Path<Int>, _ type: ConfigType, _ reloadable: Bool, _ sentence: String
    ) -> ConfigSetting {
        ConfigSetting(
            key: key, type: type, reloadable: reloadable, sentence: sentence,
            read: { .integer($0[keyPath: path]) },
            write: { if case .integer(let n) = $1 { $0[keyPath: path] = n } })
    }

    static func boolean(
        _ key: String, _ path: Path<Bool>, reloadable: Bool = false, _ sentence: String
    ) -> ConfigSetting {
        ConfigSetting(
            key: key, type: .boolean, reloadable: reloadable, sentence: sentence,
            read: { .boolean($0[keyPath: path]) },
            write: { if case .boolean(let b) = $1 { $0[keyPath: path] = b } })
    }

    static func text(
        _ key: String, _ path: Path<String>, _ rule: ConfigTextRule, empty: Bool = false, reloadable: Bool = false,
        _ sentence: String
    ) -> ConfigSetting {
        ConfigSetting(
            key: key, type: .text(rule), reloadable: reloadable, sentence: sentence,
            read: { .text($0[keyPath: path]) },
            write: { if case .text(let s) = $1 { $0[keyPath: path] = s } }, acceptsEmpty: empty)
    }

    static func choice<E>(
        _ key: String, _ path: Path<E>, reloadable: Bool = false, _ sentence: String
    ) -> ConfigSetting where E: RawRepresentable<String> & CaseIterable & SendableMetatype {
        ConfigSetting(
            key: key, type: .choice(E.allCases.map(\.rawValue)), reloadable: reloadable, sentence: sentence,
            read: { .text($0[keyPath: path].rawValue) },
            write: { if case .text(let s) = $1, let value = E(rawValue: s) { $0[keyPath: path] = value } })
    }

    static func listen(_ key: String, _ path: Path<ListenAddress?>, _ sentence: String) -> ConfigSetting {
        ConfigSetting(
            key: key, type: .text(.listenAddress), reloadable: false, sentence: sentence,
            read: { .text($0[keyPath: path]?.description ?? "") },
            write: { if case .text(let s) = $1 { $0[keyPath: path] = ListenAddress(s) } }, acceptsEmpty: true)
    }

    static func texts(
        _ key: String, _ path: Path<[String]>, _ rule: ConfigTextRule, reloadable: Bool = false, _ sentence: String
    ) -> ConfigSetting {
        ConfigSetting(
            key: key, type: .list(of: .text(rule), countMax: 100), reloadable: reloadable, sentence: sentence,
            read: { .list($0[keyPath: path].map { .text($0) }) },
            write: { $0[keyPath: path] = $1.texts })
    }

    static func networks(
        _ key: String, _ path: Path<[IPNetwork]>, reloadable: Bool, _ sentence: String
    ) -> ConfigSetting {
        ConfigSetting(
            key: key, type: .list(of: .text(.network), countMax: 1_000), reloadable: reloadable, sentence: sentence,
            read: { .list($0[keyPath: path].map { .text($0.description) }) },
            write: { $0[keyPath: path] = $1.texts.compactMap { IPNetwork($0) } })
    }

    static func mailAddresses(
        _ key: String, _ path: Path<[String]>, reloadable: Bool, _ sentence: String
    ) -> ConfigSetting {
        ConfigSetting(
            key: key, type: .list(of: .text(.mailAddress), countMax: 1_000), reloadable: reloadable,
            sentence: sentence, read: { .list($0[keyPath: path].map { .text($0) }) },
            write: { $0[keyPath: path] = $1.texts })
    }

    static func durations(
        _ key: String, _ path: Path<[Int]>, _ range: ClosedRange<Int>, reloadable: Bool, _ sentence: String
    ) -> ConfigSetting {
        ConfigSetting(
            key: key, type: .list(of: .duration(range), countMax: 100), reloadable: reloadable, sentence: sentence,
            read: { .list($0[keyPath: path].map { .integer($0) }) },
            write: { configuration, value in
                guard case .list(let items) = value else { return }
                configuration[keyPath: path] = items.compactMap { if case .integer(let n) = $0 { n } else { nil } }
            })
    }
}

extension ConfigValue {
    var texts: [String] {
        guard case .list(let items) = self else { return [] }
        return items.compactMap { $0.text }
    }

    var text: String? { if case .text(let s) = self { s } else { nil } }
    var flag: Bool? { if case .boolean(let b) = self { b } else { nil } }
    var number: Int? { if case .integer(let n) = self { n } else { nil } }
    var objects: [[String: ConfigValue]] { if case .records(let r) = self { r } else { [] } }
}
