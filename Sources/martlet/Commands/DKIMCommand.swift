import ArgumentParser
import Base
import Crypto
import MailAuth
import Server

struct DKIMCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dkim", abstract: "Make keys and sign messages.", subcommands: [Generate.self, Sign.self])

    struct Generate: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a key pair.",
            discussion: """
                Prints the private key in PEM on standard output, and on standard error the TXT record to publish. \
                Keep the key in a file that only the server can read.
                """)

        enum Kind: String, ExpressibleByArgument, CaseIterable { case rsa, ed25519 }

        @Option(help: "rsa, which every verifier knows, or ed25519.")
        var type = Kind.rsa
        @Option(help: "Bits of an RSA key, 1024 to 4096.")
        var bits = 2_048
        @Option(help: "The selector to publish it under.")
        var selector = "selector"
        @OptionGroup var output: OutputOptions
        @Argument(help: "The domain.")
        var domain = "example.org"

        func validate() throws {
            if !(1_024...4_096).contains(bits) { throw ValidationError("--bits: 1024 to 4096") }
        }

        func run() throws {
            let key = try PrivateKey(generate: type == .rsa ? .rsa : .ed25519, bits: bits)
            let pem = String(decoding: try key.pem().bytes, as: UTF8.self)
            let record = String(decoding: try key.recordText(), as: UTF8.self)
            let name = "\(selector)._domainkey.\(domain)"
            if output.json {
                Console.print([
                    JSONMember("name", .text(name)), JSONMember("record", .text(record)),
                    JSONMember("private_key", .text(pem)),
                ])
            } else {
                Console.print(pem)
                Console.say("\(name). IN TXT \(Self.strings(record))")
            }
        }

        /// A TXT record's text as strings of at most 255 octets (RFC 1035 §3.3.14).
        private static func strings(_ record: String) -> String {
            var rest = Array(record.utf8)[...]
            var out: [String] = []
            while !rest.isEmpty {
                out.append("\"" + String(decoding: rest.prefix(255), as: UTF8.self) + "\"")
                rest = rest.dropFirst(255)
            }
            return out.joined(separator: " ")
        }
    }

    struct Sign: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sign a message.",
            discussion: """
                Prints the message with its new signatures before it. --selector and --key may be given several times, \
                in pairs, to sign with several keys.
                """)

        @Option(help: "The domain that signs.")
        var domain: String
        @Option(help: "The selector of the key.")
        var selector: [String]
        @Option(help: "A private key, in PEM, or 32 bytes of Ed25519 in base64.", completion: .file())
        var key: [String]
        @Option(help: "Canonical forms of header and body.")
        var canonicalization = "relaxed/relaxed"
        @Option(help: ArgumentHelp("Names of the fields to sign, parted by colons.", valueName: "names"))
        var headers: String?
        @Option(help: ArgumentHelp("When it is signed; 0 is now.", valueName: "unix"))
        var timestamp: UInt64 = 0
        @Option(help: ArgumentHelp("How long the signature holds; without it, forever.", valueName: "seconds"))
        var expiresAfter: UInt64?
        @Argument(help: "The message, or - for standard input.", completion: .file())
        var file = "-"

        func validate() throws {
            guard !key.isEmpty, selector.count == key.count else {
                throw ValidationError("give as many --selector as --key")
            }
            if forms == nil { throw ValidationError("--canonicalization: such as relaxed/simple") }
        }

        private var forms: (Canonicalization, Canonicalization)? {
            let parts = canonicalization.split(separator: "/", omittingEmptySubsequences: false)
            let found = parts.compactMap { part in
                Canonicalization.allCases.first { "\($0.name)" == part }
            }
            guard parts.count == found.count, let header = found.first, found.count <= 2 else { return nil }
            return (header, found.count == 2 ? found[1] : .simple)
        }

        func run() throws {
            let message = try MessageInput.message(file)
            let index = HeaderIndex(message)
            var fields: [UInt8] = []
            for (selector, path) in zip(selector, key) {
                var signer = DKIMSigner(
                    domain: domain.bytes, selector: selector.bytes, key: try MessageInput.key(path))
                if let forms { (signer.header, signer.body) = forms }
                if let headers { signer.signedNames = MessageInput.names(headers) }
                if headers != nil { signer.overSignedNames = [] }
                signer.expiresAfterSeconds = expiresAfter
                let hasher = BodyHasher(signer.bodyKey)
                hasher.feed(message.span.extracting(index.bodyStart..<message.count))
                guard let hash = hasher.finish() else { continue }
                fields += try signer.sign(index, bodyHash: hash, now: MessageInput.time(timestamp))
            }
            Console.sink.output(fields + message)
        }
    }
}
