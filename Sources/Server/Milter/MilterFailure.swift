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
    /// The filters before it left it no time.
    case noTime
    /// There is no memory for the body it makes.
    case noRoom
    /// It wants more of this message changed than is allowed.
    case tooMuch

    /// Whether the filter is to blame, which counts towards a rest. It is not for what one message makes it do, or whoever
    /// sends such messages could have it left out.
    var isItsOwn: Bool {
        switch self {
        case .resting, .noSlot, .noTime, .noRoom, .tooMuch: false
        case .connect, .timedOut, .closed, .problem: true
        }
    }

    /// What the message is told whatever the policy is; nil: as the policy says.
    var reply: Reply? {
        switch self {
        case .tooMuch: MilterChain.tooMuchReply
        case .noRoom: StoreReplies.storeBusy
        case .resting, .noSlot, .noTime, .connect, .timedOut, .closed, .problem: nil
        }
    }

    var label: MilterResultLabel {
        switch self {
        case .resting, .noSlot, .noTime, .noRoom: .skipped
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
        case .noTime: return "had no time left, the filters before it took it"
        case .noRoom: return "makes a body for which there is no memory now"
        case .tooMuch: return "asked for too many changes"
        }
    }
}
