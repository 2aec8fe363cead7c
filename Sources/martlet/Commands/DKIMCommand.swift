import ArgumentParser
import Base
import Crypto
import MailAuth
import Server

struct DKIMCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dkim", abstract: "The keys that mail is signed with; make keys and sign messages.",
        subcommands: [
            DKIMGenerate.self, Import.self, List.self, Activate.self, Retire.self, Remove.self, Sign.self,
        ])

    struct Import: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Keep a private key that was made elsewhere for a domain.",
            discussion: "Prints the TXT record. The key signs nothing before `dkim activate`.")
        @Argument(help: "The domain.") var domain: String
        @Argument(help: "The private key, in PEM, or 32 bytes of Ed25519 in base64.", completion: .file())
        var file: String
        @Option(help: "The selector it is published under.") var selector: String
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions

        func run() throws {
            let key = try MessageInput.key(file)
            let request = ControlDKIMKey(domain: domain.bytes, selector: selector.bytes, privateKey: try key.pem())
            try config.run(.dkimAdd(request), json: output.json)
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the keys of a domain, or of all.")
        @Argument(help: "The domain, or all.") var domain = "all"
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions
        func run() throws {
            try config.run(.dkimList(domain == "all" ? nil : domain.bytes), json: output.json)
        }
    }

    struct Activate: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sign a domain's mail with a key from now on.",
            discussion: """
                The domain's active key of the same algorithm is retired; its record has to stay for seven days. With \
                --check the key is activated only when the DNS shows its record, as --dns servers see it; exit status 2 \
                otherwise.
                """)
        @Argument(help: "The domain.") var domain: String
        @Argument(help: "The selector, as in `dkim list`.") var selector: String
        @Flag(help: "Only when the DNS shows the record.") var check = false
        @OptionGroup var options: CheckOptions

        func run() throws {
            if check {
                let finding = try DomainRecordCheck(options: options).key(domain, selector)
                if finding.status != .ok || finding.isProblem {
                    Console.say(DomainRecordCheck.text(finding))
                    Console.error("\(selector) was not activated; publish the record and wait until it is seen")
                    throw ExitCode(ExitStatus.problemsFound)
                }
            }
            try options.config.run(
                .dkimActivate(domain.bytes, selector: selector.bytes), json: options.output.json)
        }
    }

    struct Retire: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sign nothing with a key any more.",
            discussion: "Its record has to stay for seven days: mail signed with it may still be on its way.")
        @Argument(help: "The domain.") var domain: String
        @Argument(help: "The selector.") var selector: String
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions
        func run() throws {
            try config.run(.dkimRetire(domain.bytes, selector: selector.bytes), json: output.json)
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Forget a retired key when its record is no more needed.")
        @Argument(help: "The domain.") var domain: String
        @Argument(help: "The selector.") var selector: String
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions
        func run() throws {
            try config.run(.dkimRemove(domain.bytes, selector: selector.bytes), json: output.json)
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
