import CEpoll

/// A message on disk, to be sent as it is. Read whole, once, before the load begins.
enum MessageFile {
    private static let octetsMax = 64 << 20

    /// nil: it cannot be read, is empty or too long.
    static func read(_ path: String) -> [UInt8]? {
        let descriptor = mt_open(path, O_RDONLY, 0)
        guard descriptor >= 0 else { return nil }
        defer { mt_close(descriptor) }
        var out: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let n = piece.withUnsafeMutableBytes { mt_read(descriptor, $0.baseAddress, $0.count) }
            guard n >= 0, out.count <= octetsMax else { return nil }
            if n == 0 { return out.isEmpty ? nil : out }
            out += piece.prefix(Int(n))
        }
    }
}
