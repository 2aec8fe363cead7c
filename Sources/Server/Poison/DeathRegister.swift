package import Base
package import Handoff

/// What processes died of: one entry a message, counted. Pure; the file form is lines of text.
///
/// Bounded by `entriesMax`, the oldest go first, and by `daysKept`.
package struct DeathRegister: Sendable, Equatable {
    package struct Entry: Sendable, Hashable {
        package var kind: InProgress.Kind
        package var fingerprint: Fingerprint
        package var deaths: Int
        package var signal: Int32
        package var last: WallTime
        package var label: [UInt8]

        /// From here on it is set aside.
        package var isPoison: Bool { deaths >= DeathRegister.poisonAt }
    }

    static let entriesMax = 1_024
    static let daysKept: Int64 = 30
    static let poisonAt = 2

    package private(set) var entries: [Entry] = []

    package init() {}

    /// Counts the deaths of one run: several threads may have died of one message, which is one death. The entries that
    /// changed.
    package mutating func note(_ deaths: [WorkerDeath]) -> [Entry] {
        var changed: [Entry] = []
        for death in deaths {
            let isCounted = changed.contains { $0.kind == death.kind && $0.fingerprint == death.fingerprint }
            if isCounted { continue }
            changed.append(count(death))
        }
        if entries.count > Self.entriesMax {
            entries.sort { $0.last > $1.last }
            entries.removeLast(entries.count - Self.entriesMax)
        }
        return changed
    }

    private mutating func count(_ death: WorkerDeath) -> Entry {
        if let at = index(death.kind, death.fingerprint) {
            entries[at].deaths += 1
            entries[at].signal = death.signal
            entries[at].last = death.when
            entries[at].label = death.label
            return entries[at]
        }
        let entry = Entry(
            kind: death.kind, fingerprint: death.fingerprint, deaths: 1, signal: death.signal, last: death.when,
            label: death.label)
        entries.append(entry)
        return entry
    }

    package func entry(_ kind: InProgress.Kind, _ fingerprint: Fingerprint) -> Entry? {
        index(kind, fingerprint).map { entries[$0] }
    }

    private func index(_ kind: InProgress.Kind, _ fingerprint: Fingerprint) -> Int? {
        entries.firstIndex { $0.kind == kind && $0.fingerprint == fingerprint }
    }

    /// What is older than `daysKept` is forgotten; a clock that was set back forgets nothing.
    package mutating func expire(now: WallTime) {
        entries.removeAll { now.seconds - $0.last.seconds > Self.daysKept * 86_400 }
    }

    package mutating func forget(_ kind: InProgress.Kind, _ fingerprint: Fingerprint) -> Bool {
        guard let at = index(kind, fingerprint) else { return false }
        entries.remove(at: at)
        return true
    }

    // MARK: File form

    private static let title = Array("martlet deaths 1".utf8)

    /// `kind fingerprint deaths signal seconds label`, the first and the last but numbers in hex.
    package func encoded() -> [UInt8] {
        var out = Self.title + [ASCII.lf]
        for e in entries {
            let label = e.label.isEmpty ? "-" : Hex.encode(e.label)
            let numbers = "\(e.deaths) \(e.signal) \(e.last.seconds)"
            out += Array("\(e.kind.name) \(Hex.encode(e.fingerprint.bytes)) \(numbers) \(label)\n".utf8)
        }
        return out
    }

    /// A line that makes no sense is left out: the worst that follows is one more death.
    package init(encoded bytes: [UInt8]) {
        for line in bytes.split(separator: ASCII.lf).prefix(Self.entriesMax + 1) {
            let parts = line.split(separator: ASCII.space).map { Array($0) }
            guard parts.count == 6,
                let kind = InProgress.Kind.allCases.first(where: { Array($0.name.utf8) == parts[0] }),
                let fingerprint = Self.octets(parts[1]), fingerprint.count == Fingerprint.octets,
                let deaths = Self.number(parts[2]), (1...1_000_000).contains(deaths),
                let signal = Self.number(parts[3]), signal <= 64,
                let seconds = Self.number(parts[4]), seconds <= 253_402_300_799
            else { continue }
            let key = Fingerprint(fingerprint)
            guard index(kind, key) == nil else { continue }
            entries.append(
                Entry(
                    kind: kind, fingerprint: key, deaths: Int(deaths), signal: Int32(signal),
                    last: WallTime(seconds: Int64(seconds)),
                    label: parts[5] == [ASCII.hyphen] ? [] : Self.octets(parts[5]) ?? []))
        }
    }
}

extension DeathRegister {
    private static func number(_ text: [UInt8]) -> UInt64? { Decimal.parse(text.span) }

    /// nil: not pairs of hex digits.
    static func octets(_ hex: [UInt8]) -> [UInt8]? {
        guard hex.count % 2 == 0 else { return nil }
        var out: [UInt8] = []
        for at in stride(from: 0, to: hex.count, by: 2) {
            guard let high = Hex.value(hex[at]), let low = Hex.value(hex[at + 1]) else { return nil }
            out.append(high << 4 | low)
        }
        return out
    }
}

extension InProgress.Kind {
    package var name: String {
        switch self {
        case .inbound: "inbound"
        case .delivery: "delivery"
        case .report: "report"
        case .envelope: "envelope"
        }
    }
}
