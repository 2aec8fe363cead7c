import ArgumentParser
import ResolverUnbound
import Server

/// Whom `check` asks and how it prints: the same on every check.
struct CheckOptions: ParsableArguments {
    @OptionGroup var config: ConfigOptions

    @Option(
        name: .customLong("dns"),
        help: ArgumentHelp(
            "Ask this server instead of the configured ones; may be repeated. Without --trust-anchor nothing is validated.",
            valueName: "address@port"))
    var servers: [String] = []

    @Option(
        name: .customLong("trust-anchor"),
        help: ArgumentHelp("Validate from the DS or DNSKEY records in this file.", valueName: "file"),
        completion: .file())
    var trustAnchor: String?

    @Option(
        name: .customLong("dns-timeout"),
        help: ArgumentHelp("Seconds that one question may take.", valueName: "seconds"))
    var timeout: Int?

    @OptionGroup var output: OutputOptions

    func validate() throws {
        for server in servers where !ConfigText.isResolver(server) {
            throw ValidationError("--dns \(server): not an IP address or address@port")
        }
        if let timeout, !(1...120).contains(timeout) { throw ValidationError("--dns-timeout: 1 to 120") }
    }

    /// With `--dns` no configuration is read.
    func resolverConfiguration() throws -> ResolverConfiguration {
        var settings: ResolverConfiguration
        if servers.isEmpty {
            settings = try config.load(fileRequired: false).configuration.dns.resolver
        } else {
            settings = ResolverConfiguration(forward: servers, anchors: .none, timeoutSeconds: 5)
        }
        if let trustAnchor { settings.anchors = .file(trustAnchor) }
        if let timeout { settings.timeoutSeconds = Double(timeout) }
        return settings
    }
}
