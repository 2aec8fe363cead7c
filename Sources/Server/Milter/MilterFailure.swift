import Protocols
import Reactor

/// Why a filter could not be asked.
enum MilterFailure {
    /// It failed so often that it is left alone.
    case resting
    /// No connection slot of ours is free.
    case noSlot
    case connect(CloseReason)
    case timedOut
    case closed
    case problem(MilterProblem)
    /// It wants more changed than is allowed.
    case tooMuch

    /// Whether the filter is to blame, which counts towards a rest.
    var isItsOwn: Bool {
        switch self {
        case .resting, .noSlot: false
        case .connect, .timedOut, .closed, .problem, .tooMuch: true
        }
    }

    var label: MilterResultLabel {
        switch self {
        case .resting, .noSlot: .skipped
        case .connect: .connectFailed
        case .timedOut: .timeout
        case .closed: .closed
        case .problem, .tooMuch: .protocolError
        }
    }

    var text: String {
        switch self {
        case .resting: return "left alone after repeated failures"
        case .noSlot: return "no connection of ours was free"
        case .connect(.connectFailed(let code)): return "cannot be reached: \(IOError.text(code))"
        case .connect: return "cannot be reached"
        case .timedOut: return "did not answer in time"
        case .closed: return "closed the connection"
        case .problem(let problem): return "sent \(problem.rawValue)"
        case .tooMuch: return "asked for too many changes"
        }
    }
}
