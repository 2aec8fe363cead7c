import ArgumentParser
import Base
import Foundation
import Server

struct InitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "init", abstract: "Make the store, a self-signed certificate and demo accounts.",
        discussion: """
            What is there already is kept. The demo domain and its accounts, whose password everybody knows, are made \
            only when every SMTP listener is on a loopback address.
            """)

    private static let demoDomain = "martlet.localhost"
    private static let demoPassword = "martlet-demo"
    private static let demoAccounts = ["alice", "bob"]

    @OptionGroup var config: ConfigOptions
    @Flag(name: .customLong("no-demo"), help: "Make no demo domain and accounts.")
    var noDemo = false

    func run() throws {
        let loaded = try config.load()
        let configuration = loaded.configuration
        try makeDirectory(configuration.store.path)
        if configuration.tls.mode == .selfSigned { try makeCertificate(configuration) }
        let demo = !noDemo && configuration.smtp.listeners.allSatisfy { $0.address.isLoopback }
        if demo { try makeDemo(configuration) }
        sayNext(loaded, demo: demo)
    }

    private func makeDirectory(_ path: String) throws {
        if access(path, F_OK) == 0 { return }
        guard mkdir(path, 0o700) == 0 else {
            let reason = String(cString: strerror(errno))
            Console.error("\(path) cannot be made: \(reason); make its parent directory or change store.path")
            throw ExitCode(errno == EACCES ? ExitStatus.permission : ExitStatus.failure)
        }
        Console.say("made \(path)")
    }

    private func makeCertificate(_ configuration: Configuration) throws {
        let path = configuration.selfSignedCertificatePath
        let isNew = access(path, R_OK) != 0
        do {
            try SelfSignedFiles.ensure(configuration)
        } catch {
            Console.error("no certificate could be made: \(error); check that store.path is writable")
            throw ExitCode(ExitStatus.failure)
        }
        if isNew { Console.say("made the self-signed certificate \(path)") }
    }

    private func makeDemo(_ configuration: Configuration) throws {
        let domains = try capture(.domainList, configuration)
        if !domains.contains("\"\(Self.demoDomain)\"") {
            _ = try capture(.domainAdd(Self.demoDomain.bytes), configuration)
            Console.say("added the domain \(Self.demoDomain)")
        }
        let accounts = try capture(.accountList, configuration)
        for name in Self.demoAccounts {
            let address = "\(name)@\(Self.demoDomain)"
            if accounts.contains("\"\(address)\"") { continue }
            guard let credentials = NewCredentials.make(Secret(Self.demoPassword.bytes)) else { continue }
            let account = ControlAccount(
                address: address.bytes, isAdmin: name == Self.demoAccounts[0], quotaOctets: nil,
                credentials: credentials)
            _ = try capture(.accountAdd(account), configuration)
            Console.say("added the account \(address), password \(Self.demoPassword)")
        }
    }

    private func capture(_ request: ControlRequest, _ configuration: Configuration) throws -> String {
        var output: [UInt8] = []
        let sink = ControlClient.Sink(output: { output += $0 }, complaint: Console.sink.complaint)
        let status = ControlCommand.run(request, .json, configuration, into: sink)
        if status != ExitStatus.success { throw ExitCode(status) }
        return String(decoding: output, as: UTF8.self)
    }

    private func sayNext(_ loaded: LoadedConfiguration, demo: Bool) {
        let option = loaded.inputs.path.map { " --config \($0)" } ?? ""
        Console.say("ready; next: `martlet serve\(option)`")
        if !demo {
            Console.say("then `martlet domain add NAME`, `martlet account add ADDRESS` and `martlet domain dns NAME`")
        }
    }
}
