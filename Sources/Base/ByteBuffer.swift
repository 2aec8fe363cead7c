/// A growable byte queue with one owner: append at the end, consume at the front, a hard maximum.
/// Storage is given back when the buffer runs empty, so an idle connection holds none.
package struct ByteBuffer: ~Copyable {
    private var storage: UnsafeMutableRawBufferPointer
    private var head = 0
    private var tail = 0
    /// Most bytes the buffer will hold; `append` past it is refused.
    package let maximum: Int

    package init(maximum: Int) {
        self.maximum = maximum
        storage = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    deinit { storage.deallocate() }

    package var count: Int { tail - head }
    package var isEmpty: Bool { tail == head }
    package var room: Int { maximum - count }

    /// The unread bytes.
    package var span: Span<UInt8> {
        @_lifetime(borrow self)
        get {
            let bytes = UnsafeRawBufferPointer(storage)[head..<tail]
            let typed = UnsafeRawBufferPointer(rebasing: bytes).assumingMemoryBound(to: UInt8.self)
            return _overrideLifetime(Span(_unsafeElements: typed), borrowing: self)
        }
    }

    /// False, and nothing is kept, when the bytes do not fit under `maximum`.
    package mutating func append(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count <= room else { return false }
        guard let source = bytes.baseAddress, bytes.count > 0 else { return true }
        reserve(bytes.count)
        (storage.baseAddress! + tail).copyMemory(from: source, byteCount: bytes.count)
        tail += bytes.count
        return true
    }

    package mutating func append(_ bytes: Span<UInt8>) -> Bool {
        bytes.withUnsafeBytes { append($0) }
    }

    package mutating func append(_ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { append($0) }
    }

    /// Drops `n` bytes from the front (all of them when `n` is larger).
    package mutating func consume(_ n: Int) {
        head += min(max(n, 0), count)
        if head == tail { release() }
    }

    package mutating func removeAll() { release() }

    /// The unread bytes, to hand to a system call.
    package func withUnsafeReadable<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        body(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(storage)[head..<tail]))
    }

    private mutating func release() {
        storage.deallocate()
        storage = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        head = 0
        tail = 0
    }

    private mutating func reserve(_ n: Int) {
        if tail + n <= storage.count { return }
        let used = count
        if used + n <= storage.count, head >= used {
            storage.baseAddress!.copyMemory(from: storage.baseAddress! + head, byteCount: used)
        } else {
            let size = min(max(used + n, storage.count * 2, 256), max(maximum, used + n))
            let fresh = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
            if used > 0 { fresh.baseAddress!.copyMemory(from: storage.baseAddress! + head, byteCount: used) }
            storage.deallocate()
            storage = fresh
        }
        head = 0
        tail = used
    }
}
