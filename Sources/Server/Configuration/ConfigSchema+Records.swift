/// Rows whose values are lists of objects.
extension ConfigSchema {
    static func listeners(_ key: String, _ sentence: String) -> ConfigSetting {
        ConfigSetting(
            key: key, type: .records(listenerFields, countMax: 100), reloadable: false, sentence: sentence,
            read: { .records($0.smtp.listeners.map(record)) },
            write: { $0.smtp.listeners = $1.objects.compactMap(listener) })
    }

    private static let listenerFields = [
        ConfigField(
            name: "address", type: .text(.listenEndpoint), defaultText: nil,
            sentence: "The numeric address and port; for lmtp also unix: and the path of a socket."),
        ConfigField(
            name: "kind", type: .choice(Configuration.Listener.Kind.allCases.map(\.rawValue)), defaultText: nil,
            sentence:
                "Who connects: other servers (mx), users (submission; submissions: TLS from the first byte), or a front end of ours that delivers into mailboxes (lmtp)."
        ),
        ConfigField(
            name: "tls", type: .choice(Configuration.Listener.TLSUse.allCases.map(\.rawValue)),
            defaultText: "starttls; submissions: required; lmtp: none",
            sentence: "Whether TLS is offered, or no mail is taken without it."),
        ConfigField(
            name: "proxy_protocol", type: .boolean, defaultText: "false",
            sentence: "Whether each connection starts with a PROXY header that names the client (smtp.proxy_networks)."),
        ConfigField(
            name: "session_tickets", type: .boolean, defaultText: "true",
            sentence: "Whether TLS sessions of this listener may be resumed (needs tls.session_tickets too)."),
        ConfigField(
            name: "mode", type: .choice(Configuration.Listener.SocketMode.allCases.map(\.rawValue)),
            defaultText: "0660",
            sentence: "Who may connect to a Unix socket: its owner, also its group, everybody."),
    ]

    private static func record(_ l: Configuration.Listener) -> [String: ConfigValue] {
        [
            "address": .text(l.address.description), "kind": .text(l.kind.rawValue), "tls": .text(l.tls.rawValue),
            "proxy_protocol": .boolean(l.proxyProtocol), "session_tickets": .boolean(l.sessionTickets),
            "mode": .text(l.mode.rawValue),
        ]
    }

    private static func listener(_ r: [String: ConfigValue]) -> Configuration.Listener? {
        guard let address = r["address"]?.text.flatMap({ ListenEndpoint($0) }),
            let kind = r["kind"]?.text.flatMap({ Configuration.Listener.Kind(rawValue: $0) })
        else { return nil }
        var listener = Configuration.Listener(
            endpoint: address, kind: kind,
            tls: r["tls"]?.text.flatMap { Configuration.Listener.TLSUse(rawValue: $0) })
        listener.proxyProtocol = r["proxy_protocol"]?.flag ?? false
        listener.sessionTickets = r["session_tickets"]?.flag ?? true
        listener.mode = r["mode"]?.text.flatMap { Configuration.Listener.SocketMode(rawValue: $0) } ?? .group
        return listener
    }

    static func certificates(_ key: String, _ sentence: String) -> ConfigSetting {
        let fields = [
            ConfigField(
                name: "certificate", type: .text(.path), defaultText: nil,
                sentence: "PEM file of the certificate and its chain."),
            ConfigField(name: "key", type: .text(.path), defaultText: nil, sentence: "PEM file of the private key."),
            ConfigField(
                name: "names", type: .list(of: .text(.domainPattern), countMax: 100),
                defaultText: "those in the certificate",
                sentence: "Host names it is served for."),
        ]
        return ConfigSetting(
            key: key, type: .records(fields, countMax: 1_000), reloadable: true, sentence: sentence,
            read: {
                .records(
                    $0.tls.certificates.map {
                        [
                            "certificate": .text($0.certificate), "key": .text($0.key),
                            "names": .list($0.names.map { .text($0) }),
                        ]
                    })
            },
            write: {
                $0.tls.certificates = $1.objects.map {
                    Configuration.CertificateFiles(
                        certificate: $0["certificate"]?.text ?? "", key: $0["key"]?.text ?? "",
                        names: $0["names"]?.texts ?? [])
                }
            })
    }

    static func routes(_ key: String, _ sentence: String) -> ConfigSetting {
        ConfigSetting(
            key: key, type: .records(routeFields, countMax: 10_000), reloadable: true, sentence: sentence,
            read: { .records($0.delivery.routes.map(record)) },
            write: { $0.delivery.routes = $1.objects.map(route) })
    }

    private static let routeFields = [
        ConfigField(
            name: "domain", type: .text(.domainPattern), defaultText: nil,
            sentence: "Mail for this domain; * is any, *.example.org all below it."),
        ConfigField(name: "to", type: .text(.any), defaultText: nil, sentence: "Host name or numeric address."),
        ConfigField(name: "port", type: .integer(1...65_535), defaultText: "delivery.port", sentence: "Its port."),
        ConfigField(
            name: "protocol", type: .choice(Configuration.Route.Transport.allCases.map(\.rawValue)),
            defaultText: "smtp",
            sentence: "What it speaks."),
        ConfigField(
            name: "auth", type: .text(.any), defaultText: "none",
            sentence: "user:password, or file:PATH of a file that holds it."),
        ConfigField(
            name: "tls", type: .choice(Configuration.Route.TLSUse.allCases.map(\.rawValue)),
            defaultText: "opportunistic",
            sentence: "Whether TLS is tried, or mail waits until it works."),
    ]

    private static func record(_ r: Configuration.Route) -> [String: ConfigValue] {
        var out: [String: ConfigValue] = [
            "domain": .text(r.domain), "to": .text(r.to), "protocol": .text(r.transport.rawValue),
            "auth": .text(r.auth), "tls": .text(r.tls.rawValue),
        ]
        if r.port != 0 { out["port"] = .integer(r.port) }
        return out
    }

    /// Port 0: `delivery.port`.
    private static func route(_ r: [String: ConfigValue]) -> Configuration.Route {
        Configuration.Route(
            domain: r["domain"]?.text ?? "", to: r["to"]?.text ?? "", port: r["port"]?.number ?? 0,
            transport: r["protocol"]?.text.flatMap { Configuration.Route.Transport(rawValue: $0) } ?? .smtp,
            auth: r["auth"]?.text ?? "",
            tls: r["tls"]?.text.flatMap { Configuration.Route.TLSUse(rawValue: $0) } ?? .opportunistic)
    }
}
