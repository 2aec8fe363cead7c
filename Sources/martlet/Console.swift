import Base
import Foundation
import Server

/// Where commands write and ask. Data goes to standard output, talk to standard error; no colours, so `NO_COLOR` and
/// `TERM=dumb` change nothing.
enum Console {
    static var sink: ControlClient.Sink {
        ControlClient.Sink(output: { write($0, 1) }, complaint: { write($0, 2) })
    }

    static func say(_ text: String) { write(Array((text + "\n").utf8), 2) }
    static func print(_ text: String) { write(Array(text.utf8), 1) }
    static func error(_ text: String) { say("martlet: " + text) }

    static var inputIsTerminal: Bool { isatty(0) == 1 }

    /// A reader that went away (`| head`) ends the output, not the command.
    private static func write(_ bytes: [UInt8], _ descriptor: Int32) {
        var sent = 0
        bytes.withUnsafeBytes { buffer in
            while sent < buffer.count, let base = buffer.baseAddress {
                let n = Glibc.write(descriptor, base + sent, buffer.count - sent)
                if n < 0, errno == EINTR { continue }
                guard n > 0 else { return failed(errno, descriptor) }
                sent += n
            }
        }
    }

    /// A disk that is full must not look like success.
    private static func failed(_ code: Int32, _ descriptor: Int32) {
        guard descriptor == 1, code != EPIPE else { return }
        error("standard output: \(String(cString: strerror(code)))")
        exit(ExitStatus.inputOutput)
    }

    /// True only for a typed yes; without a terminal the question is not asked and the answer is yes.
    static func confirm(_ question: String) -> Bool {
        guard inputIsTerminal else { return true }
        write(Array((question + " [y/N] ").utf8), 2)
        let answer = readLine()?.lowercased() ?? ""
        return answer == "y" || answer == "yes"
    }

    /// The first line of standard input, without its end.
    static func passwordFromInput() -> Secret? { readLine(strippingNewline: true).map { Secret(Array($0.utf8)) } }

    /// Asks twice without showing what is typed; nil when the two differ or nothing was typed.
    static func askPassword(for address: String) -> Secret? {
        guard let first = askHidden("New password for \(address): "), !first.isEmpty,
            let second = askHidden("The same again: "), first == second
        else { return nil }
        return Secret(Array(first.utf8))
    }

    private static func askHidden(_ prompt: String) -> String? {
        write(Array(prompt.utf8), 2)
        var before = termios()
        guard tcgetattr(0, &before) == 0 else { return nil }
        var quiet = before
        quiet.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(0, TCSAFLUSH, &quiet)
        defer {
            tcsetattr(0, TCSAFLUSH, &before)
            write([ASCII.lf], 2)
        }
        return readLine(strippingNewline: true)
    }
}
