import Base
import Protocols
import Reactor
import Telemetry
import TestKit

@testable import Server

/// A filter played by the test, behind a port of the simulated network. One value serves all its connections.
final class FakeMilter {
    enum Word {
        case say([UInt8])
        case silence
        case hangUp
    }

    let name: String
    let port: UInt16
    var steps: UInt32 = 0
    /// What it says to a packet; nil: continue, to what wants an answer.
    var answer: (Character, [UInt8]) -> Word? = { _, _ in nil }
    /// The packets it got, without macros; a body as its length.
    private(set) var heard: [String] = []
    private(set) var macros: [String: String] = [:]
    private(set) var macrosByStage: [String: [String: String]] = [:]
    private(set) var body: [UInt8] = []
    private(set) var headers: [String] = []
    private(set) var connections = 0
    private(set) var closed = 0
    private var open: [Connection] = []
    var negotiates = true

    init(_ name: String, port: UInt16) {
        self.name = name
        self.port = port
    }

    var letters: String { String(heard.compactMap(\.first)) }

    func forget() {
        heard = []
        headers = []
        body = []
    }

    func hangUp() { for c in open { c.close() } }

    func say(_ bytes: [UInt8]) { for c in open { c.write(bytes) } }

    static func packet(_ letter: Character, _ data: [UInt8] = []) -> [UInt8] {
        number(UInt32(data.count + 1)) + [letter.asciiValue ?? 0] + data
    }
    static func packet(_ letter: Character, _ texts: String...) -> [UInt8] { packet(letter, z(texts)) }
    static func packet(_ letter: Character, index: UInt32, _ texts: String...) -> [UInt8] {
        packet(letter, number(index) + z(texts))
    }
    static func z(_ texts: [String]) -> [UInt8] { texts.flatMap { Array($0.utf8) + [0] } }
    static func number(_ n: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: n >> (24 - 8 * UInt32($0))) } }

    func serve(_ c: Connection) -> any ConnectionDriver {
        connections += 1
        open.append(c)
        return Driver(self)
    }

    private final class Driver: ConnectionDriver {
        let filter: FakeMilter
        private var all: [UInt8] = []
        init(_ filter: FakeMilter) { self.filter = filter }

        func received(_ c: Connection, _ bytes: Span<UInt8>) -> Int {
            // A packet may be larger than what a connection keeps.
            for i in bytes.indices { all.append(bytes[i]) }
            var used = 0
            while all.count - used >= 4 {
                let length = all[used..<used + 4].reduce(0) { $0 << 8 | Int($1) }
                guard all.count - used >= 4 + length else { break }
                filter.take(Array(all[used + 4..<used + 4 + length]), c)
                used += 4 + length
            }
            all.removeFirst(used)
            return bytes.count
        }

        func closed(_ c: Connection, _ reason: CloseReason) {
            filter.closed += 1
            filter.open.removeAll { $0 === c }
        }
    }

    private func take(_ packet: [UInt8], _ c: Connection) {
        let letter = Character(Unicode.Scalar(packet[0]))
        let data = Array(packet.dropFirst())
        if letter == "D" {
            let texts = data.dropFirst().split(separator: 0, omittingEmptySubsequences: false).map(Self.text)
            for i in stride(from: 0, to: texts.count - 1, by: 2) {
                macros[texts[i]] = texts[i + 1]
                macrosByStage[Self.text(data[..<1]), default: [:]][texts[i]] = texts[i + 1]
            }
            return
        }
        note(letter, data)
        if let word = answer(letter, data) {
            switch word {
            case .say(let bytes): c.write(bytes)
            case .silence: break
            case .hangUp: c.close()
            }
            return
        }
        if letter == "O" {
            guard negotiates else { return }
            return c.write(Self.packet("O", Self.number(6) + Self.number(0x1FF) + Self.number(steps)))
        }
        let silent: [Character: UInt32] = [
            "U": 0x2_0000,
            "C": 0x1000, "H": 0x2000, "M": 0x4000, "R": 0x8000, "T": 0x10000, "N": 0x40000, "B": 0x80000, "L": 0x80,
        ]
        if letter == "A" || letter == "Q" || steps & (silent[letter] ?? 0) != 0 { return }
        c.write(Self.packet("c"))
    }

    private func note(_ letter: Character, _ data: [UInt8]) {
        let texts = data.split(separator: 0).map(Self.text)
        switch letter {
        case "B":
            heard.append("B \(data.count)")
            body += data
        case "L":
            heard.append("L \(texts.first ?? "")")
            headers.append(texts.joined(separator: ":"))
        case "O": heard.append("O")
        default: heard.append(([String(letter)] + texts).joined(separator: " "))
        }
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }
}

