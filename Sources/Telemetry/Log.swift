import CEpoll
import Handoff
import Synchronization

/// The log handle: any thread writes, nobody waits.
///
/// The caller renders its line once into bytes and pushes them into a bounded ring; `LogThread` writes them out. When
/// the ring is full the line is dropped and counted: the log never holds up mail. Shareable because the ring and the
/// atomics are.
package final class Log: Sendable {
    let ring: Mailbox<[UInt8]>
    private let lowest: Atomic<Int>
    private let lost = Atomic<UInt64>(0)
    private let isJSON: Atomic<Bool>

    /// `capacity` bounds the lines that wait for the log thread.
    package init(level: LogLevel = .info, format: LogFormat = .text, capacity: Int = 8_192) {
        ring = Mailbox(capacity: capacity)
        lowest = Atomic(level.rawValue)
        isJSON = Atomic(format == .json)
    }

    /// May be changed while running.
    package var format: LogFormat {
        get { isJSON.load(ordering: .relaxed) ? .json : .text }
        set { isJSON.store(newValue == .json, ordering: .relaxed) }
    }

    /// The lowest level written; may be changed while running.
    package var level: LogLevel {
        get { LogLevel(rawValue: lowest.load(ordering: .relaxed)) ?? .info }
        set { lowest.store(newValue.rawValue, ordering: .relaxed) }
    }

    /// Lines dropped because the ring was full.
    package var dropped: UInt64 { lost.load(ordering: .relaxed) }

    package func enabled(_ level: LogLevel) -> Bool { level.rawValue >= lowest.load(ordering: .relaxed) }

    /// Writes `event`; `fields` is not run when the level is off.
    package func write(_ level: LogLevel, _ event: StaticString, _ fields: (inout LogLine) -> Void = { _ in }) {
        guard enabled(level) else { return }
        var line = LogLine(format, level, event, microseconds: mt_wall_us())
        fields(&line)
        if !ring.post(line.finish()) { lost.add(1, ordering: .relaxed) }
    }

    package func debug(_ event: StaticString, _ fields: (inout LogLine) -> Void = { _ in }) {
        write(.debug, event, fields)
    }
    package func info(_ event: StaticString, _ fields: (inout LogLine) -> Void = { _ in }) {
        write(.info, event, fields)
    }
    package func notice(_ event: StaticString, _ fields: (inout LogLine) -> Void = { _ in }) {
        write(.notice, event, fields)
    }
    package func warning(_ event: StaticString, _ fields: (inout LogLine) -> Void = { _ in }) {
        write(.warning, event, fields)
    }
    package func error(_ event: StaticString, _ fields: (inout LogLine) -> Void = { _ in }) {
        write(.error, event, fields)
    }
}
