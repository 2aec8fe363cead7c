import Base
import Crypto
import Delivery
import Handoff
import MailAuth
import Protocols
import Store

/// What a session writes a message into. The header is held back until it is complete, then parsed and freed of what
/// may not come in; the body is hashed for its signatures on its way to the store, so that nothing is left to do at the
/// final dot.
///
/// Owned by one `SMTPConnection`, on its loop's thread. Bounded: the header by `headerMax`, the rest by `BodyAssembler`.
struct InboundBody: BodySink {
    enum Purpose {
        /// Octets pass as they are.
        case pass
        /// From elsewhere: fields in our name go, signatures are hashed.
        case check
        /// From a front end of ours, which has checked it: it stays as it is.
        case keep
        /// Of our own: what is missing is added, blind copies go.
        case submit(now: WallTime, id: MessageID, domain: [UInt8])
    }

    private enum Phase {
        /// Octets pass as they are.
        case passing
        case header
        case body
        /// The header outgrew its bound: the session will refuse the message, nothing of it is kept.
        case spoilt
        /// The process died of this message twice: nothing looks at it, it goes to a file as it is.
        case aside
    }

    var store: BodyAssembler
    /// Octets of a header; the session's own limit.
    let headerMax: Int
    /// Names in which nobody else may state results.
    let ownNames: [[UInt8]]
    /// What is done with the next message.
    var purpose = Purpose.pass
    /// Whether the next message's signatures and author are wanted.
    var isJudged = true
    /// The envelope sender of the next message: with its header it names the message.
    var sender: [UInt8] = []
    let poison: PoisonService?
    /// Hashes of the body beside those that its signatures want: for signatures of ours.
    var extraHashes: [BodyHashKey] = []
    /// Set when the header is complete; taken by the driver, who asks DNS for what it names.
    private(set) var header: InboundHeader?
    /// The listener's filters: they get the message as it comes, once its header is whole.
    var filter: MilterChain?
    /// The filters see this message.
    private var isFiltered = false
    /// The header of a message that filters see, apart from the body: they may change it.
    private var filteredHeader: [UInt8]?
    private var phase = Phase.passing
    private var held: [UInt8] = []
    private var scanned = 0
    private var hashers = BodyHashers([])
    /// Of the message whose header was complete last, until the next transaction begins: its checks go on after `take`.
    private(set) var mark: ProgressMark?
    /// Of the transaction, until its message has one.
    private(set) var envelopeMark: ProgressMark?
    private var aside: SetAside?

    /// What `takeSetAside` hands on.
    struct SetAside {
        let body: SetAsideBody
        let entry: DeathRegister.Entry
    }

    init(store: BodyAssembler, headerMax: Int, ownNames: [[UInt8]], poison: PoisonService? = nil) {
        self.poison = poison
        self.store = store
        self.headerMax = headerMax
        self.ownNames = ownNames
    }

    mutating func begin() {
        discard()
        store.begin()
        isFiltered = filter?.wantsMessage ?? false
        if case .pass = purpose { phase = .passing } else { phase = .header }
    }

    mutating func append(_ bytes: Span<UInt8>) {
        switch phase {
        case .passing: store.append(bytes)
        case .header: hold(bytes)
        case .body:
            markInProgress()
            hashers.feed(bytes)
            keep(bytes)
        case .aside: setAside(bytes)
        case .spoilt: break
        }
    }

    /// At MAIL, before anything is asked or looked up: what was before is done with, and from here on `markInProgress` names
    /// this transaction. Returns what is known against it: the process died of it twice, and it is to be put off with
    /// `PoisonReplies.envelope`.
    mutating func beginEnvelope(
        client: IPAddress?, helo: [UInt8], sender: [UInt8]
    ) -> DeathRegister.Entry? {
        forgetMark()
        self.sender = sender
        guard let poison else { return nil }
        let fingerprint = MessageFingerprint.ofEnvelope(client: client, helo: helo, sender: sender)
        if let entry = poison.book.poison(.envelope, fingerprint) { return entry }
        envelopeMark = ProgressMark(.envelope, fingerprint, label: sender)
        markInProgress()
        return nil
    }

