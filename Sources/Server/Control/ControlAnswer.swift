import Base
package import Store

/// A piece of an answer, or all of it.
package struct ControlAnswer: Sendable, Equatable {
    /// For standard output.
    package var output: [UInt8] = []
    /// For standard error, without a line end; empty: nothing.
    package var complaint = ""
    package var status = ExitStatus.success
    /// What to run for the next piece; nil: this was the last.
    package var next: ControlRequest?
    /// Of a command that changes something, how much it changed, where that can be counted.
    package var changes: Int?

    package init(output: [UInt8] = [], complaint: String = "", status: Int32 = ExitStatus.success) {
        self.output = output
        self.complaint = complaint
        self.status = status
    }

    /// One more line for standard error.
    mutating func say(_ line: String) { complaint += (complaint.isEmpty ? "" : "\n") + line }

    package static func failed(_ complaint: String, _ status: Int32 = ExitStatus.failure) -> ControlAnswer {
        ControlAnswer(complaint: complaint, status: status)
    }

    /// The frames to send for this piece; an `end` only when it is the last.
    package var frames: [UInt8] {
        var out: [UInt8] = []
        let pieceMax = ControlFrame.bytesMax / 2
        var from = 0
        while from < output.count {
            let to = min(from + pieceMax, output.count)
            out += ControlFrame(.output, Array(output[from..<to])).encoded
            from = to
        }
        if !complaint.isEmpty {
            out += ControlFrame(.complaint, Array((complaint + "\n").utf8.prefix(pieceMax))).encoded
        }
        if next == nil { out += ControlFrame(.end, [UInt8(truncatingIfNeeded: status)]).encoded }
        return out
    }

    /// What a store error means to the person at the keyboard; `what` is the thing asked for.
    package init(_ error: StoreError, _ what: String) {
        switch error {
        case .unavailable(.diskFull):
            self = .failed("\(what): the disk is full; free some space and try again", ExitStatus.temporary)
        case .unavailable(.inputOutput):
            self = .failed("\(what): the disk does not work; see the kernel's log", ExitStatus.temporary)
        case .unavailable(.busy):
            self = .failed("\(what): the store is busy; try again", ExitStatus.temporary)
        case .unavailable(.stopped):
            self = .failed("\(what): the server is stopping; try again in a moment", ExitStatus.temporary)
        case .conflict: self = .failed("\(what): exists already, or others depend on it; list them first")
        case .notFound:
            let kind = what.prefix { $0 != " " }
            if what.hasPrefix("dkim key") {
                self = .failed("\(what): not found; `martlet dkim list all` shows what there is")
                return
            }
            let list = ["domain", "account", "alias"].contains(kind) ? "\(kind) list" : "mailbox list ADDRESS"
            self = .failed(
                "\(what): not found; `martlet \(kind == "mailbox" ? "account list" : list)` shows what there is")
        case .invalid(let why): self = .failed("\(what): \(why)", ExitStatus.data)
        case .corrupt(let where_):
            self = .failed("\(what): the store is damaged at \(where_); run `martlet store verify`", ExitStatus.data)
        }
    }
}
