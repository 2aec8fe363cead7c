import ArgumentParser
import Base
import Crypto
import MailAuth
import Server

struct DKIMGenerate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Make a key pair.",
        discussion: """
            Keeps the private key for a domain of this server and prints the TXT record to publish; nothing is signed \
            with it before `dkim activate`.

            With --print, with --type, or where there is no domain or no configuration, nothing is kept: the private \
            key is printed in PEM on standard output, and the TXT record on standard error.
            """)

    enum Kind: String, ExpressibleByArgument, CaseIterable { case rsa, ed25519 }

    @Option(help: "rsa, which every verifier knows, or ed25519.")
    var algorithm: Kind?
    @Option(help: "The same, and only print the key.")
    var type: Kind?
    @Option(help: "Bits of an RSA key: 2048, 3072 or 4096; down to 1024 when it is only printed.")
    var bits = 2_048
    @Option(help: "The selector to publish it under (default: by year and algorithm, such as 2026a-rsa).")
    var selector: String?
    @Flag(name: .customLong("print"), help: "Keep nothing, print the private key.")
    var isFilter = false
    @OptionGroup var config: ConfigOptions
    @OptionGroup var output: OutputOptions
    @Argument(help: "The domain.")
    var domain: String?

    func validate() throws {
        if algorithm != nil, type != nil { throw ValidationError("give --algorithm or --type") }
        guard prints else {
            if ![2_048, 3_072, 4_096].contains(bits) { throw ValidationError("--bits: 2048, 3072 or 4096") }
            return
        }
        if !(1_024...4_096).contains(bits) { throw ValidationError("--bits: 1024 to 4096") }
    }

    private var prints: Bool {
        isFilter || type != nil || domain == nil || (algorithm == nil && config.inputs.path == nil)
    }

    func run() throws {
        let key = try PrivateKey(generate: (algorithm ?? type) == .ed25519 ? .ed25519 : .rsa, bits: bits)
        if !prints, let domain {
            let request = ControlDKIMKey(
                domain: domain.bytes, selector: selector?.bytes ?? [], privateKey: try key.pem())
            return try config.run(.dkimAdd(request), json: output.json)
        }
        try show(key)
    }

    private func show(_ key: PrivateKey) throws {
        let pem = String(decoding: try key.pem().bytes, as: UTF8.self)
        let record = try key.recordText()
        let name = "\(selector ?? "selector")._domainkey.\(domain ?? "example.org")"
        if output.json {
            Console.print([
                JSONMember("name", .text(name)), JSONMember("record", .text(String(decoding: record, as: UTF8.self))),
                JSONMember("private_key", .text(pem)),
            ])
        } else {
            Console.print(pem)
            Console.say("\(name). IN TXT \(String(decoding: DNSRecordAdvice.strings(record), as: UTF8.self))")
        }
    }
}
