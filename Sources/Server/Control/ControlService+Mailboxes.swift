import Base
import Policy
import Protocols
import Store

extension ControlService {
    /// Octets of a body read in one step; a multiple of 3, so that base64 of the pieces joins up.
    private static let sliceOctets = 196_608
    /// Messages of a folder verified in one step.
    private static let verifyPage = 200
    /// Octets read back in one step, but for a larger single message.
    private static let verifyOctets = 16 << 20

    func mailboxList(_ text: [UInt8], _ folderName: [UInt8], _ limit: Int, _ format: ControlFormat) -> ControlWork {
        guard let address = ControlAddress.mailbox(text) else { return Self.badAddress(text) }
        let limit = min(max(limit, 1), 10_000)
        return .read { (session) throws(StoreError) in
            let account = try Self.account(session, address)
            guard let folder = try Self.folder(session, account, folderName) else {
                let names = try session.folders(of: account).map(\.name).joined(separator: ", ")
                return .failed("no folder \"\(ControlText.shown(folderName))\"; there are \(names)")
            }
            let all = try session.list(account, folder: folder.id, before: nil, limit: limit + 1)
            let rows = all.prefix(limit).map { m -> [JSONValue] in
                [
                    .text(ControlText.shown(m.id.text)), .text(ControlText.utc(m.received)), .integer(m.size),
                    .text(Self.flags(m.flags)),
                    .text(format == .json ? ControlText.shown(m.sender) : "<\(ControlText.shown(m.sender))>"),
                    .text(ControlText.shown(m.recipient)),
                ]
            }
            var answer = Self.list(
                ["ID", "RECEIVED", "OCTETS", "FLAGS", "SENDER", "RECIPIENT"],
                ["id", "received", "octets", "flags", "sender", "recipient"], rows,
                empty: "no messages in \(folder.name)", format)
            if format == .text, all.count > limit { answer.say("… more; --limit N (\(limit) now) shows them") }
            return answer
        }
    }

    static func account(_ session: any StoreReaderSession, _ address: [UInt8]) throws(StoreError) -> AccountID {
        guard let account = try session.accounts().first(where: { $0.address == address }) else { throw .notFound }
        return account.id
    }

    static func folder(
        _ session: any StoreReaderSession, _ account: AccountID, _ name: [UInt8]
    ) throws(StoreError) -> Folder? {
        try session.folders(of: account).first { ASCII.equalIgnoringCase(Array($0.name.utf8), name) }
    }

    private static func flags(_ flags: MessageFlags) -> String {
        let names: [(MessageFlags, String)] = [
            (.seen, "seen"), (.answered, "answered"), (.flagged, "flagged"), (.draft, "draft"),
            (.forwarded, "forwarded"),
        ]
        let text = names.filter { flags.contains($0.0) }.map(\.1).joined(separator: ",")
        return text.isEmpty ? "-" : text
    }

    /// One slice at a time: the answer to offset 0 also has the header, the one that reaches the end is the last.
    func mailboxRead(
        _ text: [UInt8], _ id: MessageID, _ form: ControlMessageForm, _ offset: Int, _ format: ControlFormat
    ) -> ControlWork {
        guard let address = ControlAddress.mailbox(text) else { return Self.badAddress(text) }
        return .read { (session) throws(StoreError) in
            let account = try Self.account(session, address)
            guard let message = try session.message(id, of: account) else { throw .notFound }
            let slice = try Self.slice(session, message, offset)
            var answer = ControlAnswer()
            if offset == 0 { answer.output += Self.head(message, form, format) }
            switch (format, form) {
            case (.json, _): answer.output += Base64.encode(slice)
            case (.text, .raw): answer.output += slice
            case (.text, .readable): answer.output += Self.readable(slice)
            }
            let reached = offset + slice.count
            if reached < message.bodySize, !slice.isEmpty {
                answer.next = .mailboxRead(text, id, form: form, offset: reached)
            } else if format == .json {
                answer.output.append(ascii: "\"}\n")
            }
            return answer
        }
    }

    private static func slice(
        _ session: any StoreReaderSession, _ message: StoredMessage, _ offset: Int
    ) throws(StoreError) -> [UInt8] {
        var out: [UInt8] = []
        while out.count < sliceOctets {
            let more = try session.body(of: message.id, from: offset + out.count, max: sliceOctets - out.count)
            if more.isEmpty { break }
            out += more
        }
        return out
    }

