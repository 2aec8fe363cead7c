import Base
import Policy
import Protocols
import Store

/// How far an export has come.
package struct ControlExportState: Sendable, Equatable {
    /// The message last begun; older ones follow.
    var before: Int64?
    /// Octets of that message's body already given out; nil: it is complete.
    var offset: Int?

    package init() {}
}

extension ControlService {
    /// Octets of one answer at which it ends; the next one goes on.
    private static let answerOctets = 393_216
    private static let exportPage = 64

    /// A whole folder as `MESSAGE <id> <length>`, LF, that many octets, LF, newest first.
    func mailboxExport(
        _ text: [UInt8], _ folderName: [UInt8], _ state: ControlExportState
    ) -> ControlWork {
        guard let address = ControlAddress.mailbox(text) else { return Self.badAddress(text) }
        return .read { (session) throws(StoreError) in
            let account = try Self.account(session, address)
            guard let folder = try Self.folder(session, account, folderName) else { throw .notFound }
            var export = Export(session: session, state: state)
            try export.finishMessage()
            var more = true
            while more, export.state.offset == nil, export.output.count < Self.answerOctets {
                let before = export.state.before.map(MessageID.init(rawValue:))
                let page = try session.list(account, folder: folder.id, before: before, limit: Self.exportPage)
                more = !page.isEmpty
                for summary in page where export.state.offset == nil && export.output.count < Self.answerOctets {
                    try export.begin(summary.id)
                    try export.finishMessage()
                }
            }
            var answer = ControlAnswer(output: export.output)
            if more || export.state.offset != nil {
                answer.next = .mailboxExport(text, folder: folderName, export.state)
            }
            return answer
        }
    }

    /// The answer under construction.
    private struct Export {
        let session: any StoreReaderSession
        var state: ControlExportState
        var output: [UInt8] = []

        mutating func begin(_ id: MessageID) throws(StoreError) {
            state.before = id.rawValue
            // Removed since it was listed: left out.
            guard let message = try session.message(id) else { return }
            let head = ControlService.traceFields(message)
            output.append(ascii: "MESSAGE ")
            output += id.text
            output.append(ASCII.space)
            output.append(decimal: head.count + message.bodySize)
            output.append(ASCII.lf)
            output += head
            state.offset = 0
        }

        /// Gives out the rest of the message begun, as far as the answer has room.
        mutating func finishMessage() throws(StoreError) {
            while let offset = state.offset, let id = state.before, output.count < ControlService.answerOctets {
                let slice = try session.body(
                    of: MessageID(rawValue: id), from: offset, max: ControlService.answerOctets / 2)
                output += slice
                state.offset = offset + slice.count
                if slice.isEmpty {
                    output.append(ASCII.lf)
                    state.offset = nil
                }
            }
        }
    }
}
