import ArgumentParser
import Base

/// `martlet-bench verify`: every acknowledged message must be in each recipient's mailbox, whole and once.
struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Compares a ledger with the mailboxes of a server, or with a sink's ledger.")

    @Option(help: "The ledger `load` wrote.") var ledger: String
    @Option(help: "The server's configuration; its mailboxes are read with `martlet mailbox export`.") var config:
        String?
    @Option(help: "The ledger a `sink` wrote.") var sink: String?
    @Option(help: "The martlet program.") var martlet = "martlet"
    @Option(help: "At most so many problems of each kind are listed.") var show = 10
    @Flag(help: "Duplicates are no failure (a sender that lost a reply may repeat).") var allowDuplicates = false
    @Flag(help: "Report as JSON.") var json = false

    func validate() throws {
        if (config == nil) == (sink == nil) { throw ValidationError("give one of --config and --sink") }
    }

    func run() throws {
        guard let file = LedgerFile(path: ledger) else { Console.die("\(ledger) cannot be read", 66) }
        var check = DeliveryCheck(file)
        if let config {
            for mailbox in check.mailboxes { readMailbox(mailbox, config, &check) }
        } else if let sink {
            readSink(sink, &check)
        }
        let summary = check.summary()
        let isGood =
            summary.missing.isEmpty && check.damaged.isEmpty && check.misdelivered.isEmpty
            && (allowDuplicates || summary.duplicates.isEmpty)
        Console.out(json ? jsonReport(check, summary, isGood) : textReport(check, summary, isGood))
        if !isGood { throw ExitCode(2) }
    }

    /// The export is a stream of `MESSAGE <id> <length>`, LF, that many bytes, LF.
    private func readMailbox(_ mailbox: [UInt8], _ config: String, _ check: inout DeliveryCheck) {
        let address = String(decoding: mailbox, as: UTF8.self)
        guard let child = ChildProcess([martlet, "mailbox", "export", address, "--config", config]) else {
            Console.die("\(martlet) cannot be started", 69)
        }
        while let line = child.output.line() {
            let words = line.split(separator: ASCII.space)
            guard words.count == 3, words[0].elementsEqual("MESSAGE".utf8),
                let length = Decimal.parse(Array(words[2]).span),
                length <= 1 << 31, let message = child.output.bytes(Int(length)), child.output.line() == []
            else {
                Console.die("\(address): the export breaks off or is malformed at \(line.escapedText.prefix(80))", 65)
            }
            check.add(message, in: mailbox, named: "\(address) \(words[1].escaped)")
        }
        let status = child.wait()
        if status != 0 { Console.die("\(martlet) mailbox export \(address) ended with \(status)", 69) }
    }

    /// Lines `accepted <id> <sha256> <size> <recipient…> at=<us> [silent]`; a line the sink never finished was never acknowledged.
    private func readSink(_ path: String, _ check: inout DeliveryCheck) {
        guard let lines = LineReader(path: path) else { Console.die("\(path) cannot be read", 66) }
        while let line = lines.next() {
            let words = line.split(separator: ASCII.space)
            guard words.count >= 5, words[0].elementsEqual("accepted".utf8), let id = LedgerID(text: words[1]) else {
                continue
            }
            let size = Int(clamping: Decimal.parse(Array(words[3]).span) ?? 0)
            for recipient in words[4...] where recipient.contains(ASCII.at) {
                check.add(id, Array(words[2]), size, Array(recipient), "sink")
            }
        }
    }

    private func textReport(_ check: DeliveryCheck, _ summary: DeliveryCheck.Summary, _ isGood: Bool) -> String {
        var out = "sent \(summary.sent), acknowledged \(summary.acknowledged), copies owed \(summary.owed)\n"
        out +=
            "found \(check.copies), unacknowledged but whole \(summary.unacknowledged)"
        out += ", of other runs \(check.foreign)\n"
        for (name, list) in problems(check, summary) {
            out += "\(name) \(list.count)\n"
            for line in list.prefix(show) { out += "    \(line)\n" }
        }
        return out + (isGood ? "ok\n" : "FAILED\n")
    }

    private func problems(_ check: DeliveryCheck, _ summary: DeliveryCheck.Summary) -> [(String, [String])] {
        [
            ("missing", summary.missing), ("duplicates", summary.duplicates), ("damaged", check.damaged),
            ("misdelivered", check.misdelivered),
        ]
    }

    private func jsonReport(_ check: DeliveryCheck, _ summary: DeliveryCheck.Summary, _ isGood: Bool) -> String {
        var out =
            "{\"ok\":\(isGood),\"sent\":\(summary.sent),\"acknowledged\":\(summary.acknowledged)"
        out += ",\"owed\":\(summary.owed)"
        out += ",\"found\":\(check.copies),\"unacknowledged\":\(summary.unacknowledged),\"foreign\":\(check.foreign)"
        for (name, list) in problems(check, summary) {
            out += ",\"\(name)\":\(list.count),\"\(name)_first\":["
            out += list.prefix(show).map(Console.quoted).joined(separator: ",") + "]"
        }
        return out + "}\n"
    }
}

extension ArraySlice where Element == UInt8 {
    /// Text for people.
    var escaped: String { Array(self).escapedText }
}
