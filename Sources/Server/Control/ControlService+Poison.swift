import Base
import Delivery
import Handoff
import Policy
import Protocols
import Store

/// What the commands need of the running process; the defaults are those of a command without one.
package struct ControlPoisonHooks: Sendable {
    /// nil: there is no such folder.
    package var folder: PoisonFolder?
    /// The register of deaths was changed on disk.
    package var changed: @Sendable (DeathRegister) -> Void = { _ in }
    /// Runs what may block, one at a time: the folder and its register have one thread that changes them. False: no room.
    package var perform: @Sendable (@escaping @Sendable () -> Void) -> Bool = {
        $0()
        return true
    }
    /// nil: no server runs, and the store is the command's own.
    package var server: Server?

    package struct Server: Sendable {
        let gateway: StoreGateway
        let directory: DirectoryPublisher
    }

    package init() {}
}

extension ControlService {
    private static let sliceOctets = 1 << 18
    /// Rows of one queued message.
    private static let heldMax = 10_000

    func poisonWork(_ request: ControlPoison, _ format: ControlFormat) -> ControlWork {
        guard let folder = hooks.poison.folder else {
            return .done(.failed("the folder of poison mail is not known", ExitStatus.unavailable))
        }
        if request.verb == .list { return poisonList(folder, format) }
        guard let id = request.id else { return .done(.failed("which message?", ExitStatus.usage)) }
        switch request.verb {
        case .show: return poisonShow(folder, id, format)
        case .raw: return poisonRaw(folder, request, id)
        case .release: return poisonRelease(folder, request, id, format)
        case .delete: return poisonDelete(folder, id, format)
        case .forget: return poisonForget(folder, id, format)
        case .list: return poisonList(folder, format)
        }
    }

    // MARK: Looking

    /// Files are read on a store's thread: the control connection's serves mail too.
    private func poisonList(_ folder: PoisonFolder, _ format: ControlFormat) -> ControlWork {
        .read { (session) throws(StoreError) in
            var rows = folder.messages().map { message in
                [
                    JSONValue.text(ControlText.shown(message.id.text)), .text("set aside"),
                    .text(ControlText.utc(message.received)), .text("<\(ControlText.shown(message.sender))>"),
                    .integer(message.recipients.count), .integer(message.octets), .integer(message.deaths),
                    .text(SignalName.of(message.signal)),
                ]
            }
            for entry in folder.register().entries where entry.isPoison {
                if let id = entry.envelopeID {
                    rows.append([
                        .text(ControlText.shown(id.text)), .text("put off at MAIL"),
                        .text(ControlText.utc(entry.last)), .text("<\(ControlText.shown(entry.label))>"), .integer(0),
                        .integer(0), .integer(entry.deaths), .text(SignalName.of(entry.signal)),
                    ])
                }
                guard let id = entry.queuedID else { continue }
                let held = try Self.queuedRows(id, session)
                guard let first = held.first else { continue }
                let message = try session.message(id)
                rows.append([
                    .text(ControlText.shown(id.text)), .text(first.isHeld ? "held in the queue" : "in the queue"),
                    .text(ControlText.utc(entry.last)), .text("<\(ControlText.shown(message?.sender ?? []))>"),
                    .integer(held.count), .integer(first.size), .integer(entry.deaths),
                    .text(SignalName.of(entry.signal)),
                ])
            }
            return Self.list(
                ["ID", "STATE", "SINCE", "SENDER", "RECIPIENTS", "OCTETS", "DEATHS", "SIGNAL"],
                ["id", "state", "since", "sender", "recipients", "octets", "deaths", "signal"], rows,
                empty: "no message was set aside", format)
        }
    }

    private static func queuedRows(
        _ id: MessageID, _ session: any StoreReaderSession
    ) throws(StoreError) -> [QueuedRecipient] {
        var filter = QueueFilter()
        filter.message = id
        return try session.queued(
            filter, after: nil, limit: heldMax, scanMax: heldMax, at: WallTime(microseconds: 0)
        ).rows
    }