    /// What stands before the body in the mailbox's copy.
    static func traceFields(_ message: StoredMessage) -> [UInt8] {
        // RFC 5321 §4.4: it starts with the reverse-path.
        var trace = Array("Return-Path: <".utf8) + message.sender
        trace.append(ascii: ">\r\n")
        return trace + message.trace
    }

    private static func head(_ message: StoredMessage, _ form: ControlMessageForm, _ format: ControlFormat) -> [UInt8] {
        let trace = traceFields(message)
        guard format == .json else { return form == .raw ? trace : readable(trace) }
        let members = [
            JSONMember("id", .text(ControlText.shown(message.id.text))),
            JSONMember("received", .text(ControlText.utc(message.received))),
            JSONMember("sender", .text(ControlText.shown(message.sender))),
            JSONMember("octets", .integer(trace.count + message.bodySize)),
            JSONMember("trace_base64", .text(String(decoding: Base64.encode(trace), as: UTF8.self))),
        ]
        var out = JSONValue.object(members).bytes
        out.removeLast()
        out.append(ascii: ",\"body_base64\":\"")
        return out
    }

    /// What a terminal may be shown: no control characters but LF and tab.
    private static func readable(_ bytes: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count)
        for c in bytes where c != ASCII.cr {
            if c == ASCII.lf || c == ASCII.tab || (c >= 0x20 && c != 0x7F) {
                out.append(c)
            } else {
                out += Array("\\x\(Hex.encode(byte: c))".utf8)
            }
        }
        return out
    }

    // MARK: Verification

    /// Reads every message of every folder back, a page at a time.
    func storeVerify(_ state: ControlVerifyState, _ format: ControlFormat) -> ControlWork {
        .read { (session) throws(StoreError) in
            var state = state
            guard let place = try Self.nextFolder(session, state) else { return Self.verified(state, format) }
            if place.account.rawValue != state.account || place.folder.rawValue != state.folder {
                state.account = place.account.rawValue
                state.folder = place.folder.rawValue
                state.before = nil
            }
            let page = try session.list(
                place.account, folder: place.folder, before: state.before.map(MessageID.init(rawValue:)),
                limit: Self.verifyPage)
            var complaints: [String] = []
            var looked = 0
            var octets = 0
            for summary in page {
                if octets >= Self.verifyOctets { break }
                looked += 1
                octets += summary.size
                state.before = summary.id.rawValue
                state.messages += 1
                state.octets += summary.size
                if let problem = Self.problem(session, summary) {
                    state.problems += 1
                    complaints.append("message \(ControlText.shown(summary.id.text)): \(problem)")
                }
            }
            if page.count < Self.verifyPage, looked == page.count {
                // Done with this folder: the next look is for the one after it.
                state.folder = place.folder.rawValue + 1
                state.before = nil
            }
            var answer = ControlAnswer(complaint: complaints.joined(separator: "\n"))
            answer.next = .storeVerify(state)
            return answer
        }
    }

    /// The first folder at or after the state's place, in order of account, then folder.
    private static func nextFolder(
        _ session: any StoreReaderSession, _ state: ControlVerifyState
    ) throws(StoreError) -> (account: AccountID, folder: FolderID)? {
        let accounts = try session.accounts().map(\.id).filter { $0.rawValue >= state.account }.sorted()
        for account in accounts {
            let from = account.rawValue == state.account ? state.folder : Int64.min
            let folders = try session.folders(of: account).map(\.id).filter { $0.rawValue >= from }.sorted()
            if let folder = folders.first { return (account, folder) }
        }
        return nil
    }

    private static func problem(_ session: any StoreReaderSession, _ summary: MessageSummary) -> String? {
        do throws(StoreError) {
            guard let message = try session.message(summary.id) else { return "its record is missing" }
            var read = 0
            while true {
                let slice = try session.body(of: summary.id, from: read, max: sliceOctets)
                if slice.isEmpty { break }
                read += slice.count
            }
            if read != message.bodySize { return "its body has \(read) octets and should have \(message.bodySize)" }
            if message.trace.count + read != summary.size { return "its sizes do not agree" }
            return nil
        } catch .corrupt(let detail) {
            return "damaged: \(detail)"
        } catch {
            return "cannot be read"
        }
    }

    private static func verified(_ state: ControlVerifyState, _ format: ControlFormat) -> ControlAnswer {
        var answer = object(
            [
                JSONMember("messages", .integer(state.messages)), JSONMember("octets", .integer(state.octets)),
                JSONMember("problems", .integer(state.problems)),
            ], format)
        if state.problems > 0 {
            answer.status = ExitStatus.problemsFound
            answer.complaint = "the store has damaged messages; restore them from a backup"
        }
        return answer
    }
}
