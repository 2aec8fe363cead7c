import Base
import CEpoll
package import Protocols

/// `<store.path>/poison`: messages set aside, two files each, and the register of deaths. Blocking; for start, for the
/// intake's thread, for commands. A message is there when its `.json` is.
package struct PoisonFolder: Sendable {
    package let path: String

    package init(path: String) { self.path = path }

    var registerPath: String { path + "/deaths" }
    func bodyPath(_ id: MessageID) -> String { "\(path)/\(String(decoding: id.text, as: UTF8.self)).eml" }
    func recordPath(_ id: MessageID) -> String { "\(path)/\(String(decoding: id.text, as: UTF8.self)).json" }

    /// More would fill a disk with what nobody looks at.
    static let messagesMax = 1_000
    /// A record that is larger could not be read again.
    static let recordOctetsMax = ConfigParser.bytesMax
    private static let registerOctetsMax = 1 << 20

    func make() -> Int32 {
        let status = mt_mkdir(path, 0o700)
        guard status >= 0 else { return status == -EEXIST ? 0 : status }
        // Its own name must outlast a power cut too.
        return Self.sync(path + "/..")
    }

    // MARK: The register

    package func register() -> DeathRegister {
        DeathRegister(encoded: Self.read(registerPath, from: 0, most: Self.registerOctetsMax) ?? [])
    }

    /// Durable when it returns 0.
    package func write(_ register: DeathRegister) -> Int32 { replace(registerPath, register.encoded()) }

    // MARK: Messages

    /// Newest last.
    package func messages() -> [PoisonedMessage] { ids().compactMap { message($0) } }

    package func message(_ id: MessageID) -> PoisonedMessage? {
        Self.read(recordPath(id), from: 0, most: Self.recordOctetsMax).flatMap { PoisonedMessage(json: $0) }
    }

    /// nil: it cannot be read; empty: its end.
    package func body(_ id: MessageID, from offset: Int, most: Int) -> [UInt8]? {
        Self.read(bodyPath(id), from: offset, most: most)
    }

    /// The record first: without it there is no message.
    package func remove(_ id: MessageID) -> Bool {
        let status = mt_unlink(recordPath(id))
        _ = mt_unlink(bodyPath(id))
        sync()
        return status == 0
    }

    func ids() -> [MessageID] {
        names().compactMap { name in
            name.hasSuffix(".json") ? MessageID(text: Array(name.utf8.dropLast(5))) : nil
        }.sorted()
    }

    /// What an earlier run left unfinished: nothing of it was acknowledged.
    func clean() {
        let known = Set(ids())
        for name in names() {
            let isPart = name.hasSuffix(".part")
            let isOrphan =
                name.hasSuffix(".eml") && !(MessageID(text: Array(name.utf8.dropLast(4))).map(known.contains) ?? false)
            if isPart || isOrphan { _ = mt_unlink("\(path)/\(name)") }
        }
    }

    private func names() -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }

    // MARK: Files

    /// Whole and durable under its name, or as it was.
    func replace(_ file: String, _ bytes: [UInt8]) -> Int32 {
        let part = file + ".part"
        let fd = mt_open(part, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard fd >= 0 else { return fd }
        var status = Self.write(fd, bytes)
        if status == 0 { status = mt_fsync(fd) }
        _ = mt_close(fd)
        if status == 0 { status = mt_rename(part, file) }
        if status == 0 { return sync() }
        _ = mt_unlink(part)
        return status
    }

    /// The names of the folder are durable when it returns 0.
    @discardableResult
    func sync() -> Int32 { Self.sync(path) }

    private static func sync(_ path: String) -> Int32 {
        let fd = mt_open(path, O_RDONLY | O_DIRECTORY, 0)
        guard fd >= 0 else { return fd }
        defer { _ = mt_close(fd) }
        return mt_fsync(fd)
    }

    static func write(_ fd: Int32, _ bytes: [UInt8]) -> Int32 {
        var at = 0
        while at < bytes.count {
            let n = bytes.withUnsafeBytes { buffer in
                buffer.baseAddress.map { mt_write(fd, $0 + at, buffer.count - at) } ?? Int64(-EIO)
            }
            if n == Int64(-EINTR) { continue }
            guard n > 0 else { return n < 0 ? Int32(truncatingIfNeeded: n) : -EIO }
            at += Int(n)
        }
        return 0
    }

    private static func read(_ file: String, from offset: Int, most: Int) -> [UInt8]? {
        let fd = mt_open(file, O_RDONLY, 0)
        guard fd >= 0 else { return nil }
        defer { _ = mt_close(fd) }
        let size = Int(mt_file_size(fd))
        guard size >= 0, offset >= 0 else { return nil }
        var out = [UInt8](repeating: 0, count: max(0, min(most, size - offset)))
        var filled = 0
        while filled < out.count {
            let n = out.withUnsafeMutableBytes { buffer in
                buffer.baseAddress.map { mt_pread(fd, $0 + filled, buffer.count - filled, Int64(offset + filled)) }
                    ?? Int64(-EIO)
            }
            if n == Int64(-EINTR) { continue }
            guard n > 0 else { return nil }
            filled += Int(n)
        }
        return out
    }
}

extension Configuration {
    package var poisonFolder: PoisonFolder { PoisonFolder(path: store.path + "/poison") }
    var inProgressPath: String { store.path + "/in-progress" }
}
