import Base
import Ledger

/// What `policy replay` asks, and how far it has come.
package struct ControlReplay: Sendable, Equatable {
    package let settings: [ControlAssignment]
    /// A receiving domain, as typed; nil: all.
    package let domain: [UInt8]?
    /// How far back.
    package let seconds: Int

    /// Set by the first piece of the answer.
    var since: WallTime?
    var cursor: LedgerCursor?
    var messages = 0
    var changed = 0
    var incomplete = 0
    /// Changes given out, for the commas of JSON.
    var rows = 0

    package init(settings: [ControlAssignment], domain: [UInt8]?, seconds: Int) {
        self.settings = settings
        self.domain = domain
        self.seconds = seconds
    }
}
