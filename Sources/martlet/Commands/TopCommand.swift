import ArgumentParser
import Foundation
import Handoff
import Server
import Synchronization

struct TopCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top", abstract: "Watch the running server: rates, defences, queue and what is scarce.",
        discussion: """
            On a terminal a screen that is drawn anew at each interval; q ends it. Elsewhere, or with TERM=dumb, one block \
            of text for each interval, with --json one line. NO_COLOR leaves out the colours. Exits with 69 when no \
            server is running.
            """)
    @Option(help: ArgumentHelp("Time between two looks: 500ms, 1s, 1m.", valueName: "time")) var interval = "1s"
    @Flag(help: "Look for one interval, show it, and end.") var once = false
    @OptionGroup var config: ConfigOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard milliseconds != nil else { throw ValidationError("--interval is 100ms to 1h, such as 500ms, 1s or 1m") }
    }

    private var milliseconds: Int? {
        let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)]
        for (unit, size) in units where interval.hasSuffix(unit) {
            guard let n = Int(interval.dropLast(unit.count)), (1...1_000_000).contains(n) else { continue }
            return (100...3_600_000).contains(n * size) ? n * size : nil
        }
        return nil
    }

    func run() throws {
        let source = TopSource(configuration: try config.load().configuration)
        let wait = milliseconds ?? 1_000
        let isScreen = !output.json && !once && isatty(1) == 1 && isatty(0) == 1 && Self.variable("TERM") != "dumb"
        if isScreen {
            try TopTerminal(hasColor: Self.variable("NO_COLOR").isEmpty).run(source, milliseconds: wait)
        } else {
            try blocks(source, wait)
        }
    }

    private static func variable(_ name: String) -> String { ProcessInfo.processInfo.environment[name] ?? "" }

    private func blocks(_ source: TopSource, _ wait: Int) throws {
        var before = try source.snapshot()
        repeat {
            Mailbox<Void>(capacity: 2).wait(timeoutMilliseconds: Int32(clamping: wait))
            let now = try source.snapshot()
            let screen = TopScreen(now: now, before: before)
            if output.json {
                Console.print(String(decoding: screen.json.bytes, as: UTF8.self) + "\n")
            } else {
                Console.print(screen.lines(width: 0, height: 0).joined(separator: "\n") + (once ? "\n" : "\n\n"))
            }
            before = now
        } while !once
    }
}

/// Asks the server for its figures.
private struct TopSource {
    let configuration: Configuration

    /// Exits as the request did when there is no answer, and says why.
    func snapshot() throws -> TopSnapshot {
        var complaint: [UInt8] = []
        switch ask(&complaint) {
        case .success(let snapshot): return snapshot
        case .failure(let code):
            Console.say(String(decoding: complaint, as: UTF8.self).trimmingCharacters(in: .newlines))
            throw code
        }
    }

    func ask(_ complaint: inout [UInt8]) -> Result<TopSnapshot, ExitCode> {
        var answer: [UInt8] = []
        var said: [UInt8] = []
        let sink = ControlClient.Sink(output: { answer += $0 }, complaint: { said += $0 })
        let status = ControlCommand.run(.top, .json, configuration, into: sink)
        complaint = said
        guard status == ExitStatus.success else { return .failure(ExitCode(status)) }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        guard let snapshot = try? decoder.decode(TopSnapshot.self, from: Data(answer)) else {
            complaint = "martlet: the server's answer is not one; are both of one version?".bytes
            return .failure(ExitCode(ExitStatus.failure))
        }
        return .success(snapshot)
    }
}

/// The terminal while `top` has it: its own screen, keys as they are typed; put back as it was whatever ends it.
private struct TopTerminal {
    let hasColor: Bool

    /// Set by signals that end the program.
    private static let isEnded = Atomic(false)

    func run(_ source: TopSource, milliseconds: Int) throws {
        var before: TopSnapshot? = try source.snapshot()
        var saved = termios()
        guard tcgetattr(0, &saved) == 0 else { throw ExitCode(ExitStatus.failure) }
        var raw = saved
        raw.c_lflag &= ~tcflag_t(ECHO | ICANON | ISIG)
        for number in [SIGTERM, SIGHUP, SIGINT] {
            signal(number) { _ in TopTerminal.isEnded.store(true, ordering: .relaxed) }
        }
        tcsetattr(0, TCSAFLUSH, &raw)
        Console.print("\u{1B}[?1049h\u{1B}[?25l")
        defer {
            Console.print("\u{1B}[?25h\u{1B}[?1049l")
            tcsetattr(0, TCSAFLUSH, &saved)
        }
        if let before { draw(TopScreen(now: before, before: nil)) }
        while !ends(within: milliseconds) {
            var complaint: [UInt8] = []
            switch source.ask(&complaint) {
            case .success(let now):
                draw(TopScreen(now: now, before: before))
                before = now
            case .failure:
                // It may be restarting.
                show([String(decoding: complaint, as: UTF8.self).trimmingCharacters(in: .newlines), "", "q ends"])
            }
        }
    }

    /// Waits; true when the person or a signal ends it.
    private func ends(within milliseconds: Int) -> Bool {
        var key = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
        let ready = poll(&key, 1, Int32(milliseconds))
        if Self.isEnded.load(ordering: .relaxed) { return true }
        guard ready > 0 else { return false }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(0, &bytes, bytes.count)
        // q, Q, ^C; a terminal that went away reads nothing.
        return count <= 0 || bytes[..<count].contains { [0x71, 0x51, 0x03].contains($0) }
    }

    private func draw(_ screen: TopScreen) {
        var size = winsize()
        let isKnown = ioctl(1, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 && size.ws_row > 1
        show(screen.lines(width: isKnown ? Int(size.ws_col) - 1 : 79, height: isKnown ? Int(size.ws_row) - 1 : 23))
    }

    private func show(_ lines: [String]) {
        let text = lines.map { paint($0) + "\u{1B}[K\n" }.joined()
        Console.print("\u{1B}[H" + text + "\u{1B}[J")
    }

    /// Headings bold, what is scarce red.
    private func paint(_ line: String) -> String {
        guard hasColor else { return line }
        if line.hasPrefix("Pressure   limited by") { return "\u{1B}[1;31m" + line + "\u{1B}[0m" }
        let isHeading = ["martlet ", "DEFENCE ", "CLIENT WITH FAILURES"].contains { line.hasPrefix($0) }
        return isHeading ? "\u{1B}[1m" + line + "\u{1B}[0m" : line
    }
}
