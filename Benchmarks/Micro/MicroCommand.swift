import ArgumentParser
import CEpoll

/// `martlet-bench micro`
struct MicroCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "micro", abstract: "Measures parts of the server on one thread, without a network.")

    @Argument(help: "Which: session, client, dots, ring, timer, tls; all but tls by default.") var names: [String] = []
    @Option(help: "Seconds for each.") var seconds = 0.5
    @Option(help: "Certificate chain (PEM) for tls.") var cert: String?
    @Option(help: "Private key (PEM) for tls.") var key: String?
    @Flag(help: "Report as JSON.") var json = false

    private static let all = ["session", "client", "dots", "ring", "timer", "tls"]

    func validate() throws {
        for name in names where !Self.all.contains(name) {
            throw ValidationError("\(name): know \(Self.all.joined(separator: ", "))")
        }
        if names.contains("tls"), cert == nil || key == nil { throw ValidationError("tls needs --cert and --key") }
        guard seconds > 0, seconds <= 60 else { throw ValidationError("--seconds is 0 to 60") }
    }

    func run() throws {
        var results: [MicroResult] = []
        for name in names.isEmpty ? Self.all.filter({ $0 != "tls" || (cert != nil && key != nil) }) : names {
            switch name {
            case "session": results.append(SessionBench.run(seconds))
            case "client": results.append(ClientBench.run(seconds))
            case "dots": results += DotBench.run(seconds)
            case "ring": results.append(RingBench.run(seconds))
            case "timer": results.append(TimerBench.run(seconds))
            default: results.append(try TLSBench.run(seconds, cert ?? "", key ?? ""))
            }
            if !json, let last = results.last, name != "dots" { Console.out(last.line) }
            if !json, name == "dots" { for result in results.suffix(2) { Console.out(result.line) } }
        }
        if json { Console.out("{" + results.map(\.json).joined(separator: ",") + "}\n") }
    }
}

/// One figure of a micro-benchmark.
struct MicroResult {
    let name: String
    let unit: String
    let perSecond: Double

    var line: String {
        let rate = "\(Console.left(name, 12)) \(Console.right(Console.fixed(perSecond, 1), 16)) \(unit)/s"
        return unit == "GB" ? rate + "\n" : rate + ", \(Console.fixed(1e9 / max(perSecond, 1e-9), 0)) ns each\n"
    }
    var json: String {
        "\(Console.quoted(name)):{\"unit\":\(Console.quoted(unit)),\"per_second\":\(Console.fixed(perSecond, 2))}"
    }

    /// Calls `body` until the time is over; `body` returns how much it did.
    static func measure(_ name: String, _ unit: String, _ seconds: Double, _ body: () throws -> Double) rethrows
        -> MicroResult
    {
        _ = try body()
        let start = mt_monotonic_ns()
        let end = start + UInt64(seconds * 1e9)
        var done = 0.0
        var now = start
        while now < end {
            done += try body()
            now = mt_monotonic_ns()
        }
        return MicroResult(name: name, unit: unit, perSecond: done / (Double(now - start) / 1e9))
    }
}
