import Base
import CEpoll

/// Reads the layers of a configuration in order of precedence and checks the whole.
struct ConfigLoader {
    let inputs: ConfigInputs
    private var configuration = Configuration()
    private var origins: [String: ConfigOrigin] = [:]
    private var positions: [String: ConfigPosition] = [:]
    private var problems: [ConfigProblem] = []

    init(inputs: ConfigInputs) { self.inputs = inputs }

    mutating func load() throws(ConfigProblems) -> LoadedConfiguration {
        if let path = inputs.path { loadFile(path) }
        loadEnvironment()
        loadSets()
        if problems.isEmpty { checkWhole() }
        guard problems.isEmpty else { throw ConfigProblems(list: problems) }
        return LoadedConfiguration(configuration: configuration, origins: origins, inputs: inputs)
    }

    // MARK: File

    private mutating func loadFile(_ path: String) {
        let bytes: [UInt8]
        switch ConfigFile.read(path) {
        case .success(let b): bytes = b
        case .failure(let problem):
            problems.append(problem)
            return
        }
        let root: ConfigNode
        do throws(ConfigSyntaxError) {
            root = try ConfigParser.parse(bytes)
        } catch {
            problems.append(ConfigProblem(source: path, position: error.position, message: error.message))
            return
        }
        let directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        var check = ConfigCheck(source: path, directory: directory, positions: true)
        guard case .object(let members) = root.value else {
            check.problem("the configuration must be an object in { }", at: root.position)
            problems += check.problems
            return
        }
        group(members, prefix: "", &check)
        problems += check.problems
    }

    private mutating func group(_ members: [ConfigNode.Member], prefix: String, _ check: inout ConfigCheck) {
        for member in members {
            let key = prefix + member.key
            if let dot = member.key.lastIndex(of: ".") {
                let (group, name) = (prefix + member.key[..<dot], member.key[member.key.index(after: dot)...])
                check.problem("a key has no dots: write \"\(name)\" in the object \"\(group)\"", at: member.position)
                continue
            }
            if let setting = ConfigSchema.setting(key) {
                positions[key] = member.node.position
                apply(member.node, setting, .file, &check)
            } else if ConfigSchema.settings.contains(where: { $0.key.hasPrefix(key + ".") }) {
                guard case .object(let inner) = member.node.value else {
                    check.problem(
                        "\(key) must be an object in { }, not \(member.node.kindName)", at: member.node.position)
                    continue
                }
                group(inner, prefix: key + ".", &check)
            } else {
                check.unknown("key", key, among: Self.names(below: prefix), at: member.position)
            }
        }
    }

    /// Keys and groups one level below `prefix`, in full.
    private static func names(below prefix: String) -> [String] {
        var seen: [String] = []
        for setting in ConfigSchema.settings where setting.key.hasPrefix(prefix) {
            let rest = setting.key.dropFirst(prefix.count)
            let name = prefix + (rest.split(separator: ".").first.map(String.init) ?? "")
            if seen.last != name { seen.append(name) }
        }
        return seen + ConfigSchema.settings.map(\.key)
    }

    private mutating func apply(
        _ node: ConfigNode, _ setting: ConfigSetting, _ origin: ConfigOrigin, _ check: inout ConfigCheck
    ) {
        guard let value = check.value(node, setting.type, key: setting.key, empty: setting.acceptsEmpty) else { return }
        setting.write(&configuration, value)
        origins[setting.key] = origin
        if origin != .file { positions[setting.key] = nil }
    }

    // MARK: Overrides

    private mutating func loadEnvironment() {
        for (name, value) in inputs.environment.sorted(by: { $0.key < $1.key }) where name.hasPrefix("MARTLET_") {
            if let setting = ConfigSchema.settings.first(where: { $0.environmentName == name }) {
                override(setting, value, source: name, .environment)
                continue
            }
            // Other MARTLET_ variables may belong to somebody's scripts; one that looks like a key is a typo.
            let known = ConfigSchema.settings.map(\.environmentName)
            let close = ConfigText.suggestion(for: name, among: known)
            guard close != nil || name.contains("__") else { continue }
            let hint = close.map { "; did you mean \"\($0)\"?" } ?? "; `martlet config show` lists the keys"
            problems.append(
                ConfigProblem(source: name, position: nil, message: "no configuration key has this name" + hint))
        }
    }

    private mutating func loadSets() {
        for text in inputs.sets {
            guard let equals = text.firstIndex(of: "=") else {
                problems.append(ConfigProblem(source: "--set \(text)", position: nil, message: "must be key=value"))
                continue
            }
            let key = String(text[..<equals])
            let source = "--set \(key)"
            guard let setting = ConfigSchema.setting(key) else {
                var check = ConfigCheck(source: source, directory: "", positions: false)
                check.unknown(
                    "key", key, among: ConfigSchema.settings.map(\.key), at: ConfigPosition(line: 1, column: 1))
                problems += check.problems
                continue
            }
            override(setting, String(text[text.index(after: equals)...]), source: source, .commandLine)
        }
    }

