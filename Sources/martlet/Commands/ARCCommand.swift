import ArgumentParser
import Base
import Crypto
import MailAuth
import Server

struct ARCCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "arc", abstract: "Seal messages.", subcommands: [Seal.self])

    struct Seal: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add an ARC set to a message.",
            discussion: """
                Prints the three new fields, or with --message the message with them before it. The results come from \
                the Authentication-Results fields of --authserv-id in the message, and so does the state of the chain \
                (arc=). A chain that is marked as failed, or full, gets no set: nothing is printed.
                """)

        @Option(help: "The domain that seals.")
        var domain: String
        @Option(help: "The selector of the key.")
        var selector: String
        @Option(help: "The private key, in PEM, or 32 bytes of Ed25519 in base64.", completion: .file())
        var key: String
        @Option(name: .customLong("authserv-id"), help: "Whose results to carry over.")
        var authservID: String
        @Option(help: ArgumentHelp("Names of the fields to sign, parted by colons.", valueName: "names"))
        var headers: String?
        @Option(help: ArgumentHelp("When it is sealed; 0 is now.", valueName: "unix"))
        var timestamp: UInt64 = 0
        @Flag(help: "Tags in alphabetical order and unfolded; this is how seals are always written.")
        var canonical = false
        @Flag(help: "Print the whole message.")
        var message = false
        @Argument(help: "The message, or - for standard input.", completion: .file())
        var file = "-"

        func run() throws {
            let input = try MessageInput.message(file)
            let chain = ARCFields(HeaderIndex(input))
            let results = AuthenticationResultsText.merged(chain.header, id: authservID.bytes)
            guard let status = status(chain, results) else {
                Console.error("no Authentication-Results of \(authservID) tells arc=")
                throw ExitCode(ExitStatus.data)
            }
            var sealer = ARCSealer(
                domain: domain.bytes, selector: selector.bytes, key: try MessageInput.key(key),
                authservID: authservID.bytes)
            if let headers { sealer.signedNames = MessageInput.names(headers) }
            let hasher = BodyHasher(ARCSealer.bodyKey)
            hasher.feed(input.span.extracting(chain.header.bodyStart..<input.count))
            guard let hash = hasher.finish() else { return }
            let fields = try sealer.seal(
                chain, bodyHash: hash, results: results ?? [], chain: status, now: MessageInput.time(timestamp))
            Console.sink.output((fields?.bytes ?? []) + (message ? input : []))
        }

        /// Without a chain, and for one that takes no more sets, nobody has to have measured anything.
        private func status(_ chain: ARCFields, _ results: [UInt8]?) -> ARCStatus? {
            if chain.problem == .noChain { return .absent }
            if chain.problem != nil { return .fail }
            return results.flatMap { AuthenticationResultsText.arcStatus($0) }
        }
    }
}
