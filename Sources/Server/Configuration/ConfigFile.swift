import CEpoll

/// Reads a configuration file, with a bound on its size.
enum ConfigFile {
    static func read(_ path: String) -> Result<[UInt8], ConfigProblem> {
        let descriptor = mt_open(path, O_RDONLY, 0)
        guard descriptor >= 0 else { return .failure(problem(path, -descriptor)) }
        defer { _ = mt_close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        // One byte more than allowed is enough for the parser to refuse it.
        while bytes.count <= ConfigParser.bytesMax {
            let n = mt_read(descriptor, &chunk, chunk.count)
            if n < 0 { return .failure(problem(path, Int32(-n))) }
            if n == 0 { break }
            bytes += chunk[..<Int(n)]
        }
        return .success(bytes)
    }

    private static func problem(_ path: String, _ code: Int32) -> ConfigProblem {
        let reason = String(cString: strerror(code))
        let next = code == ENOENT ? "; name the file with --config, or copy config.dev.json" : ""
        return ConfigProblem(source: path, position: nil, message: "cannot be read: \(reason)" + next)
    }
}
