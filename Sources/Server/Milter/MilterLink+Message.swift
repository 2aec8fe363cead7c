import Base
import Protocols
import Reactor

/// How far one message has come with one filter, and what the filter wants changed of it.
struct MilterLinkMessage {
    enum Step { case data, headers, endOfHeader, body, ending }

    var step = Step.data
    var view: MilterHeader.View?
    var nextField = 0
    /// The octets of the body already handed over.
    var cursor = 0
    /// It wants no more of the body.
    var skipsBody = false
    private(set) var changes: [MilterChange] = []
    private(set) var newBody: [UInt8]?
    private var lineEnds = WholeLineEnds()
    private var changedOctets = 0
    private var inserts = 0

    /// False: more than is allowed.
    mutating func keep(_ change: MilterChange, _ limits: MilterLimits) -> Bool {
        switch change {
        case .replaceBody(let piece):
            var body = newBody ?? []
            newBody = nil
            lineEnds.append(piece.span, to: &body)
            newBody = body
            return body.count <= min(limits.bodyMax, limits.keptByLoopMax)
        case .insertHeader(_, let name, let value):
            inserts += 1
            changedOctets += name.count + value.count
        case .addHeader(let name, let value), .changeHeader(_, let name, let value):
            changedOctets += name.count + value.count
        case .addRecipient(let wish): changedOctets += wish.ignored.count + (wish.recipient.orcpt?.count ?? 0)
        case .quarantine, .removeRecipient, .changeSender, .unusable, .notNegotiated: break
        }
        changes.append(change)
        return changes.count <= limits.changesMax && inserts <= limits.insertsMax && changedOctets <= limits.headerMax
    }

    /// No more changes come.
    mutating func endChanges() {
        guard var body = newBody else { return }
        newBody = nil
        lineEnds.finish(&body)
        newBody = body
    }
}

extension MilterLink {
    /// Octets on their way to the filter at which no more is sent.
    private static let outputMax = 128 << 10

    /// Begins to hear the message.
    func beginMessage() {
        prepareMessage()
        pumpMessage()
    }

    /// From here on the chain keeps for it what it has not taken; `pumpMessage` goes on.
    func prepareMessage() {
        guard let chain else { return }
        part = .content
        message = MilterLinkMessage()
        message.view = chain.header.view()
    }

    /// Hands over whatever can be handed over now.
    func pumpMessage() {
        while part == .content, !isWaiting {
            guard let chain, let connection, connection.isOpen else { return messageFailed(.closed) }
            if connection.pendingOutput > Self.outputMax { return awaitDrain(connection) }
            switch message.step {
            case .data:
                message.step = .headers
                say(.content) { $0.data() }
            case .headers: sayField(chain)
            case .endOfHeader:
                message.step = .body
                say(.content) { $0.endOfHeader() }
            case .body:
                guard sayBody(chain) else { return }
            case .ending: return
            }
        }
    }

    /// One command of the message; its answer goes on with it. Not for commands without an answer to recurse into.
    private func say(_ stage: MilterStageLabel, _ command: (inout MilterSession) -> Bool) {
        guard let connection else { return }
        let isOwed = command(&session)
        flush(connection)
        if isOwed { expectAnswer(stage) { [weak self] in self?.heard($0) } }
    }

    private func sayField(_ chain: MilterChain) {
        guard let view = message.view, session.wantsHeaders, message.nextField < chain.header.count(in: view) else {
            message.step = .endOfHeader
            return
        }
        let i = message.nextField
        message.nextField += 1
        let name = chain.header.name(i, in: view)
        let value = chain.header.value(i, in: view, keepsLeadingSpace: session.keepsLeadingSpace)
        say(.content) { $0.header(name, value) }
    }

    /// False: nothing to send now.
    private func sayBody(_ chain: MilterChain) -> Bool {
        let body = chain.content
        let wantsBody = session.wantsBody && !message.skipsBody
        if wantsBody, message.cursor < body.end {
            let n = min(session.bodyPieceMax, body.end - message.cursor)
            // Whole pieces while more is to come: fewer questions. Of large ones as much as comes before the client waits.
            guard n >= min(session.bodyPieceMax, chain.context.limits.bufferMax) || body.isComplete else {
                return false
            }
            let start = message.cursor - body.base
            message.cursor += n
            guard start >= 0, start + n <= body.bytes.count else {
                messageFailed(.closed)
                return false
            }
            let bytes = body.bytes.span.extracting(start..<start + n)
            say(.content) { $0.body(bytes) }
            chain.consumed()
            return true
        }
        guard body.isComplete else { return false }
        message.step = .ending
        say(.end) { $0.endOfMessage() }
        return true
    }

    private func heard(_ answer: Answer) {
        switch answer {
        case .failed(let failure): messageFailed(failure)
        case .answer(let word):
            switch word {
            case .proceed where message.step != .ending: pumpMessage()
            case .skip:
                if message.step == .headers { message.step = .endOfHeader } else { message.skipsBody = true }
                chain?.consumed()
                pumpMessage()
            case .proceed, .accept, .reject, .tempfail, .discard, .reply, .shutdown:
                chain?.messageAnswered(self, word)
            }
        }
    }

    func messageFailed(_ failure: MilterFailure) {
        guard part == .content else { return }
        chain?.messageFailed(self, failure)
    }
}
