import Base
import Protocols

/// Packets as a filter writes them.
enum MilterFixture {
    static func packet(_ letter: Character, _ data: [UInt8] = []) -> [UInt8] {
        number(UInt32(data.count + 1)) + [letter.asciiValue ?? 0] + data
    }

    /// Texts that end with NUL each.
    static func packet(_ letter: Character, _ texts: String...) -> [UInt8] { packet(letter, z(texts)) }

    static func packet(_ letter: Character, index: UInt32, _ texts: String...) -> [UInt8] {
        packet(letter, number(index) + z(texts))
    }

    static func z(_ texts: [String]) -> [UInt8] { texts.flatMap { Array($0.utf8) + [0] } }

    static func number(_ n: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: n >> (24 - 8 * UInt32($0))) } }

    static func negotiation(
        version: UInt32 = 6, actions: UInt32 = 0x1FF, steps: UInt32 = 0, symbols: [(UInt32, String)] = []
    ) -> [UInt8] {
        packet("O", number(version) + number(actions) + number(steps) + symbols.flatMap { number($0.0) + z([$0.1]) })
    }

    /// A session that is ready for commands.
    static func ready(steps: UInt32 = 0, version: UInt32 = 6, symbols: [(UInt32, String)] = []) -> MilterSession {
        var session = MilterSession()
        session.negotiate()
        _ = session.takeOutput()
        _ = feed(&session, negotiation(version: version, steps: steps, symbols: symbols))
        return session
    }

    /// Everything the session says to these octets.
    static func feed(_ session: inout MilterSession, _ bytes: [UInt8], pieces: (Int) -> Int = { $0 }) -> [MilterEvent] {
        var events: [MilterEvent] = []
        var start = 0
        while start < bytes.count {
            let n = max(1, min(pieces(bytes.count - start), bytes.count - start))
            let piece = Array(bytes[start..<start + n])
            start += n
            var index = 0
            while let event = session.next(piece.span, &index) { events.append(event) }
            // All of it is taken, whatever it is.
            if index != piece.count { events.append(.failed(.unexpected)) }
        }
        return events
    }
}

extension String {
    var b: [UInt8] { Array(utf8) }
}
