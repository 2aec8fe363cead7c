import ArgumentParser
import Server

struct TLSCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tls", abstract: "Transport security with other servers.", subcommands: [Peers.self])

    struct Peers: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the servers mail went to and the TLS they have.",
            discussion: """
                With --require only those are listed, and the exit status is 2, that would break if it were required: \
                tls12-pfs is TLS 1.2 or later with forward secrecy, verified is a certificate verified by DANE or by the \
                root certificates.
                """)
        @Option(help: ArgumentHelp("tls12-pfs or verified.", valueName: "what")) var require: String?
        @Option(help: "How many days back.") var days = 30
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            guard let requirement = ControlTLSPeers.Requirement(rawValue: require ?? "") else {
                throw ValidationError("--require is tls12-pfs or verified")
            }
            guard (1...400).contains(days) else { throw ValidationError("--days is 1 to 400") }
            try config.run(.tlsPeers(ControlTLSPeers(requirement: requirement, days: days)), json: output.json)
        }
    }
}