    private mutating func override(
        _ setting: ConfigSetting, _ text: String, source: String, _ origin: ConfigOrigin
    ) {
        var check = ConfigCheck(source: source, directory: "", positions: false)
        do throws(ConfigSyntaxError) {
            apply(try Self.node(text, setting.type), setting, origin, &check)
        } catch {
            check.problem("column \(error.position.column): \(error.message)", at: error.position)
        }
        problems += check.problems
    }

    /// The value an override's text stands for: JSON for lists of objects and whatever starts with `[`, else plain words,
    /// with commas between the values of a list.
    private static func node(_ text: String, _ type: ConfigType) throws(ConfigSyntaxError) -> ConfigNode {
        let start = ConfigPosition(line: 1, column: 1)
        switch type {
        case .records: return try ConfigParser.parse(Array(text.utf8))
        case .list(let element, _):
            if text.hasPrefix("[") { return try ConfigParser.parse(Array(text.utf8)) }
            var items: [ConfigNode] = []
            for part in text.split(separator: ",") { items.append(scalar(String(part), element, start)) }
            return ConfigNode(position: start, value: .array(items))
        case .boolean, .integer, .size, .duration, .choice, .text: return scalar(text, type, start)
        }
    }

    private static func scalar(_ text: String, _ type: ConfigType, _ at: ConfigPosition) -> ConfigNode {
        var value = ConfigNode.Value.text(text)
        if case .boolean = type, text == "true" || text == "false" { value = .boolean(text == "true") }
        if case .integer = type, let n = Int(text) { value = .integer(n) }
        return ConfigNode(position: at, value: value)
    }

    // MARK: The whole

    private mutating func complain(_ key: String, _ message: String) {
        let file = origins[key] == .file ? inputs.path : nil
        problems.append(
            ConfigProblem(
                source: file ?? inputs.path ?? "configuration", position: positions[key], message: "\(key) \(message)"))
    }

    private func lmtpProblem(_ listener: Configuration.Listener) -> String? {
        guard listener.kind == .lmtp else {
            return listener.address.inet == nil ? "only kind lmtp takes mail on a Unix socket" : nil
        }
        // RFC 2033 §5
        if listener.address.inet?.port == 25 { return "LMTP must not be spoken on port 25; RFC 2033 forbids it" }
        if listener.proxyProtocol { return "proxy_protocol does not go with lmtp: whom the socket lets in is trusted" }
        if !listener.address.isLoopback, configuration.smtp.lmtpNetworks.isEmpty {
            return "beyond this machine lmtp lets nobody in while smtp.lmtp_networks is empty; name the front ends, "
                + "or listen on 127.0.0.1 or a Unix socket"
        }
        return nil
    }

    /// What does not hold of a configuration that is put together from two.
    static func problems(of configuration: Configuration, _ inputs: ConfigInputs) -> [ConfigProblem] {
        var loader = ConfigLoader(inputs: inputs)
        loader.configuration = configuration
        loader.checkWhole()
        return loader.problems
    }

    /// Rules that look at more than one value.
    private mutating func checkWhole() {
        let smtp = configuration.smtp
        for (i, listener) in smtp.listeners.enumerated() {
            if listener.kind == .submissions, listener.tls != .required {
                complain(
                    "smtp.listeners", "[\(i)]: kind submissions speaks TLS from the first byte; set tls to \"required\""
                )
            }
            if let problem = lmtpProblem(listener) { complain("smtp.listeners", "[\(i)]: \(problem)") }
            if listener.proxyProtocol, smtp.proxyNetworks.isEmpty {
                complain(
                    "smtp.listeners",
                    "[\(i)]: proxy_protocol lets nobody in while smtp.proxy_networks is empty; name the proxies")
            }
            let same = smtp.listeners[..<i].contains { $0.address == listener.address }
            if same, listener.address.inet?.port != 0 {
                complain("smtp.listeners", "[\(i)]: \(listener.address) is used twice")
            }
        }
        for (i, filter) in configuration.milters.enumerated() where ["all", "none"].contains(filter.name.lowercased()) {
            complain(
                "smtp.milters",
                "[\(i)]: \"\(filter.name)\" cannot be a filter's name: domains say so for each or no filter")
        }
        let filters = configuration.milterNames
        for (i, name) in filters.enumerated() where filters[..<i].contains(name) {
            complain(
                "smtp.milters",
                "[\(i)]: there is another filter named \"\(configuration.milters[i].name)\"; domains tell them by name")
        }
        switch configuration.tls.mode {
        case .selfSigned: break
        case .files:
            if configuration.tls.certificates.isEmpty {
                complain("tls.mode", "is files, but tls.certificates is empty; name a certificate and its key")
            }
        case .acme:
            if configuration.tls.acme.names.isEmpty { complain("tls.mode", "is acme, but tls.acme.names is empty") }
            if !configuration.tls.acme.agreeToTerms {
                complain("tls.mode", "is acme; read the authority's terms and set tls.acme.agree_to_terms to true")
            }
        }
        if configuration.controlSocketPath.utf8.count > 107 {
            let key = configuration.control.socket.isEmpty ? "store.path" : "control.socket"
            complain(key, "makes the control socket's path longer than 107 octets; set a shorter control.socket")
        }
    }
}
