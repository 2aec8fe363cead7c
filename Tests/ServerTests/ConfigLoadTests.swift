import Foundation
import Server
import Testing

@Suite struct ConfigLoadTests {
    /// Writes the text to a file of its own and loads it.
    static func load(
        _ text: String?, sets: [String] = [], environment: [String: String] = [:]
    ) throws(ConfigProblems) -> LoadedConfiguration {
        guard let text else {
            return try LoadedConfiguration.load(ConfigInputs(path: nil, sets: sets, environment: environment))
        }
        let path = NSTemporaryDirectory() + "config-test-\(UUID().uuidString).json"
        _ = FileManager.default.createFile(atPath: path, contents: Data(text.utf8))
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try LoadedConfiguration.load(ConfigInputs(path: path, sets: sets, environment: environment))
    }

    static func problems(
        _ text: String?, sets: [String] = [], environment: [String: String] = [:]
    ) -> [ConfigProblem] {
        do {
            _ = try load(text, sets: sets, environment: environment)
            return []
        } catch {
            return error.list
        }
    }

    @Test func filtersHaveNamesOfTheirOwn() {
        func text(_ name: String) -> String {
            "{\"smtp\": {\"milters\": [{\"name\": \"scan\", \"address\": \"127.0.0.1:1\"}, "
                + "{\"name\": \"\(name)\", \"address\": \"127.0.0.1:2\"}]}}"
        }
        #expect(Self.problems(text("other")).isEmpty)
        let found = Self.problems(text("Scan"))
        #expect(found.count == 1)
        #expect(found.first?.message.contains("another filter named \"Scan\"") == true)
        for word in ["all", "None"] { #expect(Self.problems(text(word)).count == 1, "\(word)") }
    }

    @Test(arguments: [
        (
            "{\"smtp\": {\"max_conections\": 1}}", 1, 11,
            "unknown key \"smtp.max_conections\"; did you mean \"smtp.max_connections\"?"
        ),
        ("{\"stmp\": {}}", 1, 2, "did you mean \"smtp\"?"),
        ("{\n \"smtp\": 5}", 2, 10, "smtp must be an object"),
        ("{\"smtp\": {\"max_errors\": 0}}", 1, 25, "smtp.max_errors must be 1 to 10000, not 0"),
        ("{\"smtp\": {\"max_errors\": \"many\"}}", 1, 25, "must be a whole number, not \"many\""),
        ("{\"smtp\": {\"max_errors\": 1.5}}", 1, 25, "must be a whole number, not 1.5"),
        ("{\"smtp\": {\"max_message_size\": \"50MB\"}}", 1, 31, "must be a size"),
        ("{\"smtp\": {\"max_message_size\": \"99GiB\"}}", 1, 31, "1KiB to 1GiB"),
        ("{\"smtp\": {\"max_message_size\": \"99999999999999TiB\"}}", 1, 31, "must be a size"),
        ("{\"smtp\": {\"command_timeout\": \"5 min\"}}", 1, 30, "must be a duration"),
        ("{\"tls\": {\"mode\": \"selfsigned\"}}", 1, 18, "did you mean \"self-signed\"?"),
        (
            "{\"smtp\": {\"relay_networks\": [\"10.0.0.1/8\"]}}", 1, 30,
            "smtp.relay_networks[0] must be a valid IP network"
        ),
        ("{\"smtp\": {\"relay_networks\": \"10.0.0.0/8\"}}", 1, 29, "must be a list"),
        ("{\"smtp\": {\"listeners\": [{\"kind\": \"mx\"}]}}", 1, 25, "needs \"address\""),
        (
            "{\"smtp\": {\"listeners\": [{\"address\": \"localhost:25\", \"kind\": \"mx\"}]}}", 1, 37,
            "valid address and port"
        ),
        (
            "{\"smtp\": {\"listeners\": [{\"address\": \"1.2.3.4:70000\", \"kind\": \"mx\"}]}}", 1, 37,
            "valid address and port"
        ),
        ("{\"smtp\": {\"listeners\": [{\"adress\": \"1.2.3.4:25\"}]}}", 1, 26, "did you mean \"address\"?"),
        (
            "{\"smtp\": {\"listeners\": [{\"address\": \"1.2.3.4:25\", \"kind\": \"submissions\", \"tls\": \"none\"}]}}",
            1,
            24, "speaks TLS from the first byte"
        ),
        (
            "{\"smtp\": {\"listeners\": [{\"address\": \"1.2.3.4:25\", \"kind\": \"mx\", \"proxy_protocol\": true}]}}",
            1,
            24, "while smtp.proxy_networks is empty"
        ),
        ("{\"tls\": {\"mode\": \"files\"}}", 1, 18, "tls.certificates is empty"),
        ("{\"server\": {\"hostname\": \"a b\"}}", 1, 25, "valid host name"),
        ("{\"store\": {\"path\": \"\"}}", 1, 20, "valid path"),
        ("[]", 1, 1, "must be an object"),
        ("{\"smtp.max_errors\": 5}", 1, 2, "in the object \"smtp\""),
    ])
    func problem(_ text: String, _ line: Int, _ column: Int, _ message: String) throws {
        let found = Self.problems(text)
        let first = try #require(found.first)
        #expect(first.message.contains(message), "\(first)")
        #expect(first.position == ConfigPosition(line: line, column: column), "\(first)")
    }

    @Test func everyProblemIsListed() {
        let found = Self.problems(
            "{\"smtp\": {\"max_errors\": 0, \"x\": 1},\n\"tls\": {\"mode\": 1}}", sets: ["a=1", "b"])
        #expect(found.count == 5)
        #expect(found[0].description.hasSuffix(":1:25: smtp.max_errors must be 1 to 10000, not 0"))
    }

    @Test func precedence() throws {
        let file = "{\"smtp\": {\"max_errors\": 5, \"max_recipients\": 200, \"max_connections\": 7}}"
        let loaded = try Self.load(
            file, sets: ["smtp.max_errors=9"],
            environment: ["MARTLET_SMTP__MAX_ERRORS": "8", "MARTLET_SMTP__MAX_RECIPIENTS": "300", "PATH": "/"])
        #expect(loaded.configuration.smtp.maxErrors == 9)
        #expect(loaded.configuration.smtp.maxRecipients == 300)
        #expect(loaded.configuration.smtp.maxConnections == 7)
        #expect(loaded.origin(of: "smtp.max_errors") == .commandLine)
        #expect(loaded.origin(of: "smtp.max_recipients") == .environment)
        #expect(loaded.origin(of: "smtp.max_connections") == .file)
        #expect(loaded.origin(of: "smtp.reactors") == .builtIn)
    }

    @Test func environmentTypos() {
        #expect(
            Self.problems(nil, environment: ["MARTLET_SMTP_MAX_ERRORS": "8"]).first?.message
                .contains("MARTLET_SMTP__MAX_ERRORS") == true)
        #expect(Self.problems(nil, environment: ["MARTLET_FOO__BAR": "8"]).count == 1)
        #expect(Self.problems(nil, environment: ["MARTLET_HOME": "/x", "OTHER__X": "1"]).isEmpty)
        #expect(Self.problems(nil, sets: ["smtp.max_errors=x"]).first?.source == "--set smtp.max_errors")
    }

