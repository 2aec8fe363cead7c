import Base
import Policy
import Protocols
import Reactor

/// The message itself: who hears it when, what is kept of it meanwhile, and what becomes of it.
extension MilterChain {
    /// Whether any filter wants the message: otherwise `beginMessage` and what follows need not be called.
    package var wantsMessage: Bool {
        decided != nil || links.contains { $0.part != .out && !$0.recipients.isEmpty }
    }

    /// The whole header block, with its empty line, as the message will be stored. What filters say of it is told at the
    /// end of the message.
    package func beginMessage(header block: [UInt8]) {
        forgetMessage()
        guard decided == nil else { return }
        isCalled = true
        defer { isCalled = false }
        for link in links where link.part == .discarding {
            guard !throwAway(askedBy: link) else { return decide(.discard) }
        }
        // A filter that failed after it was told of a recipient, and whose policy is to put mail off.
        if let broken = links.first(where: { $0.part == .broken && concernsAnybody($0) }) {
            noteAway(broken, broken.brokenBy)
            return decide(.refuse(Self.awayReply))
        }
        for link in links where link.part == .envelope && !concernsAnybody(link) { link.endTransaction() }
        waiting = links.filter { $0.part == .envelope }
        guard !waiting.isEmpty else { return }
        header = MilterHeader(block)
        startNext()
    }

    /// The next octets of the body, CRLF line ends, dots unstuffed. Copied.
    package func body(_ bytes: Span<UInt8>) {
        guard decided == nil, isAnybodyListening else { return }
        isCalled = true
        defer { isCalled = false }
        if isKept {
            content.append(bytes)
            account()
            let limits = context.limits
            if content.bytes.count > limits.keptMax || context.keptOctets > limits.keptByLoopMax { spread() }
        } else if links.contains(where: isHearingBody) {
            content.append(bytes)
        } else {
            content.skip(bytes.count)
        }
        pumpAll()
        consumed()
    }

    package func endOfMessage(_ completion: @escaping (MilterOutcome) -> Void) {
        outcomeWaiter = completion
        content.isComplete = true
        endsBy = context.reactor.now.advanced(bySeconds: context.limits.chainSecondsMax)
        isCalled = true
        pumpAll()
        isCalled = false
        finishIfDone()
    }

    // MARK: Who hears it

    private var listening: [MilterLink] { links.filter { $0.part == .content } }
    private var isAnybodyListening: Bool { !waiting.isEmpty || links.contains { $0.part == .content } }

    /// Whether the body is kept for a filter whose turn has not come.
    var isKept: Bool { waiting.contains { $0.session.wantsBody } }

    private func isHearingBody(_ link: MilterLink) -> Bool {
        link.part == .content && link.session.wantsBody && !link.message.skipsBody
    }

    private func pumpAll() {
        for link in links where link.part == .content { link.pumpMessage() }
    }

    /// The next filter, with the message as the earlier ones left it.
    private func startNext() {
        guard decided == nil, !waiting.isEmpty else { return }
        let next = waiting.removeFirst()
        guard !isOutOfTime else { return fail(next, .noTime) }
        next.session.macros = macros
        next.beginMessage()
        updatePause()
    }

    /// The body is too large to be kept: everybody hears it now.
    private func spread() {
        isSpread = true
        let all = waiting
        waiting = []
        // All of them take part before the first octet is taken, or what the others need would be forgotten.
        for link in all {
            link.session.macros = macros
            link.prepareMessage()
        }
        for link in all where link.part == .content { link.pumpMessage() }
    }

    /// The end of the message has taken all the time there is for it.
    var isOutOfTime: Bool { endsBy.map { context.reactor.now >= $0 } ?? false }

    /// The first octet that a filter which hears the message has not taken.
    private var firstUntaken: Int {
        var place = content.end
        for link in links where isHearingBody(link) { place = min(place, link.message.cursor) }
        return place
    }

