package import Protocols

/// The level of every resource, in one word, so that all threads can read it from one atomic; and what follows from it.
/// Made by `PressureController`.
package struct PressureState: Sendable, Hashable {
    /// Two bits for each resource, the first lowest.
    package let word: UInt64

    package static let calm = PressureState(word: 0)

    package init(word: UInt64) { self.word = word }

    /// What `levels` says nothing of is calm.
    package init(_ levels: [PressureResource: PressureLevel]) {
        var word: UInt64 = 0
        for (resource, level) in levels { word |= UInt64(level.rawValue) << Self.shift(resource) }
        self.word = word
    }

    private static func shift(_ resource: PressureResource) -> UInt64 { UInt64(resource.rawValue) * 2 }

    package func level(of resource: PressureResource) -> PressureLevel {
        PressureLevel(rawValue: Int(word >> Self.shift(resource) & 3)) ?? .calm
    }

    package func setting(_ resource: PressureResource, to level: PressureLevel) -> PressureState {
        let cleared = word & ~(3 << Self.shift(resource))
        return PressureState(word: cleared | UInt64(level.rawValue) << Self.shift(resource))
    }

    package var isCalm: Bool { word == 0 }

    /// The worst level of all.
    package var level: PressureLevel {
        if isCalm { return .calm }
        var worst = PressureLevel.calm
        for resource in PressureResource.allCases { worst = max(worst, level(of: resource)) }
        return worst
    }

    /// The resource that is worst; of several the first. nil: all is calm.
    package var limiting: PressureResource? {
        if isCalm { return nil }
        let worst = level
        return PressureResource.allCases.first { level(of: $0) == worst }
    }

    /// Whether `action` is given up for a client. `known`: it is known good, trusted or logged in.
    ///
    /// Elevated: nobody is held, silent clients that are not known are waited for less long. High: no new connections of
    /// clients that are not known, unless it is only the disk that is short. Critical: no mail of theirs either, and
    /// nobody's when there is no room on the disk or the store does not keep up, because then nothing could be kept. Of
    /// what they began before, large messages go when it is memory that runs out: new mail alone is not what fills it.
    package func sheds(_ action: PressureAction, known: Bool) -> Bool {
        if isCalm { return false }
        switch action {
        case .hold: return true
        case .idle: return !known
        // A connection takes no room on the disk: its mail is told what is wrong.
        case .connection: return !known && setting(.disk, to: .calm).level >= .high
        case .mail:
            if level(of: .disk) == .critical || level(of: .commit) == .critical { return true }
            return !known && level == .critical
        case .message: return !known && level(of: .memory) == .critical
        }
    }

    /// How long a silent client is waited for, when the configuration says `configured` seconds.
    package func idleSeconds(_ configured: Double, known: Bool) -> Double {
        sheds(.idle, known: known) ? min(configured, Self.idleSecondsUnderPressure) : configured
    }

    package static let idleSecondsUnderPressure = 30.0

    // RFC 3463 §3.4: X.3.2, system not accepting network messages.
    package static let connectionReply = Reply(
        421, EnhancedStatus(4, 3, 2), "The server is too busy for new clients, try again later")
    // RFC 5321 §3.8: 421 may come at any time, in the middle of a message too.
    package static let messageReply = Reply(
        421, EnhancedStatus(4, 3, 2), "The server is short of memory, try again later")
    /// What an arriving message may keep in memory when strangers' messages are given up: more than the header of usual
    /// mail.
    package static let messageOctets = 32_768

    // RFC 3463 §3.4: X.3.1, mail system full.
    // RFC 5321 §4.3.2: 452 is a reply to MAIL.
    package static let mailReply = Reply(
        452, EnhancedStatus(4, 3, 1), "The server is short of a resource, try again later")
}