    @Test func listsInOverrides() throws {
        let loaded = try Self.load(
            nil,
            sets: [
                "smtp.relay_networks=10.0.0.0/8,::1", "delivery.retry_intervals=5m,1h",
                "smtp.listeners=[{\"address\":\"[::1]:25\",\"kind\":\"submissions\"}]", "metrics.listen=",
            ])
        #expect(loaded.configuration.smtp.relayNetworks.map(\.description) == ["10.0.0.0/8", "::1"])
        #expect(loaded.configuration.delivery.retryIntervalSeconds == [300, 3_600])
        #expect(loaded.configuration.smtp.listeners.first?.tls == .required)
        #expect(loaded.configuration.smtp.listeners.first?.address.inet?.host == "::1")
        #expect(loaded.configuration.metrics.listen == nil)
    }

    @Test func listenersBehindProxies() throws {
        let loaded = try Self.load(
            nil,
            sets: [
                "smtp.proxy_networks=192.0.2.0/24",
                "smtp.listeners=[{\"address\":\"[::1]:25\",\"kind\":\"mx\",\"proxy_protocol\":true}]",
            ])
        #expect(loaded.configuration.smtp.listeners.first?.proxyProtocol == true)
        #expect(loaded.configuration.smtp.proxyNetworks.map(\.description) == ["192.0.2.0/24"])
    }

    @Test func pathsCountFromTheFile() throws {
        let loaded = try Self.load("{\"store\": {\"path\": \"data\"}}")
        #expect(loaded.configuration.store.path.hasPrefix("/"))
        #expect(loaded.configuration.store.path.hasSuffix("/data"))
        let set = try Self.load("{}", sets: ["store.path=data"])
        #expect(set.configuration.store.path == "data")
        #expect(set.configuration.controlSocketPath == "data/control.sock")
    }

    @Test func changesSayWhatAReloadDoes() throws {
        let a = try Self.load(nil)
        let b = try Self.load(nil, sets: ["smtp.max_errors=9", "smtp.reactors=3"])
        #expect(a.changes(to: b).map(\.key) == ["smtp.reactors", "smtp.max_errors"])
        #expect(a.changes(to: b).map(\.reloadable) == [false, true])
        #expect(a.changes(to: a).isEmpty)
    }

    @Test func missingFile() {
        do {
            _ = try LoadedConfiguration.load(ConfigInputs(path: "/nonexistent/config.json"))
            Issue.record("loaded")
        } catch {
            #expect(error.description.contains("/nonexistent/config.json: cannot be read: No such file"))
        }
    }

    @Test(arguments: [
        ("10.0.0.0/8", [10, 1, 2, 3] as [UInt8], true), ("10.0.0.0/8", [11, 1, 2, 3], false),
        ("192.0.2.1", [192, 0, 2, 1], true), ("0.0.0.0/0", [1, 2, 3, 4], true),
        ("10.0.0.0/8", [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 10, 1, 2, 3], true),
        ("2001:db8::/33", [0x20, 1, 0xD, 0xB8, 0x7F, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], true),
        ("2001:db8::/33", [0x20, 1, 0xD, 0xB8, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], false),
        ("::/0", [1, 2, 3, 4], false),
    ])
    func networks(_ text: String, _ address: [UInt8], _ inside: Bool) throws {
        #expect(try #require(IPNetwork(text)).contains(address) == inside)
    }

    @Test(arguments: ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0/8", "::/129", "", "1.2.3.4/ 8", "[::1]"])
    func badNetworks(_ text: String) {
        #expect(IPNetwork(text) == nil)
    }
}
