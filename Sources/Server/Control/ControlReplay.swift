import Base
import Ledger
import Synchronization

/// What `policy replay` asks, and how far it has come.
package struct ControlReplay: Sendable, Equatable {
    package let settings: [ControlAssignment]
    /// A receiving domain, as typed; nil: all.
    package let domain: [UInt8]?
    /// How far back, and until how long ago.
    package let seconds: Int
    package let until: Int

    /// Set by the first piece of the answer.
    var since: WallTime?
    var end: WallTime?
    /// What is known of the defences so far.
    var defense: DefenseReplayState?
    var cursor: LedgerCursor?
    var messages = 0
    var changed = 0
    /// Something recorded is of the domain asked about.
    var isConcerned = false
    var incomplete = 0
    /// Changes given out, for the commas of JSON.
    var rows = 0

    package init(settings: [ControlAssignment], domain: [UInt8]?, seconds: Int, until: Int = 0) {
        self.settings = settings
        self.domain = domain
        self.seconds = seconds
        self.until = until
    }
}

/// A replay of defences between two pieces of its answer: one object, because it may know many senders. Shareable because
/// it is behind its lock; only one piece at a time works on it.
final class DefenseReplayState: Sendable, Equatable {
    private let replay: Mutex<DefenseReplay>

    init(_ replay: DefenseReplay) { self.replay = Mutex(replay) }

    func add(_ record: LedgerRecord) { replay.withLock { $0.add(record) } }

    /// All was added: the figures.
    func finish() -> DefenseReplay {
        replay.withLock {
            $0.finish()
            return $0
        }
    }

    static func == (a: DefenseReplayState, b: DefenseReplayState) -> Bool { a === b }
}