    private func poisonShow(_ folder: PoisonFolder, _ id: MessageID, _ format: ControlFormat) -> ControlWork {
        .read { (_) throws(StoreError) in
            guard let message = folder.message(id) else { return Self.noPoison(id) }
            if format == .json { return ControlAnswer(output: message.json.bytes + [ASCII.lf]) }
            let members = [
                JSONMember("id", .text(ControlText.shown(message.id.text))),
                JSONMember("received", .text(ControlText.utc(message.received))),
                JSONMember("sender", .text("<\(ControlText.shown(message.sender))>")),
                JSONMember(
                    "recipients", .array(message.recipients.map { .text("<\(ControlText.shown($0.address))>") })),
                JSONMember("octets", .integer(message.octets)),
                JSONMember("client", .text(ControlText.shown(message.peer))),
                JSONMember("helo", .text(ControlText.shown(message.helo))),
                JSONMember(
                    "why", .text("the server died \(message.deaths) times, last by \(SignalName.of(message.signal))")),
                JSONMember("file", .text(folder.bodyPath(id))),
            ]
            return Self.object(members, .text)
        }
    }

    /// Octet by octet: who asks for them knows what they are.
    private func poisonRaw(_ folder: PoisonFolder, _ request: ControlPoison, _ id: MessageID) -> ControlWork {
        .read { (_) throws(StoreError) in
            guard let slice = folder.body(id, from: request.offset, most: Self.sliceOctets) else {
                return Self.noPoison(id)
            }
            var answer = ControlAnswer(output: slice)
            if slice.count == Self.sliceOctets {
                var next = request
                next.offset += slice.count
                answer.next = .poison(next)
            }
            return answer
        }
    }

    private static func noPoison(_ id: MessageID) -> ControlAnswer {
        .failed("message \(ControlText.shown(id.text)) is not set aside; `martlet poison list` shows what is")
    }

    // MARK: Release

    private func poisonRelease(
        _ folder: PoisonFolder, _ request: ControlPoison, _ id: MessageID, _ format: ControlFormat
    ) -> ControlWork {
        switch request.stage {
        case .look: findPoison(folder, request, id)
        case .accept: acceptPoison(folder, request, id)
        case .unhold:
            .write { (session) throws(StoreError) in
                var request = request
                request.rows = try session.setHeld(try Self.queuedRows(id, session).map(\.row), false)
                return Self.go(on: request, .stored)
            }
        case .stored: .apart(.poison) { self.released(folder, request, id, format) }
        }
    }

    private static func go(on request: ControlPoison, _ stage: ControlPoison.Stage) -> ControlAnswer {
        var request = request
        request.stage = stage
        var answer = ControlAnswer()
        answer.next = .poison(request)
        return answer
    }

    private func findPoison(_ folder: PoisonFolder, _ request: ControlPoison, _ id: MessageID) -> ControlWork {
        .read { (session) throws(StoreError) in
            if folder.message(id) != nil {
                // It is there when an earlier release was cut short after the store had it.
                return Self.go(on: request, try session.message(id) == nil ? .accept : .stored)
            }
            let isOurs = folder.register().entries.contains { $0.isPoison && $0.queuedID == id }
            guard isOurs, try !Self.queuedRows(id, session).isEmpty else { return Self.noPoison(id) }
            return Self.go(on: request, .unhold)
        }
    }

    private func acceptPoison(_ folder: PoisonFolder, _ request: ControlPoison, _ id: MessageID) -> ControlWork {
        let unreadable = ControlAnswer.failed(
            "the octets of \(ControlText.shown(id.text)) cannot be read, or the store takes none now", ExitStatus.data)
        guard let server = hooks.poison.server else {
            // The store is ours alone: nobody waits behind a large message.
            return .write { (session) throws(StoreError) in
                guard let message = folder.message(id), let body = folder.body(id, from: 0, most: .max),
                    body.count == message.octets
                else { return unreadable }
                let release = PoisonRelease(message, body: .inline(body), directory: try session.loadSnapshot())
                guard release.refused.isEmpty else { return Self.refusedRelease(id, release.refused) }
                try session.accept(release.request)
                return Self.go(on: release.counted(in: request), .stored)
            }
        }
        return .apart(.poison) {
            let spooling = PoisonSpooling(folder: folder, gateway: server.gateway)
            guard let message = folder.message(id) else { return Self.noPoison(id) }
            let directory = server.directory.current
            let plan = PoisonRelease(message, body: .inline([]), directory: directory)
            guard plan.refused.isEmpty else { return Self.refusedRelease(id, plan.refused) }
            guard let body = spooling.body(of: message) else { return unreadable }
            let release = PoisonRelease(message, body: body, directory: directory)
            if let error = spooling.accept(release.request) {
                return ControlAnswer(error, "message \(ControlText.shown(id.text))")
            }
            return Self.go(on: release.counted(in: request), .stored)
        }
    }