/// Filters and the chain that asks them, in one simulated reactor.
final class MilterWorld {
    let network = SimNetwork()
    let time = SimTime()
    let io: SimBackend
    let reactor: Reactor
    let metrics = MilterMetrics(Registry())
    let context: MilterContext
    private(set) var filters: [FakeMilter] = []
    private(set) var servers: [MilterServer] = []
    let chain: MilterChain

    /// A filter for each policy.
    init(
        _ policies: [MilterServer.FailurePolicy] = [.tempfail], limits: MilterLimits = MilterLimits(),
        away: Bool = false
    ) throws {
        io = SimBackend(network: network)
        var reactorLimits = ReactorLimits()
        reactorLimits.connections = 64
        reactorLimits.mailboxCapacity = 64
        reactor = Reactor(io: io, time: time, limits: reactorLimits)
        context = MilterContext(reactor: reactor, metrics: metrics, log: Log(level: .error), limits: limits)
        for (i, policy) in policies.enumerated() {
            let name = "f\(i)"
            var port: UInt16 = 9
            if !away {
                nonisolated(unsafe) var filter: FakeMilter?
                port = try reactor.listen(.inet(SocketAddress(ip: "127.0.0.1", port: 0)!)) { filter?.serve($0) }.port
                let made = FakeMilter(name, port: port)
                filter = made
                filters.append(made)
            }
            servers.append(
                MilterServer(
                    name: Array(name.utf8), target: .inet(SocketAddress(ip: "127.0.0.1", port: port)!),
                    timeoutSeconds: 30, onFailure: policy))
        }
        var facts = MilterConnectFacts()
        facts.hostname = Array("mx.example".utf8)
        facts.clientAddress = IPAddress("192.0.2.1")
        facts.clientPort = 0x4142
        facts.helo = Array("client.example".utf8)
        facts.began = reactor.now
        chain = MilterChain(servers: servers, context: context, facts: facts)
    }

    var filter: FakeMilter { filters[0] }

    func turns(_ n: Int = 200) { for _ in 0..<n { reactor.turn() } }
    func pass(_ seconds: Double) {
        time.advance(seconds: seconds)
        turns()
    }

    /// What the chain says to MAIL; nil: nothing yet.
    func mail(_ sender: String = "a@x.example", id: String = "ID1") -> MilterVerdict? {
        var mail = MilterMail(sender: Array(sender.utf8))
        mail.id = Array(id.utf8)
        mail.parameters = [Array("SIZE=10".utf8)]
        var said: MilterVerdict?
        chain.mail(mail) { said = $0 }
        turns()
        return said
    }

    func recipient(_ address: String = "b@y.example", _ filters: DomainFilters = .all) -> MilterVerdict? {
        var said: MilterVerdict?
        chain.recipient(Array(address.utf8), filters: filters.value) { said = $0 }
        turns()
        return said
    }

    static let header = "From: a@x.example\r\nSubject: hello\r\n\r\n"

    func message(_ body: String = "text\r\n", header: String = MilterWorld.header) -> MilterOutcome? {
        var outcome: MilterOutcome?
        chain.beginMessage(header: Array(header.utf8))
        turns()
        chain.body(Array(body.utf8).span)
        turns()
        chain.endOfMessage { outcome = $0 }
        turns()
        return outcome
    }
}
