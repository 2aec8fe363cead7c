package import Handoff
import Synchronization

/// Which messages ended the process twice. Asked by every loop for every message; costs one load while there are none.
///
/// Shareable: the register is behind a lock, whether it is worth asking is an atomic.
package final class PoisonBook: Sendable {
    private let register: Mutex<DeathRegister>
    private let holdsAny: Atomic<Bool>

    package init(_ register: DeathRegister = DeathRegister()) {
        holdsAny = Atomic(register.entries.contains { $0.isPoison })
        self.register = Mutex(register)
    }

    /// nil: it may be worked on.
    package func poison(_ kind: InProgress.Kind, _ fingerprint: Fingerprint) -> DeathRegister.Entry? {
        guard holdsAny.load(ordering: .relaxed) else { return nil }
        return register.withLock { $0.entry(kind, fingerprint) }.flatMap { $0.isPoison ? $0 : nil }
    }

    package var entries: [DeathRegister.Entry] { register.withLock { $0.entries } }

    /// Takes the register as a command has left it on disk.
    package func replace(_ fresh: DeathRegister) {
        register.withLock { $0 = fresh }
        holdsAny.store(fresh.entries.contains { $0.isPoison }, ordering: .relaxed)
    }
}