    private static func refusedRelease(_ id: MessageID, _ addresses: [[UInt8]]) -> ControlAnswer {
        let names = addresses.prefix(10).map { "<\(ControlText.shown($0))>" }.joined(separator: ", ")
        return .failed(
            "nothing was released: no mailbox takes mail for \(names) now; "
                + "`martlet poison show \(ControlText.shown(id.text)) --raw` gives the octets")
    }

    private func released(
        _ folder: PoisonFolder, _ request: ControlPoison, _ id: MessageID, _ format: ControlFormat
    ) -> ControlAnswer {
        let wasAside = folder.message(id) != nil
        if wasAside { _ = folder.remove(id) }
        // Queued mail is tried anew, also after the next start.
        if !wasAside { forget(folder) { $0.queuedID == id } }
        if request.rows > 0 { hooks.queue.changed(.rows) }
        let members = [
            JSONMember("id", .text(ControlText.shown(id.text))), JSONMember("mailboxes", .integer(request.mailboxes)),
            JSONMember("queued", .integer(request.rows)),
        ]
        return Self.changed(
            "released \(ControlText.shown(id.text)): \(request.mailboxes) mailboxes, \(request.rows) queued recipients",
            members, format)
    }

    // MARK: Delete and forget

    private func poisonDelete(_ folder: PoisonFolder, _ id: MessageID, _ format: ControlFormat) -> ControlWork {
        .apart(.poison) {
            guard folder.message(id) != nil, folder.remove(id) else { return Self.noPoison(id) }
            return Self.changed(
                "deleted \(ControlText.shown(id.text))", [JSONMember("id", .text(ControlText.shown(id.text)))], format)
        }
    }

    /// Mail like this is worked on again: the fault is mended.
    private func poisonForget(_ folder: PoisonFolder, _ id: MessageID, _ format: ControlFormat) -> ControlWork {
        .apart(.poison) {
            let fingerprint = folder.message(id)?.fingerprint
            let count = forget(folder) {
                $0.queuedID == id || $0.envelopeID == id || ($0.kind == .inbound && $0.fingerprint == fingerprint)
            }
            guard count > 0 else { return Self.noPoison(id) }
            return Self.changed(
                "mail like \(ControlText.shown(id.text)) is taken as any other again",
                [JSONMember("id", .text(ControlText.shown(id.text)))], format)
        }
    }

    /// On the one thread that changes the register.
    @discardableResult
    private func forget(_ folder: PoisonFolder, _ isMeant: (DeathRegister.Entry) -> Bool) -> Int {
        var register = folder.register()
        let meant = register.entries.filter(isMeant)
        for entry in meant { _ = register.forget(entry.kind, entry.fingerprint) }
        guard !meant.isEmpty, folder.write(register) == 0 else { return 0 }
        hooks.poison.changed(register)
        return meant.count
    }
}

extension DeathRegister.Entry {
    /// The queued message; nil: it is none.
    var queuedID: MessageID? { isQueued ? MessageID(text: Array(fingerprint.bytes.prefix(13))) : nil }

    var isQueued: Bool { kind == .delivery || kind == .report }

    /// A name by which commands can mean a transaction that is put off; nil: it is none.
    var envelopeID: MessageID? {
        guard kind == .envelope else { return nil }
        let number = fingerprint.bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return MessageID(rawValue: Int64(number >> 1))
    }
}

extension PoisonRelease {
    func counted(in request: ControlPoison) -> ControlPoison {
        var request = request
        request.mailboxes = self.request.local.count
        request.rows = self.request.remote.count
        return request
    }
}
