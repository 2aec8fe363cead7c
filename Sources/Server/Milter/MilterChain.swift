import Base
import Ledger
package import Policy
package import Protocols
import Reactor
import Telemetry

/// The filters of one SMTP session, in order: each holds one connection, made at the first MAIL and used for every later
/// message. Owned by the session's driver, confined to the loop. Completions come on the loop's thread, once each, and
/// maybe before the call returns; none after `abort` or `close`. Bounded by `MilterLimits`.
///
/// The envelope is told to one filter after the other, so that none hears of what an earlier one refused. The message goes
/// to the first filter as it arrives, and to each later one with what those before it changed; a body beyond
/// `MilterLimits.keptMax` goes to all of them at once, as it arrived.
package final class MilterChain {
    package var facts: MilterConnectFacts
    /// Called when `wantsPause` has become false, unless that happened within a call of the owner's.
    package var onDrain: (() -> Void)?
    /// Too much waits for the filters: read nothing more until `onDrain`.
    package internal(set) var wantsPause = false
    /// The id of the message, told to filters as the queue id from the next command on.
    package var messageID: [UInt8] = []

    let context: MilterContext
    let links: [MilterLink]
    /// Numbers transactions, so that an answer to an old question is not taken for one to a new.
    private var serial: UInt64 = 0
    private(set) var mailFacts: MilterMail?
    private var currentRecipient: [UInt8] = []
    private var currentRoute = MilterRoute()

    // The message; see MilterChain+Message.
    var header = MilterHeader([])
    var content = MilterContent()
    /// Filters that hear it after those that hear it now.
    var waiting: [MilterLink] = []
    /// All hear it at once.
    var isSpread = false
    private var keptOctets = 0
    /// When the filters' time for the message is over; nil: its end has not come.
    var endsBy: Instant?
    var modifications = MilterModifications()
    /// What was changed so far, for `explain`; bounded by `FilterChange.changesMax`.
    var changes: [FilterChange] = []
    var changeCount = 0
    /// What was decided before the end.
    var decided: MilterVerdict?
    var outcomeWaiter: ((MilterOutcome) -> Void)?
    /// The owner hands something over, and looks at `wantsPause` itself afterwards.
    var isCalled = false
    /// The recipients taken so far, and those among them whose copy a filter throws away. Bounded by the session's own
    /// bound.
    var accepted: [[UInt8]] = []
    var discarded: Set<Int> = []
    private var events: [DefenseEvent] = []

    package init(servers: [MilterServer], context: MilterContext, facts: MilterConnectFacts) {
        self.facts = facts
        self.context = context
        links = servers.map { MilterLink($0, context) }
        for link in links { link.chain = self }
    }

    deinit {
        context.keptOctets -= keptOctets
        for link in links { link.quit() }
    }

    /// Tells the loop how much is held here.
    func account() {
        var held = content.kept + (modifications.body?.count ?? 0)
        for link in links { held += link.message.newBody?.count ?? 0 }
        context.keptOctets += held - keptOctets
        keptOctets = held
    }

    // MARK: The envelope

    /// At MAIL. Connects what is not connected and says HELO where it is new.
    package func mail(_ mail: MilterMail, _ completion: @escaping (MilterVerdict) -> Void) {
        abort()
        events = []
        mailFacts = mail
        messageID = mail.id
        for link in links { link.startOpening() }
        tellMail(0, mail, serial, completion)
    }

    private func tellMail(
        _ i: Int, _ mail: MilterMail, _ current: UInt64, mayRetry: Bool = true,
        _ completion: @escaping (MilterVerdict) -> Void
    ) {
        guard i < links.count else {
            return completion(links.contains { $0.part == .discarding } ? .discard : standing)
        }
        let link = links[i]
        link.prepare { [weak self] prepared in
            guard let self, serial == current else { return }
            switch prepared {
            case .failed(.closed) where mayRetry && link.isReused:
                return tellMail(i, mail, current, mayRetry: false, completion)
            case .failed(let failure): return mailFailed(link, failure, i, mail, current, completion)
            case .answer: break
            }
            if let answer = link.sessionAnswer, answer != .proceed {
                return mailAnswered(link, answer, i, mail, current, completion)
            }
            link.session.macros = macros
            link.ask(.envelope, { $0.mail(mail.sender, mail.parameters) }) { [weak self] answer in
                guard let self, serial == current else { return }
                switch answer {
                case .answer(let word): mailAnswered(link, word, i, mail, current, completion)
                case .failed(.closed) where mayRetry && link.isReused:
                    // It was restarted since the last message.
                    link.drop()
                    tellMail(i, mail, current, mayRetry: false, completion)
                case .failed(let failure): mailFailed(link, failure, i, mail, current, completion)
                }
            }
        }
    }

    private func mailAnswered(
        _ link: MilterLink, _ answer: MilterAnswer, _ i: Int, _ mail: MilterMail, _ current: UInt64,
        _ completion: @escaping (MilterVerdict) -> Void
    ) {
        switch verdict(answer, of: link, about: mail.sender) {
        case .proceed:
            link.part = .envelope
            tellMail(i + 1, mail, current, completion)
        case .accept: tellMail(i + 1, mail, current, completion)
        case .discard:
            link.part = .discarding
            tellMail(i + 1, mail, current, completion)
        case .refuse(let reply):
            endParts()
            completion(.refuse(reply))
        }
    }

    /// Which recipients a missing filter concerns is not known yet: each is told at its own RCPT.
    private func mailFailed(
        _ link: MilterLink, _ failure: MilterFailure, _ i: Int, _ mail: MilterMail, _ current: UInt64,
        _ completion: @escaping (MilterVerdict) -> Void
    ) {
        count(failure, of: link)
        if link.server.onFailure == .accept {
            noteAway(link, failure)
        } else {
            link.part = .broken
            link.brokenBy = failure
        }
        tellMail(i + 1, mail, current, completion)
    }

    /// At RCPT, one at a time. Filters the recipient's domain does not want are not told.
    package func recipient(
        _ address: [UInt8], parameters: [[UInt8]] = [], route: MilterRoute = MilterRoute(),
        filters: DomainDefense.Milters = .all, _ completion: @escaping (MilterVerdict) -> Void
    ) {
        if let decided { return completion(decided) }
        currentRecipient = address
        currentRoute = route
        tellRecipient(0, RecipientQuestion(address, parameters, filters, serial), completion)
    }

    private struct RecipientQuestion {
        let address: [UInt8]
        let parameters: [[UInt8]]
        let filters: DomainDefense.Milters
        let serial: UInt64
        /// Filters that let it through.
        var passed: [MilterLink] = []

        init(_ address: [UInt8], _ parameters: [[UInt8]], _ filters: DomainDefense.Milters, _ serial: UInt64) {
            self.address = address
            self.parameters = parameters
            self.filters = filters
            self.serial = serial
        }
    }

    private func tellRecipient(
        _ start: Int, _ question: RecipientQuestion, _ completion: @escaping (MilterVerdict) -> Void
    ) {
        guard let i = links.indices.dropFirst(start).first(where: { concerns(links[$0], question.filters) }) else {
            accept(question.address, toldTo: question.passed)
            return completion(standing)
        }
        let link = links[i]
        switch link.part {
        case .broken:
            noteAway(link, link.brokenBy, subject: question.address)
            return completion(.refuse(Self.awayReply))
        case .discarding:
            accept(question.address, toldTo: [link])
            return completion(.discard)
        case .envelope, .content, .out: break
        }
        link.session.macros = macros
        link.ask(.envelope, { $0.recipient(question.address, question.parameters) }) { [weak self] answer in
            guard let self, serial == question.serial else { return }
            switch answer {
            case .failed(let failure): recipientFailed(link, failure, i, question, completion)
            case .answer(let word): recipientAnswered(link, word, i, question, completion)
            }
        }
    }

    private func recipientAnswered(
        _ link: MilterLink, _ answer: MilterAnswer, _ i: Int, _ question: RecipientQuestion,
        _ completion: @escaping (MilterVerdict) -> Void
    ) {
        switch verdict(answer, of: link, about: question.address) {
        case .proceed:
            var question = question
            question.passed.append(link)
            tellRecipient(i + 1, question, completion)
        case .accept:
            link.part = .out
            tellRecipient(i + 1, question, completion)
        case .discard:
            link.part = .discarding
            accept(question.address, toldTo: [link])
            completion(.discard)
        case .refuse(let reply): completion(.refuse(reply))
        }
    }

    private func recipientFailed(
        _ link: MilterLink, _ failure: MilterFailure, _ i: Int, _ question: RecipientQuestion,
        _ completion: @escaping (MilterVerdict) -> Void
    ) {
        count(failure, of: link)
        noteAway(link, failure, subject: question.address)
        guard link.server.onFailure == .tempfail else {
            link.part = .out
            return tellRecipient(i + 1, question, completion)
        }
        link.part = .broken
        link.brokenBy = failure
        completion(.refuse(Self.awayReply))
    }

    private func accept(_ address: [UInt8], toldTo links: [MilterLink]) {
        for link in links { link.recipients.append(accepted.count) }
        accepted.append(address)
    }

    private func concerns(_ link: MilterLink, _ filters: DomainDefense.Milters) -> Bool {
        guard link.part != .out else { return false }
        switch filters {
        case .all: return true
        case .off: return false
        case .named(let names): return names.contains { ASCII.equalIgnoringCase($0, link.server.name) }
        }
    }

    /// What a command that every filter let through is told.
    private var standing: MilterVerdict {
        if let decided { return decided }
        return links.contains { $0.part != .out } ? .proceed : .accept
    }

    // MARK: Other commands

    /// A command that is none, at any time: the filters that want such are told, and may give it another refusal than it
    /// has anyway. nil: none did.
    package func unknown(_ line: [UInt8], _ completion: @escaping (Reply?) -> Void) {
        tellUnknown(0, line, serial, completion)
    }

    private func tellUnknown(
        _ i: Int, _ line: [UInt8], _ current: UInt64, _ completion: @escaping (Reply?) -> Void
    ) {
        guard i < links.count else { return completion(nil) }
        let link = links[i]
        // One that failed in this transaction, or is through with it, is left alone; so is one that hears a body, which is
        // between two BDAT: whatever it does with the command, what follows must be that body.
        guard link.part != .broken, link.part != .discarding, link.part != .content else {
            return tellUnknown(i + 1, line, current, completion)
        }
        // In a transaction a new connection would know nothing of it.
        if link.part == .envelope { return askUnknown(link, i, line, current, completion) }
        link.prepare { [weak self] prepared in
            guard let self, serial == current else { return }
            if case .failed(let failure) = prepared {
                return unknownFailed(link, failure, i, line, current, completion)
            }
            if let answer = link.sessionAnswer, answer != .proceed {
                return unknownAnswered(link, answer, i, line, current, completion)
            }
            askUnknown(link, i, line, current, completion)
        }
    }

    private func askUnknown(
        _ link: MilterLink, _ i: Int, _ line: [UInt8], _ current: UInt64, _ completion: @escaping (Reply?) -> Void
    ) {
        guard link.session.wantsUnknown else { return tellUnknown(i + 1, line, current, completion) }
        link.session.macros = macros
        link.ask(.envelope, { $0.unknown(line) }) { [weak self] answer in
            guard let self, serial == current else { return }
            switch answer {
            case .answer(let word): unknownAnswered(link, word, i, line, current, completion)
            case .failed(let failure): unknownFailed(link, failure, i, line, current, completion)
            }
        }
    }

    private func unknownAnswered(
        _ link: MilterLink, _ answer: MilterAnswer, _ i: Int, _ line: [UInt8], _ current: UInt64,
        _ completion: @escaping (Reply?) -> Void
    ) {
        // To throw a command away, or to accept it, means nothing: it stays refused.
        switch answer {
        case .proceed, .skip, .accept, .discard: tellUnknown(i + 1, line, current, completion)
        case .reject, .tempfail, .shutdown, .reply:
            guard case .refuse(let reply) = verdict(answer, of: link, about: []) else { return completion(nil) }
            completion(reply)
        }
    }

    private func unknownFailed(
        _ link: MilterLink, _ failure: MilterFailure, _ i: Int, _ line: [UInt8], _ current: UInt64,
        _ completion: @escaping (Reply?) -> Void
    ) {
        count(failure, of: link)
        if link.part == .envelope {
            link.drop()
            link.part = link.server.onFailure == .accept ? .out : .broken
            link.brokenBy = failure
            if link.server.onFailure == .accept { noteAway(link, failure) }
        }
        tellUnknown(i + 1, line, current, completion)
    }

    /// The reverse lookup has ended, and `facts` says how: filters that wait for it are told of the client.
    package func named() {
        facts.isNamed = true
        for link in links { link.named() }
    }

    /// The transaction is over without a message, or the message was refused elsewhere.
    package func abort() {
        serial &+= 1
        mailFacts = nil
        messageID = []
        currentRecipient = []
        currentRoute = MilterRoute()
        decided = nil
        outcomeWaiter = nil
        endParts()
        forgetMessage()
        forgetRecipients()
    }

    func forgetRecipients() {
        accepted = []
        discarded = []
    }

    /// The session ends.
    package func close() {
        abort()
        onDrain = nil
        for link in links { link.quit() }
    }

    /// No filter is part of the transaction any more.
    func endParts() {
        waiting = []
        for link in links {
            link.forgetOpening()
            // One that throws the message away is through with it.
            if link.part == .discarding { link.leaveTransaction() }
            link.recipients = []
            if link.part != .out || link.isAsked { link.endTransaction() }
        }
    }

    // MARK: Words

    /// What a filter's answer means, counted and noted.
    func verdict(_ answer: MilterAnswer, of link: MilterLink, about subject: [UInt8]) -> MilterVerdict {
        let results = context.metrics.results
        switch answer {
        case .proceed, .skip:
            results.add(.proceed)
            return .proceed
        case .accept:
            results.add(.accept)
            return .accept
        case .discard:
            results.add(.discard)
            note(.discarded, link, "takes the message and throws it away", subject: subject)
            return .discard
        case .reject: return refusal(Self.rejectReply, link, subject)
        case .tempfail: return refusal(Self.tempfailReply, link, subject)
        case .shutdown: return refusal(Self.shutdownReply, link, subject)
        case .reply(let reply): return refusal(reply, link, subject)
        }
    }

    private func refusal(_ reply: Reply, _ link: MilterLink, _ subject: [UInt8]) -> MilterVerdict {
        context.metrics.results.add(reply.code >= 500 ? .reject : .tempfail)
        let effect: DefenseEvent.Effect = reply.code == 421 ? .closed : reply.code >= 500 ? .refused : .deferred
        note(effect, link, "refuses", subject: subject, reply: reply)
        return .refuse(reply)
    }

    static let rejectReply = Reply(550, EnhancedStatus(5, 7, 1), "Refused by a mail filter")
    static let tempfailReply = Reply(451, EnhancedStatus(4, 7, 1), "A mail filter asks to try again later")
    static let awayReply = Reply(451, EnhancedStatus(4, 7, 1), "A mail filter cannot be asked now, try again later")
    // RFC 3463 §3.7: X.6.0, other or undefined media error.
    static let tooMuchReply = Reply(
        554, EnhancedStatus(5, 6, 0), "A mail filter wants more changed in the message than is possible")
    static let shutdownReply = Reply(421, EnhancedStatus(4, 7, 0), "A mail filter ends the session, try again later")

    func note(_ failure: MilterFailure, of link: MilterLink) {
        count(failure, of: link)
        noteAway(link, failure)
    }

    private func count(_ failure: MilterFailure, of link: MilterLink) {
        context.metrics.results.add(failure.label)
        if failure.isItsOwn,
            context.health.failed(link.server, at: link.stage, context.limits, context.reactor.now)
        {
            context.metrics.resting.add()
        }
        context.log.warning("milter_failed") {
            $0.add("milter", link.server.name)
            $0.add("reason", failure.text)
            $0.add("policy", link.server.onFailure.rawValue)
        }
    }

    func noteAway(_ link: MilterLink, _ failure: MilterFailure, subject: [UInt8] = []) {
        if let reply = failure.reply {
            return note(
                reply.code >= 500 ? .refused : .deferred, link, failure.text, subject: subject, reply: reply)
        }
        switch link.server.onFailure {
        case .accept: note(.passed, link, "\(failure.text); its policy is to let mail pass", subject: subject)
        case .tempfail: note(.deferred, link, failure.text, subject: subject, reply: Self.awayReply)
        }
    }

    func note(
        _ effect: DefenseEvent.Effect, _ link: MilterLink, _ detail: String, subject: [UInt8] = [], reply: Reply? = nil
    ) {
        guard events.count < DefenseEvent.eventsMax else { return }
        let name = String(decoding: link.server.name, as: UTF8.self)
        let after = context.reactor.now.seconds(since: facts.began) * 1e6
        events.append(
            DefenseEvent(
                .milter, effect, subject: subject, detail: "filter \(name) \(detail)", reply: reply,
                afterMicroseconds: after < 9e18 ? UInt64(after) : 0))
    }

    /// What the filters did since the last call, for a transaction that ends before its message.
    package func takeEvents() -> [DefenseEvent] {
        defer { events = [] }
        return events
    }

    // MARK: Macros

    var macros: MilterMacros {
        var m = MilterMacros()
        m["j"] = facts.hostname
        m["v"] = Array("Martlet".utf8)
        m["{daemon_name}"] = facts.daemonName
        let address = facts.clientAddress.map { Array("\($0)".utf8) } ?? []
        m["{client_addr}"] = address
        m["{client_name}"] = facts.clientName.isEmpty ? Array("unknown".utf8) : facts.clientName
        m["{client_ptr}"] = facts.clientPointer.isEmpty ? Array("unknown".utf8) : facts.clientPointer
        m["{client_resolve}"] = Array(facts.resolved.rawValue.utf8)
        if facts.clientPort > 0 { m["{client_port}"] = Array("\(facts.clientPort)".utf8) }
        m["_"] =
            facts.connectName + (facts.clientName.isEmpty || address.isEmpty ? [] : Array(" [".utf8) + address + [0x5D])
        if let local = facts.localAddress {
            m["{if_addr}"] = Array("\(local)".utf8)
            m["{if_name}"] = facts.hostname
            m["{daemon_addr}"] = Array("\(local)".utf8)
        }
        if facts.localPort > 0 { m["{daemon_port}"] = Array("\(facts.localPort)".utf8) }
        m["{tls_version}"] = facts.tlsVersion
        m["{cipher}"] = facts.cipher
        if facts.cipherBits > 0 { m["{cipher_bits}"] = Array("\(facts.cipherBits)".utf8) }
        m["{cert_subject}"] = facts.certificateSubject
        m["{cert_issuer}"] = facts.certificateIssuer
        m["i"] = messageID
        if let mailFacts {
            m["{mail_addr}"] = mailFacts.sender
            m["{auth_authen}"] = mailFacts.authenticated
            m["{auth_type}"] = mailFacts.mechanism
            m["{auth_author}"] = mailFacts.author
            m["{mail_host}"] = mailFacts.route.host
            m["{mail_mailer}"] = mailFacts.route.mailer
        }
        m["{rcpt_addr}"] = currentRecipient
        m["{rcpt_host}"] = currentRoute.host
        m["{rcpt_mailer}"] = currentRoute.mailer
        return m
    }
}
