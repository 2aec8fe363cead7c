import Base
import Protocols
import Reactor

/// The message itself: who hears it when, what is kept of it meanwhile, and what becomes of it.
extension MilterChain {
    /// Whether any filter wants the message: otherwise `beginMessage` and what follows need not be called.
    package var wantsMessage: Bool {
        decided != nil || links.contains { ($0.part == .envelope || $0.part == .broken) && $0.recipients > 0 }
    }

    /// The whole header block, with its empty line, as the message will be stored. What filters say of it is told at the
    /// end of the message.
    package func beginMessage(header block: [UInt8]) {
        forgetMessage()
        guard decided == nil else { return }
        // A filter that failed after it was told of a recipient, and whose policy is to put mail off.
        guard !links.contains(where: { $0.part == .broken && $0.recipients > 0 }) else {
            decided = .refuse(Self.awayReply)
            return endParts()
        }
        for link in links where link.part != .out && link.recipients == 0 { link.endTransaction() }
        waiting = links.filter { $0.part == .envelope }
        guard !waiting.isEmpty else { return }
        header = MilterHeader(block)
        startNext()
    }

    /// The next octets of the body, CRLF line ends, dots unstuffed. Copied.
    package func body(_ bytes: Span<UInt8>) {
        guard decided == nil, isAnybodyListening else { return }
        content.append(bytes)
        keep(waiting.isEmpty ? 0 : content.bytes.count)
        if !waiting.isEmpty, keptOctets > context.limits.keptMax || context.keptOctets > context.limits.keptByLoopMax {
            spread()
        }
        pumpAll()
        pausing = wantsPause
    }

    /// Too much waits for the filters: read nothing more until `onDrain`.
    package var wantsPause: Bool { decided == nil && backlog > context.limits.bufferMax }

    package func endOfMessage(_ completion: @escaping (MilterOutcome) -> Void) {
        outcomeWaiter = completion
        content.isComplete = true
        pumpAll()
        finishIfDone()
    }

    // MARK: Who hears it

    private var listening: [MilterLink] { links.filter { $0.part == .content } }
    private var isAnybodyListening: Bool { !waiting.isEmpty || links.contains { $0.part == .content } }

    private func pumpAll() {
        for link in links where link.part == .content { link.pumpMessage() }
    }

    /// The next filter, with the message as the earlier ones left it.
    private func startNext() {
        guard decided == nil, !waiting.isEmpty else { return }
        let next = waiting.removeFirst()
        if waiting.isEmpty { keep(0) }
        next.session.macros = macros
        next.beginMessage()
    }

    /// The body is too large to be kept: everybody hears it now.
    private func spread() {
        isSpread = true
        let all = waiting
        waiting = []
        keep(0)
        for link in all {
            link.session.macros = macros
            link.beginMessage()
        }
    }

    private func keep(_ octets: Int) {
        context.keptOctets += octets - keptOctets
        keptOctets = octets
    }

    /// Octets that a filter which hears the message has not taken.
    private var backlog: Int {
        var start = content.end
        for link in links where link.part == .content && wantsBody(link) { start = min(start, link.message.cursor) }
        return content.end - start
    }

    private func wantsBody(_ link: MilterLink) -> Bool { link.session.wantsBody && !link.message.skipsBody }

    /// A filter took octets, or wants no more of them.
    func consumed() {
        if waiting.isEmpty {
            var place = content.end
            for link in links where link.part == .content && wantsBody(link) { place = min(place, link.message.cursor) }
            content.forget(before: place)
        }
        guard pausing, backlog <= context.limits.bufferMax / 2 else { return }
        pausing = false
        onDrain?()
    }

    func forgetMessage() {
        waiting = []
        keep(0)
        isSpread = false
        pausing = false
        header = MilterHeader([])
        content = MilterContent()
        modifications = MilterModifications()
    }

    // MARK: What becomes of it

    /// A filter's last word on the message, or on a part of it.
    func messageAnswered(_ link: MilterLink, _ answer: MilterAnswer) {
        context.health.succeeded(link.server)
        let isAtEnd = link.message.step == .ending
        let message = link.message
        switch verdict(answer, of: link, about: []) {
        case .proceed, .accept:
            if isAtEnd, !apply(message, of: link) { return fail(link, .tooMuch) }
            link.leaveTransaction()
            wentOn()
        case .discard: decide(.discard)
        case .refuse(let reply): decide(.refuse(reply))
        }
    }

    func messageFailed(_ link: MilterLink, _ failure: MilterFailure) { fail(link, failure) }

    private func fail(_ link: MilterLink, _ failure: MilterFailure) {
        link.drop()
        link.leaveTransaction()
        note(failure, of: link)
        switch link.server.onFailure {
        case .accept: wentOn()
        case .tempfail: decide(.refuse(Self.awayReply))
        }
    }

    private func decide(_ verdict: MilterVerdict) {
        decided = verdict
        endParts()
        content = MilterContent()
        keep(0)
        finishIfDone()
        release()
    }

    /// One filter is done, and the message goes on.
    private func wentOn() {
        if listening.isEmpty { startNext() }
        consumed()
        if !isAnybodyListening { release() }
        finishIfDone()
    }

    /// Nobody makes the client wait any more.
    private func release() {
        guard pausing, !wantsPause else { return }
        pausing = false
        onDrain?()
    }

    private func finishIfDone() {
        guard let waiter = outcomeWaiter, decided != nil || !isAnybodyListening else { return }
        outcomeWaiter = nil
        var outcome = MilterOutcome(verdict: decided ?? .proceed)
        if decided == nil {
            // A message that ended within its header has no line that would keep a new body apart.
            let made = modifications.body?.isEmpty == false ? header.bytesBeforeBody : header.bytes
            if header.isChanged || made.count != header.octets { modifications.header = made }
            outcome.modifications = modifications
        }
        outcome.events = takeEvents()
        endParts()
        decided = nil
        forgetMessage()
        waiter(outcome)
    }
}
