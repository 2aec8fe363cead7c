import CEpoll
import Handoff
package import Policy
import Synchronization
package import Telemetry

/// Watches what the server may run out of, and says what has to be given up. Made by the daemon; asked by every loop.
///
/// Shareable: the state is one atomic word, the figures behind it are under a lock that only the pressure thread, refusals
/// and operators take. Bounded: one sample.
package final class PressureMonitor: Sendable {
    enum Message: Sendable {
        case settings(PressureSettings)
        case stop
    }

    let inbox = Mailbox<Message>(capacity: 16)
    let metrics: PressureMetrics
    /// Reactors tell it how long their turns take, and are pinged by it.
    package let lag = LagMeter()
    private let log: Log
    private let word = Atomic<UInt64>(0)
    /// Connections that may still come before the next look without descriptors running short.
    private let room = Atomic<Int>(.max / 2)
    private let latest = Mutex(PressureSample())
    private let thread = Mutex<ThreadHandle?>(nil)
    private let onChange: @Sendable (_ from: PressureState, _ to: PressureState) -> Void

    /// `onChange` runs on the pressure thread after each change; it must only post.
    package init(
        metrics: PressureMetrics, log: Log,
        onChange: @escaping @Sendable (_ from: PressureState, _ to: PressureState) -> Void = { _, _ in }
    ) {
        self.metrics = metrics
        self.log = log
        self.onChange = onChange
    }

    /// Starts the `pressure` thread. Once only.
    package func start(_ settings: PressureSettings, _ readings: PressureReadings) {
        thread.withLock {
            $0 = LoopThread.spawn("pressure") { [self] in
                PressureLoop(self, settings: settings, readings: readings).run()
            }
        }
    }

    /// Ends the thread; call before the reactors end. What was the state stays.
    package func stop() {
        guard
            let running = thread.withLock({ thread in
                defer { thread = nil }
                return thread
            })
        else { return }
        while !inbox.post(.stop) { sched_yield() }
        running.join()
    }

    /// From the next look on. May block. False: the thread does not take it.
    package func update(_ settings: PressureSettings) -> Bool { Patience.insist { inbox.post(.settings(settings)) } }

    // MARK: Asking

    package var state: PressureState { PressureState(word: word.load(ordering: .relaxed)) }

    /// The last sample, for operators.
    package var sample: PressureSample { latest.withLock { $0 } }

    /// Whether `action` is given up now; when it is, it is counted, and the event says why. `known`: the client is known
    /// good, trusted or logged in. Ask once for each new connection: each takes one of the descriptors that are left.
    package func shed(_ action: PressureAction, known: Bool) -> DefenseEvent? {
        var now = state
        if action == .connection, room.subtract(1, ordering: .relaxed).newValue < 0,
            now.level(of: .descriptors) < .high
        {
            // The next look will see it so.
            now = now.setting(.descriptors, to: .high)
        }
        guard !now.isCalm, now.sheds(action, known: known),
            let resource = action == .message ? .memory : now.limiting
        else { return nil }
        metrics.shed.add(action, resource)
        let detail = "\(action.lost): \(description(of: resource, now))"
        return switch action {
        case .hold, .idle: DefenseEvent(.pressure, .noted, detail: detail)
        case .connection: DefenseEvent(.pressure, .closed, detail: detail, reply: PressureState.connectionReply)
        case .mail: DefenseEvent(.pressure, .deferred, detail: detail, reply: PressureState.mailReply)
        case .message: DefenseEvent(.pressure, .closed, detail: detail, reply: PressureState.messageReply)
        }
    }

    /// How long a silent client is waited for, when the configuration says `configured` seconds.
    package func idleSeconds(_ configured: Double, known: Bool) -> Double {
        state.idleSeconds(configured, known: known)
    }

    /// "descriptors are critical: 1010 of 1024 descriptors in use"; nil when all is calm.
    package var limitation: String? {
        let now = state
        return now.limiting.map { description(of: $0, now) }
    }

    private func description(of resource: PressureResource, _ state: PressureState) -> String {
        "\(resource.subject) \(state.level(of: resource)): \(sample.figures(resource))"
    }

    // MARK: The pressure thread

    /// `room` nil: descriptors have no limit.
    func publish(_ state: PressureState, _ sample: PressureSample, room left: Int?) {
        room.store(left ?? .max / 2, ordering: .relaxed)
        latest.withLock { $0 = sample }
        let old = self.state
        guard state != old else { return }
        word.store(state.word, ordering: .relaxed)
        for resource in PressureResource.allCases {
            let level = state.level(of: resource)
            metrics.level.set(resource, level.rawValue)
            metrics.limiting.set(resource, resource == state.limiting ? 1 : 0)
            if level != old.level(of: resource) { announce(resource, from: old, to: state, sample) }
        }
        onChange(old, state)
    }

    private func announce(
        _ resource: PressureResource, from old: PressureState, to new: PressureState, _ sample: PressureSample
    ) {
        metrics.changes.add(resource)
        let level = new.level(of: resource)
        log.write(level >= .high ? .warning : .notice, "pressure") {
            $0.add("resource", "\(resource)")
            $0.add("level", "\(level)")
            $0.add("before", "\(old.level(of: resource))")
            $0.add("limiting", new.limiting.map { "\($0)" } ?? "none")
            $0.add("figures", sample.figures(resource))
        }
    }
}

extension PressureResource {
    /// The beginning of a sentence that ends in a level.
    package var subject: String {
        switch self {
        case .disk: "disk space is"
        case .commit: "commit latency is"
        case .memory: "memory use is"
        case .descriptors: "use of descriptors is"
        case .connections: "use of connections is"
        case .dns: "the number of DNS questions is"
        case .lag: "reactor lag is"
        }
    }
}

extension PressureAction {
    /// What the client did not get.
    package var lost: String {
        switch self {
        case .hold: "not held back"
        case .idle: "waited for less long"
        case .connection: "new clients are turned away"
        case .mail: "new mail is put off"
        case .message: "large messages that are arriving are given up"
        }
    }
}