    /// Nothing is worked on for a message any more.
    mutating func forgetMark() {
        mark = nil
        envelopeMark = nil
    }

    /// Until the end of the reactor's event: this message, or the transaction before it, is what its thread works on.
    func markInProgress() {
        (mark ?? envelopeMark)?.begin()
    }

    /// At the end of data: whether the message must not be looked at, and `takeSetAside` has its octets instead of `take`.
    mutating func endsAside() -> Bool {
        if phase == .header { complete(at: held.count, isWhole: true) }
        return phase == .aside
    }

    mutating func discard() {
        store.discard()
        header = nil
        held = []
        scanned = 0
        hashers = BodyHashers([])
        filteredHeader = nil
        phase = .passing
        mark = nil
        if let aside { poison?.intake.abandon(aside.body) }
        aside = nil
    }

    /// Of the message that is arriving, in memory here.
    var heldOctets: Int { held.count + store.bufferedOctets }

    /// Too much waits for a filter.
    var filterWantsPause: Bool { isFiltered && filter?.wantsPause == true }

    private mutating func keep(_ bytes: Span<UInt8>) {
        store.append(bytes)
        if isFiltered { filter?.body(bytes) }
    }

    /// The header, once: complete since the last time it was asked for.
    mutating func takeHeader() -> InboundHeader? {
        defer { header = nil }
        return header
    }

    /// The whole message for the store, and what the signatures hash of it.
    mutating func take() -> Taken {
        if phase == .header { complete(at: held.count, isWhole: true) }
        let isSpoilt = phase == .spoilt
        let hashes = hashers.finish()
        hashers = BodyHashers([])
        phase = .passing
        defer { filteredHeader = nil }
        return Taken(
            outcome: isSpoilt ? .unavailable : store.take(), hashes: hashes, isSpoilt: isSpoilt,
            filteredHeader: filteredHeader)
    }

    struct Taken {
        let outcome: BodyAssembler.Outcome
        let hashes: [BodyHashKey: BodyHash]
        let isSpoilt: Bool
        /// nil: no filter saw the message, and the header is where it came, before the body.
        let filteredHeader: [UInt8]?
    }

    // MARK: Poison

    /// The octets of a message that is set aside, all of them on their way to its file; nil: there is none.
    mutating func takeSetAside() -> SetAside? {
        flushAside()
        phase = .passing
        defer { aside = nil }
        return aside
    }

    private mutating func setAside(_ bytes: Span<UInt8>) {
        held.append(bytes)
        if held.count >= SpoolBody.chunkMax { flushAside() }
    }

    private mutating func flushAside() {
        guard let aside, !held.isEmpty else { return }
        poison?.intake.append(aside.body, held)
        held = []
    }

    /// Names the message before anything of it is parsed. True: it is to be set aside.
    private mutating func isPoison(_ header: [UInt8]) -> Bool {
        guard let poison else { return false }
        let fingerprint = MessageFingerprint.of(sender: sender, header: header)
        mark = ProgressMark(.inbound, fingerprint, label: sender)
        if let entry = poison.book.poison(.inbound, fingerprint) {
            aside = SetAside(body: poison.intake.open(), entry: entry)
            return true
        }
        markInProgress()
        MarkedTrap.inbound(header)
        return false
    }

    // MARK: The header

    private mutating func hold(_ bytes: Span<UInt8>) {
        held.append(bytes)
        if let end = endOfHeader() {
            complete(at: end)
        } else if held.count > headerMax {
            held = []
            phase = .spoilt
        }
    }

