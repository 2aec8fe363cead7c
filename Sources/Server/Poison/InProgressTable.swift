package import Base
import CEpoll
package import Handoff

/// A thread that died of the message it worked on.
package struct WorkerDeath: Sendable, Hashable {
    package var kind: InProgress.Kind
    package var fingerprint: Fingerprint
    package var signal: Int32
    package var when: WallTime
    /// The id of the message, or its sender.
    package var label: [UInt8]
    package var thread: [UInt8]

    package init(
        kind: InProgress.Kind, fingerprint: Fingerprint, signal: Int32, when: WallTime, label: [UInt8] = [],
        thread: [UInt8] = []
    ) {
        self.kind = kind
        self.fingerprint = fingerprint
        self.signal = signal
        self.when = when
        self.label = label
        self.thread = thread
    }
}

/// The file in which threads note what they work on: read once at start, then mapped for the life of the process. Only a
/// thread that died of its own fault is in it, so that a killed process or a lost machine blames no message.
package enum InProgressTable {
    /// Threads that can have a slot; the others work without.
    static let slots = 256

    /// Who died in the run before. The file stays as it is until `begin`.
    static func deaths(_ path: String) -> [WorkerDeath] {
        let fd = mt_open(path, O_RDONLY, 0)
        guard fd >= 0 else { return [] }
        defer { _ = mt_close(fd) }
        var bytes = [UInt8](repeating: 0, count: slots * slotOctets)
        let count = bytes.withUnsafeMutableBytes { mt_pread(fd, $0.baseAddress, $0.count, 0) }
        return decode(Array(bytes.prefix(max(0, Int(count)))))
    }

    /// Clears and maps the file; from here on threads note what they do. Returns 0 or -errno.
    static func begin(_ path: String) -> Int32 {
        let fd = mt_open(path, O_RDWR | O_CREAT, 0o600)
        guard fd >= 0 else { return fd }
        defer { _ = mt_close(fd) }
        let mapped = mt_slots_map(fd, Int32(slots))
        return mapped < 0 ? mapped : mt_catch_deaths()
    }

    private static let slotOctets = MemoryLayout<mt_slot>.size

    /// Whatever the file holds: a slot that makes no sense is nobody's.
    static func decode(_ bytes: [UInt8]) -> [WorkerDeath] {
        stride(from: 0, through: bytes.count - slotOctets, by: slotOctets).compactMap { at in
            let slot = Array(bytes[at..<(at + slotOctets)])
            let signal = slot.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 0, as: UInt32.self) }
            let kind = slot.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 4, as: UInt32.self) }
            let when = slot.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 8, as: Int64.self) }
            guard (1...64).contains(signal), let kind = InProgress.Kind(rawValue: kind),
                (0...secondsMax).contains(when)
            else { return nil }
            return WorkerDeath(
                kind: kind, fingerprint: Fingerprint(Array(slot[16..<48])), signal: Int32(signal),
                when: WallTime(seconds: when), label: Array(slot[48..<96].prefix { $0 != 0 }),
                thread: Array(slot[96..<112].prefix { $0 != 0 }))
        }
    }

    /// The year 9999.
    private static let secondsMax: Int64 = 253_402_300_799
}

/// Names of the signals a process dies of.
enum SignalName {
    static func of(_ signal: Int32) -> String {
        switch signal {
        case SIGILL: "SIGILL"
        case SIGTRAP: "SIGTRAP"
        case SIGSEGV: "SIGSEGV"
        case SIGBUS: "SIGBUS"
        case SIGFPE: "SIGFPE"
        case SIGABRT: "SIGABRT"
        case SIGKILL: "SIGKILL"
        case SIGTERM: "SIGTERM"
        case SIGINT: "SIGINT"
        default: "signal \(signal)"
        }
    }
}
