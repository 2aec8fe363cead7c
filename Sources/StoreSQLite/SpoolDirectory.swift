import CEpoll
import Glibc
import Store
import Synchronization

/// A segment file: who still needs it besides the rows.
final class SpoolSegment: Sendable {
    let number: Int64
    let path: String
    private let sealed: Atomic<Bool>
    private let poisoned = Atomic<Bool>(false)
    private let pins = Atomic<Int>(0)

    init(number: Int64, path: String, sealed: Bool) {
        self.number = number
        self.path = path
        self.sealed = Atomic(sealed)
    }

    /// No octet will be appended any more.
    var isSealed: Bool { sealed.load(ordering: .acquiring) }
    func seal() { sealed.store(true, ordering: .releasing) }

    /// A sync failed: what was written since the last good one may be gone, and asking again would only hide it.
    var isPoisoned: Bool { poisoned.load(ordering: .acquiring) }
    func poison() { poisoned.store(true, ordering: .releasing) }

    /// Bodies that lie in it and have no row yet.
    var isPinned: Bool { pins.load(ordering: .acquiring) > 0 }
    fileprivate func pin() { pins.add(1, ordering: .acquiringAndReleasing) }
    fileprivate func unpin() { pins.subtract(1, ordering: .acquiringAndReleasing) }
}

/// Keeps a segment from being swept while a body without a row lies in it. Held by the body.
final class SpoolPin: Sendable {
    let segment: SpoolSegment

    init(_ segment: SpoolSegment) {
        self.segment = segment
        segment.pin()
    }

    deinit { segment.unpin() }
}

/// The folder of segments: `NNNNNNNN.seg`. Shared by the spool thread (adds) and the writer (sweeps).
final class SpoolDirectory: Sendable {
    private struct State {
        var segments: [Int64: SpoolSegment] = [:]
        var next: Int64 = 1
    }

    let path: String
    private let state = Mutex(State())

    /// Makes the folder if need be and notes the segments there; all of them are sealed.
    init(path: String) throws(StoreError) {
        self.path = path
        let made = mt_mkdir(path, 0o700)
        if made < 0, made != -EEXIST { throw StoreError(errno: made) }
        for number in Self.segmentNumbers(in: path) {
            let segment = SpoolSegment(number: number, path: Self.file(number, in: path), sealed: true)
            state.withLock {
                $0.segments[number] = segment
                $0.next = max($0.next, number + 1)
            }
        }
    }

    static func file(_ number: Int64, in path: String) -> String {
        let digits = String(number)
        return path + "/" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits + ".seg"
    }

    func file(_ number: Int64) -> String { Self.file(number, in: path) }

    private static func segmentNumbers(in path: String) -> [Int64] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var numbers: [Int64] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name.hasSuffix(".seg"), let number = Int64(name.dropLast(4)), number > 0 { numbers.append(number) }
        }
        return numbers
    }

    /// Numbers are never used twice, not even those only rows remember.
    func reserve(above number: Int64) {
        state.withLock { $0.next = max($0.next, number + 1) }
    }

    func makeSegment() -> SpoolSegment {
        state.withLock { state in
            let segment = SpoolSegment(number: state.next, path: file(state.next), sealed: false)
            state.segments[state.next] = segment
            state.next += 1
            return segment
        }
    }

    /// Makes the new file's name durable.
    func syncFolder() throws(StoreError) { try Self.sync(path: path) }

    /// Makes the names in the folder durable.
    static func sync(path: String) throws(StoreError) {
        let descriptor = mt_open(path, O_RDONLY | O_DIRECTORY, 0)
        if descriptor < 0 { throw StoreError(errno: descriptor) }
        defer { _ = mt_close(descriptor) }
        let status = mt_fsync(descriptor)
        if status < 0 { throw StoreError(errno: status) }
    }

    /// Segments nobody appends to or waits in. Ask for them first and for the rows afterwards: a body's row is
    /// committed before its pin goes.
    func idleSegments() -> [SpoolSegment] {
        state.withLock { $0.segments.values.filter { $0.isSealed && !$0.isPinned } }
    }

    func remove(_ segment: SpoolSegment) {
        let status = mt_unlink(segment.path)
        if status == 0 || status == -ENOENT {
            state.withLock { _ = $0.segments.removeValue(forKey: segment.number) }
        }
    }
}
