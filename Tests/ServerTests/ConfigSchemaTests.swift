import Foundation
import Server
import Testing

@Suite struct ConfigSchemaTests {
    @Test func keysAreUniqueAndComplete() {
        let keys = ConfigSchema.settings.map(\.key)
        #expect(Set(keys).count == keys.count)
        #expect(Set(ConfigSchema.settings.map(\.environmentName)).count == keys.count)
        for setting in ConfigSchema.settings {
            #expect(setting.key.contains("."))
            #expect(setting.sentence.hasSuffix("."), "\(setting.key)")
        }
    }

    /// Each key with a value that is not its default.
    static let examples = [
        "server.hostname=mx.example.org", "smtp.reactors=3", "smtp.relay_networks=10.0.0.0/8",
        "smtp.proxy_networks=192.0.2.0/24", "smtp.lmtp_networks=192.0.2.0/24",
        "smtp.rate_limit.account_messages_per_hour=1", "smtp.rate_limit.account_recipients_per_hour=2",
        "smtp.rate_limit.account_exempt=news@example.org",
        "smtp.max_connections=5", "smtp.max_connections_per_ip=4", "smtp.max_message_size=1MiB",
        "smtp.max_recipients=101", "smtp.max_errors=7", "smtp.command_timeout=1m", "smtp.data_timeout=61",
        "smtp.max_connections_per_network=9", "smtp.max_held_sessions=8", "smtp.greet_wait_ms=200",
        "smtp.trusted_networks=192.0.2.0/24",
        "smtp.rate_limit.recipients_per_minute=3", "smtp.rate_limit.failed_logins=0",
        "smtp.rate_limit.network_factor=9", "smtp.rate_limit.connections_per_minute=1",
        "smtp.rate_limit.messages_per_minute=2", "tls.mode=acme",
        "tls.min_version=1.3", "tls.session_tickets=false", "tls.acme.directory=https://ca.example/d",
        "tls.acme.email=a@b.example", "tls.acme.names=a.example,b.example", "tls.acme.agree_to_terms=true",
        "tls.certificates=[{\"certificate\":\"/c\",\"key\":\"/k\",\"names\":[\"*.example.org\"]}]",
        "smtp.listeners=[{\"address\":\"127.0.0.1:1\",\"kind\":\"submission\",\"tls\":\"required\",\"session_tickets\":false}]",
        "smtp.milters=[{\"name\":\"spam\",\"address\":\"unix:/m\",\"listeners\":[\"submission\"],\"timeout\":9,\"on_failure\":\"accept\",\"enabled\":false},{\"name\":\"virus\",\"address\":\"unix:/v\"}]",
        "dns.forward=127.0.0.1@53", "dns.trust_anchor_file=/t", "dns.root_hints=/r", "dns.timeout=3s",
        "store.path=/s", "store.min_free_bytes=1GiB", "delivery.queue_workers=5", "delivery.retry_intervals=1m,2m",
        "delivery.max_age=2d", "delivery.delay_warning=0",
        "delivery.routes=[{\"domain\":\"*\",\"to\":\"relay.example\",\"port\":26,\"protocol\":\"lmtp\",\"auth\":\"file:/a\",\"tls\":\"required\"}]",
        "delivery.port=2526", "delivery.local_addresses=127.0.0.1", "web.listen=127.0.0.1:8080",
        "metrics.listen=[::1]:9", "control.socket=/c.sock", "auth.enabled=false",
        "auth.timeout=3s", "auth.max_questions=64", "auth.bimi=false", "ledger.enabled=false",
        "ledger.max_size=5MiB", "ledger.max_age=2d", "delivery.max_connections_per_destination=7",
        "delivery.max_messages_per_minute=8", "delivery.ca_file=/ca", "mta_sts.port=8443",
        "mta_sts.allow_private=true", "dmarc.mode=rfc7489", "dmarc.send_reports=true",
        "tlsrpt.send_reports=true", "pressure.enabled=false", "pressure.memory_limit=2GiB",
        "pressure.commit_latency_ms=100", "logging.level=debug", "logging.format=json",
    ]

    /// What `config show --json` prints is a configuration file with the same meaning, key by key.
    @Test func everyKeyRoundTrips() throws {
        let first = try ConfigLoadTests.load(nil, sets: Self.examples)
        let untouched = ConfigSchema.settings.filter { $0.read(first.configuration) == $0.defaultValue }.map(\.key)
        #expect(untouched.isEmpty, "a key without an example here: \(untouched)")
        let shown = String(decoding: ConfigRendering.showJSON(first, changedOnly: false), as: UTF8.self)
        let second = try ConfigLoadTests.load(shown)
        #expect(second.configuration == first.configuration)
        #expect(first.changes(to: second).isEmpty)
    }

    @Test func defaultsAreValid() throws {
        let defaults = try ConfigLoadTests.load(nil)
        #expect(defaults.configuration == Configuration())
        let shown = String(decoding: ConfigRendering.showJSON(defaults, changedOnly: false), as: UTF8.self)
        #expect(try ConfigLoadTests.load(shown).configuration == Configuration())
        #expect(ConfigRendering.show(defaults, changedOnly: true).isEmpty)
    }

    @Test func passwordsAreNotShown() throws {
        let loaded = try ConfigLoadTests.load(
            nil, sets: ["delivery.routes=[{\"domain\":\"*\",\"to\":\"r.example\",\"auth\":\"user:sesame\"}]"])
        #expect(loaded.configuration.delivery.routes.first?.auth == "user:sesame")
        #expect(!ConfigRendering.show(loaded, changedOnly: false).contains("sesame"))
        #expect(
            !String(decoding: ConfigRendering.showJSON(loaded, changedOnly: true), as: UTF8.self).contains("sesame"))
        #expect(ConfigRendering.explain("delivery.routes", loaded)?.contains("sesame") == false)
    }

    @Test func explain() throws {
        let loaded = try ConfigLoadTests.load(nil, sets: ["smtp.max_message_size=1MiB"])
        let text = try #require(ConfigRendering.explain("smtp.max_message_size", loaded))
        for part in [
            "1MiB (command line)", "50MiB", "1KiB to 1GiB", "octets", "by reload", "MARTLET_SMTP__MAX_MESSAGE_SIZE",
        ] {
            #expect(text.contains(part), "\(part)")
        }
        #expect(ConfigRendering.explain("smtp.nothing", loaded) == nil)
    }

    @Test(arguments: [
        ("smtp.max_conections", "smtp.max_connections"), ("smpt.reactors", "smtp.reactors"),
        ("selfsigned", "self-signed"),
    ])
    func suggestions(_ word: String, _ expected: String) {
        #expect(ConfigText.suggestion(for: word, among: ConfigSchema.settings.map(\.key) + ["self-signed"]) == expected)
        #expect(ConfigText.suggestion(for: "zzzzzz", among: ConfigSchema.settings.map(\.key)) == nil)
    }

    private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    /// `martlet config docs > docs/config.md` when this fails.
    @Test func documentationIsUpToDate() throws {
        let file = try String(contentsOf: Self.root.appending(path: "docs/config.md"), encoding: .utf8)
        #expect(file == ConfigRendering.documentation)
    }

    @Test func developmentConfigurationIsValid() throws {
        let path = Self.root.appending(path: "config.dev.json").path
        let loaded = try LoadedConfiguration.load(ConfigInputs(path: path))
        #expect(loaded.configuration.smtp.listeners.map(\.address.inet?.port) == [2525, 2587, 2465])
    }
}
