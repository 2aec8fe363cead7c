import Base

/// What the session tells its driver.
package enum MilterEvent: Sendable, Hashable {
    /// Negotiation is done: commands may follow.
    case ready
    /// To the command that waited.
    case answer(MilterAnswer)
    /// Before the answer to the end of the message.
    case change(MilterChange)
    /// The filter is still at work: wait longer.
    case progress
    /// Once, and last.
    case failed(MilterProblem)
}

/// How a filter broke the protocol.
package enum MilterProblem: String, Sendable, Hashable, Error {
    case badPacket = "not a packet of the protocol"
    case unexpected = "an answer nobody asked for"
    case version = "a version of the protocol before 2"
    case options = "options that were not offered"
}

/// Our side of the milter protocol, version 6, with one filter: octets in, events out, commands in, octets out. Decides
/// nothing about mail and knows no time. Owned by the driver of the connection.
///
/// One command waits at a time. Bounded: input by one packet, output by what the driver does not take.
package struct MilterSession: Sendable {
    package static let version: UInt32 = 6
    private enum State { case fresh, negotiating, ready, waiting(MilterCommand), failed }

    package private(set) var steps: MilterSteps = []
    package private(set) var actions: MilterActions = []
    package private(set) var peerVersion: UInt32 = 0
    package var macros = MilterMacros()

    private var state = State.fresh
    private var symbols = MilterMacros.usual
    private var reader = MilterPacketReader()
    private var writer = MilterPacketWriter()

    package init() {}

    /// Whether an answer is owed.
    package var isWaiting: Bool {
        switch state {
        case .negotiating, .waiting: true
        case .fresh, .ready, .failed: false
        }
    }

    package var hasOutput: Bool { !writer.out.isEmpty }

    package mutating func takeOutput() -> [UInt8] {
        defer { writer.out = [] }
        return writer.out
    }

    package var keepsLeadingSpace: Bool { steps.contains(.leadingSpace) }
    package var wantsBody: Bool { !steps.contains(.noBody) }
    package var wantsHeaders: Bool { !steps.contains(.noHeaders) }
    /// Whether commands that are none are told.
    package var wantsUnknown: Bool { peerVersion >= 3 && !steps.contains(.noUnknown) }
    /// Octets of one piece of a body.
    package var bodyPieceMax: Int { writer.dataMax }

    // MARK: Input

    /// Takes octets up to the end of one packet, from `index` on; nil when more are needed.
    package mutating func next(_ bytes: Span<UInt8>, _ index: inout Int) -> MilterEvent? {
        if case .failed = state {
            index = bytes.count
            return nil
        }
        switch reader.next(bytes, &index) {
        case .needMore: return nil
        case .invalid: return fail(.badPacket)
        case .packet(let packet):
            guard let reply = MilterReply(packet) else { return fail(.badPacket) }
            return take(reply)
        }
    }

    private mutating func fail(_ problem: MilterProblem) -> MilterEvent {
        state = .failed
        return .failed(problem)
    }

    private mutating func take(_ reply: MilterReply) -> MilterEvent {
        switch (state, reply) {
        case (.negotiating, .negotiated(let version, let actions, let steps, let symbols)):
            return negotiated(version, actions, steps, symbols)
        case (.waiting(let command), .answer(let answer)):
            if answer == .skip, command != .body, command != .header { return fail(.unexpected) }
            state = .ready
            return .answer(answer)
        case (.waiting(.endOfMessage), .change(let change)):
            return .change(change.isOne(of: actions) ? change : .notNegotiated)
        case (.waiting, .progress): return .progress
        case (_, .negotiated), (_, .answer), (_, .change), (_, .progress): return fail(.unexpected)
        }
    }

    private mutating func negotiated(
        _ version: UInt32, _ actions: MilterActions, _ steps: MilterSteps, _ lists: [MilterStage: [[UInt8]]]
    ) -> MilterEvent {
        guard version >= 2 else { return fail(.version) }
        guard MilterActions.offered.isSuperset(of: actions), MilterSteps.offered.isSuperset(of: steps) else {
            return fail(.options)
        }
        peerVersion = min(version, Self.version)
        self.actions = actions
        self.steps = steps
        writer.dataMax = steps.dataMax
        reader.dataMax = steps.dataMax
        for (stage, names) in lists { symbols[stage] = names }
        state = .ready
        return .ready
    }

    // MARK: Commands

    package mutating func negotiate() {
        guard case .fresh = state else { return }
        state = .negotiating
        writer.write(.negotiate) {
            MilterPacketWriter.append(Self.version, to: &$0)
            MilterPacketWriter.append(MilterActions.offered.rawValue, to: &$0)
            MilterPacketWriter.append(MilterSteps.offered.rawValue, to: &$0)
        }
    }

    /// Who connected. `name` is a host name, or an address in brackets; nil: over a Unix socket. True when an answer follows,
    /// as for every command here; false: go on at once.
    package mutating func connect(name: [UInt8], address: IPAddress?, port: UInt16) -> Bool {
        send(.connect, .connect, .noConnect, .silentConnect) { out in
            MilterPacketWriter.append(text: name, to: &out)
            guard let address else { return out.append(0x55) }  // U
            out.append(address.isIPv4 ? 0x34 : 0x36)
            out.append(UInt8(truncatingIfNeeded: port >> 8))
            out.append(UInt8(truncatingIfNeeded: port))
            MilterPacketWriter.append(text: Array("\(address)".utf8), to: &out)
        }
    }

    package mutating func helo(_ name: [UInt8]) -> Bool {
        send(.helo, .helo, .noHELO, .silentHELO) { MilterPacketWriter.append(text: name, to: &$0) }
    }

    /// `address` without its brackets.
    package mutating func mail(_ address: [UInt8], _ parameters: [[UInt8]]) -> Bool {
        send(.mail, .mail, .noMail, .silentMail) { Self.append(address, parameters, to: &$0) }
    }

    package mutating func recipient(_ address: [UInt8], _ parameters: [[UInt8]]) -> Bool {
        send(.recipient, .recipient, .noRecipient, .silentRecipient) { Self.append(address, parameters, to: &$0) }
    }

    private static func append(_ address: [UInt8], _ parameters: [[UInt8]], to out: inout [UInt8]) {
        MilterPacketWriter.append(text: [ASCII.less] + address + [ASCII.greater], to: &out)
        for p in parameters where !p.isEmpty { MilterPacketWriter.append(text: p, to: &out) }
    }

    package mutating func data() -> Bool {
        // Filters of version 3 and before do not know the command.
        if peerVersion < 4 { return false }
        return send(.data, .data, .noData, .silentData) { _ in }
    }

    /// A value that does not fit into one packet is cut; a field whose name no filter could name is left out.
    package mutating func header(_ name: [UInt8], _ value: [UInt8]) -> Bool {
        guard name.count <= MilterText.nameMax else { return false }
        // So that the end of the text fits too.
        let room = writer.dataMax - name.count - 2
        return send(.header, nil, .noHeaders, .silentHeader) {
            MilterPacketWriter.append(text: name, to: &$0)
            MilterPacketWriter.append(text: value.count < room ? value : Array(value.prefix(room)), to: &$0)
        }
    }

    package mutating func endOfHeader() -> Bool {
        send(.endOfHeader, .endOfHeader, .noEndOfHeader, .silentEndOfHeader) { _ in }
    }

    /// At most `bodyPieceMax` octets.
    package mutating func body(_ bytes: Span<UInt8>) -> Bool {
        send(.body, nil, .noBody, .silentBody) { $0.append(bytes) }
    }

    /// A command that is none, as it came. Its answer says what the client is told.
    package mutating func unknown(_ line: [UInt8]) -> Bool {
        // Filters of version 2 and before do not know the command.
        if peerVersion < 3 { return false }
        return send(.unknown, nil, .noUnknown, .silentUnknown) { MilterPacketWriter.append(text: line, to: &$0) }
    }

    /// Always answered.
    package mutating func endOfMessage() -> Bool { send(.endOfMessage, .endOfMessage, [], []) { _ in } }

    /// The transaction is over; never answered. Nothing may wait.
    package mutating func abort() {
        guard case .ready = state else { return }
        writer.write(.abort)
    }

    package mutating func quit() {
        switch state {
        case .ready, .waiting, .negotiating: writer.write(.quit)
        case .fresh, .failed: break
        }
    }

    private mutating func send(
        _ command: MilterCommand, _ stage: MilterStage?, _ unwanted: MilterSteps, _ silent: MilterSteps,
        _ body: (inout [UInt8]) -> Void
    ) -> Bool {
        guard case .ready = state else { return false }
        // A filter that leaves a step out may still want its macros.
        if let stage { sendMacros(stage) }
        if !unwanted.isEmpty, steps.contains(unwanted) { return false }
        writer.write(command, body)
        if !silent.isEmpty, steps.contains(silent) { return false }
        state = .waiting(command)
        return true
    }

    private mutating func sendMacros(_ stage: MilterStage) {
        let found = (symbols[stage] ?? []).compactMap { name in macros.value(name).map { (name, $0) } }
        guard !found.isEmpty else { return }
        var room = writer.dataMax - 1
        writer.write(.macros) { out in
            out.append(stage.command.rawValue)
            for (name, value) in found {
                let cut = value.count <= 1_024 ? value : Array(value.prefix(1_024))
                // Whole pairs: half of one would be no packet.
                room -= name.count + cut.count + 2
                guard room >= 0 else { return }
                MilterPacketWriter.append(text: name, to: &out)
                MilterPacketWriter.append(text: cut, to: &out)
            }
        }
    }
}