    /// A filter took octets, or wants no more of them.
    func consumed() {
        if !isKept { content.forget(before: firstUntaken) }
        account()
        updatePause()
    }

    /// The client waits above the bound until half of it is left.
    private func updatePause() {
        let bound = wantsPause ? context.limits.bufferMax / 2 : context.limits.bufferMax
        let waits = decided == nil && content.end - firstUntaken > bound
        guard waits != wantsPause else { return }
        wantsPause = waits
        if !waits, !isCalled { onDrain?() }
    }

    func forgetMessage() {
        waiting = []
        endsBy = nil
        isSpread = false
        wantsPause = false
        header = MilterHeader([])
        content = MilterContent()
        modifications = MilterModifications()
        changes = []
        changeCount = 0
        account()
    }

    // MARK: What becomes of it

    /// A filter's last word on the message, or on a part of it.
    func messageAnswered(_ link: MilterLink, _ answer: MilterAnswer) {
        let isAtEnd = link.message.step == .ending
        link.message.endChanges()
        let message = link.message
        switch verdict(answer, of: link, about: []) {
        case .proceed, .accept:
            if isAtEnd, !apply(message, of: link) { return fail(link, .tooMuch) }
            link.leaveTransaction()
            wentOn()
        case .discard:
            link.leaveTransaction()
            if throwAway(askedBy: link) { decide(.discard) } else { wentOn() }
        case .refuse(let reply): decide(.refuse(reply))
        }
    }

    /// A filter's word to throw the message away holds for the recipients it was told of: the copy of those whose domain
    /// does not want the filter is not its to lose. True when nobody is left.
    private func throwAway(askedBy link: MilterLink) -> Bool {
        discarded.formUnion(link.recipients)
        guard discarded.count < accepted.count else { return true }
        if !link.recipients.isEmpty {
            let (own, all) = (link.recipients.count, accepted.count)
            note(.noted, link, "was asked for \(own) of \(all) recipients: only their copies are thrown away")
        }
        return false
    }

    /// A recipient whose copy is not thrown away.
    private func concernsAnybody(_ link: MilterLink) -> Bool { !discarded.isSuperset(of: link.recipients) }

    func messageFailed(_ link: MilterLink, _ failure: MilterFailure) { fail(link, failure) }

    private func fail(_ link: MilterLink, _ failure: MilterFailure) {
        link.drop()
        link.leaveTransaction()
        note(failure, of: link)
        if let reply = failure.reply { return decide(.refuse(reply)) }
        switch link.server.onFailure {
        case .accept: wentOn()
        case .tempfail: decide(.refuse(Self.awayReply))
        }
    }

    private func decide(_ verdict: MilterVerdict) {
        decided = verdict
        endParts()
        content = MilterContent()
        modifications = MilterModifications()
        account()
        finishIfDone()
        updatePause()
    }

    /// One filter is done, and the message goes on.
    private func wentOn() {
        if listening.isEmpty { startNext() }
        consumed()
        finishIfDone()
    }

    private func finishIfDone() {
        guard let waiter = outcomeWaiter, decided != nil || !isAnybodyListening else { return }
        outcomeWaiter = nil
        var outcome = MilterOutcome(verdict: decided ?? .proceed)
        if decided == nil {
            for i in discarded.sorted() {
                // RFC 5321 §4.5.1: the bare postmaster has no domain.
                let address = MailAddress(parsing: accepted[i]) ?? MailAddress(localpart: accepted[i], domain: [])
                remove(address, from: &modifications)
            }
            // A message that ended within its header has no line that would keep a new body apart.
            let made = modifications.body?.isEmpty == false ? header.bytesBeforeBody : header.bytes
            if header.isChanged || made.count != header.octets { modifications.header = made }
            outcome.modifications = modifications
            outcome.changes = changes
            outcome.changeCount = changeCount
        }
        outcome.events = takeEvents()
        endParts()
        decided = nil
        forgetMessage()
        forgetRecipients()
        waiter(outcome)
    }
}