    /// Behind the empty line, looking only at what is new.
    private mutating func endOfHeader() -> Int? {
        if held.count >= 2, held[0] == ASCII.cr, held[1] == ASCII.lf { return 2 }
        var from = max(0, scanned - 3)
        scanned = held.count
        while let i = ByteScan.firstIndex(of: ASCII.lf, in: held.span, from: from) {
            guard i + 2 < held.count else { return nil }
            if held[i + 1] == ASCII.cr, held[i + 2] == ASCII.lf { return i + 3 }
            from = i + 1
        }
        return nil
    }

    private mutating func complete(at end: Int, isWhole: Bool = false) {
        if isPoison(end == held.count ? held : Array(held[..<end])) {
            phase = .aside
            return flushAside()
        }
        let whole = held
        held = []
        scanned = 0
        phase = .body
        if case .submit(let now, let id, let domain) = purpose {
            return submit(whole, end, isWhole, now, id, domain)
        }
        let found: InboundHeader
        if case .keep = purpose {
            found = InboundHeader(own: Array(whole[..<end]))
        } else {
            found = InboundHeader(Array(whole[..<end]), claiming: ownNames, isJudged: isJudged)
        }
        // Fields beyond the bound are not seen, so nothing could be said of them.
        guard found.index.fields.count < HeaderIndex.fieldsMax else {
            phase = .spoilt
            return
        }
        header = found
        hashers = BodyHashers(found.dkim.bodyKeys + found.arc.bodyKeys + extraHashes)
        let span = whole.span
        // A line that is no field ends the header for readers, before the empty line does.
        hashers.feed(span.extracting(found.bodyStart..<whole.count))
        // Without what was forged.
        var kept: [UInt8] = []
        var next = 0
        for range in found.forged {
            if isFiltered {
                kept += whole[next..<range.lowerBound]
            } else {
                store.append(span.extracting(next..<range.lowerBound))
            }
            next = range.upperBound
        }
        if isFiltered {
            giveHeader(kept + whole[next..<max(next, found.bodyStart)])
            next = max(next, found.bodyStart)
        }
        keep(span.extracting(next..<whole.count))
    }

    private mutating func giveHeader(_ header: [UInt8]) {
        filteredHeader = header
        filter?.beginMessage(header: header)
    }

    /// Users do not speak in our name either (RFC 8601 §5).
    private func withoutForgeries(_ header: [UInt8]) -> [UInt8] {
        let forged = InboundHeader(header, claiming: ownNames).forged
        if forged.isEmpty { return header }
        var out: [UInt8] = []
        var next = 0
        for range in forged {
            out += header[next..<range.lowerBound]
            next = range.upperBound
        }
        return out + header[next...]
    }

    /// RFC 6409 §8: what the user's program left out is added, and blind copies stay blind.
    private mutating func submit(
        _ whole: [UInt8], _ end: Int, _ isWhole: Bool, _ now: WallTime, _ id: MessageID, _ domain: [UInt8]
    ) {
        let start = withoutForgeries(Array(whole[..<end]))
        guard HeaderIndex(start).fields.count < HeaderIndex.fieldsMax,
            let fixes = SubmissionFixes(
                start: start.span, isWhole: isWhole || end == whole.count, now: now, id: id, domain: domain)
        else {
            phase = .spoilt
            return
        }
        let fixed = fixes.isEmpty ? start : fixes.applied(to: start)
        let found = InboundHeader(own: fixed)
        // With what was added.
        guard found.index.fields.count < HeaderIndex.fieldsMax else {
            phase = .spoilt
            return
        }
        header = found
        hashers = BodyHashers(extraHashes)
        hashers.feed(fixed.span.extracting(found.bodyStart..<fixed.count))
        let rest = whole.span.extracting(end..<whole.count)
        hashers.feed(rest)
        if isFiltered {
            giveHeader(Array(fixed[..<found.bodyStart]))
            keep(fixed.span.extracting(found.bodyStart..<fixed.count))
        } else {
            store.append(fixed.span)
        }
        keep(rest)
    }
}
