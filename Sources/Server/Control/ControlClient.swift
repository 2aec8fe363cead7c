import Base
import CEpoll

/// The command line's end of the control socket. Blocking; never used inside the server.
package enum ControlClient {
    package enum Failure: Error, Sendable, Equatable {
        /// Nobody listens there.
        case notRunning
        case notPermitted
        case failed(String)
    }

    /// Where answers go, as they come.
    package struct Sink {
        package var output: ([UInt8]) -> Void
        package var complaint: ([UInt8]) -> Void

        package init(output: @escaping ([UInt8]) -> Void, complaint: @escaping ([UInt8]) -> Void) {
            self.output = output
            self.complaint = complaint
        }
    }

    /// Sends the request and hands on the answer; the exit status.
    package static func run(
        _ request: ControlRequest, _ format: ControlFormat, socketPath: String, into sink: Sink
    ) throws(Failure) -> Int32 {
        let descriptor = try connect(socketPath)
        defer { _ = mt_close(descriptor) }
        // The server may close early with something to say; read what it says even when it did not take all.
        _ = send(request.frame(format).encoded, descriptor)
        var parser = ControlFrameParser()
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let n = mt_read(descriptor, &chunk, chunk.count)
            if n == -Int64(EINTR) { continue }
            guard n > 0 else { throw .failed("the server ended the connection before its answer was complete") }
            parser.append(chunk.span.extracting(0..<Int(n)))
            do throws(ControlProtocolError) {
                while let frame = try parser.next() {
                    switch frame.kind {
                    case .output: sink.output(frame.payload)
                    case .complaint: sink.complaint(frame.payload)
                    case .end: return Int32(frame.payload.first ?? 1)
                    case .request: throw ControlProtocolError.frameKind
                    }
                }
            } catch {
                throw .failed("the server's answer is not one; are both of one version?")
            }
        }
    }

    private static func send(_ bytes: [UInt8], _ descriptor: Int32) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let n = bytes.withUnsafeBytes { buffer in
                buffer.baseAddress.map { mt_send(descriptor, $0 + sent, buffer.count - sent) } ?? 0
            }
            if n == -Int64(EINTR) { continue }
            guard n > 0 else { return false }
            sent += Int(n)
        }
        return true
    }

    private static func connect(_ path: String) throws(Failure) -> Int32 {
        let bytes = Array(path.utf8)
        guard !bytes.isEmpty, bytes.count < 108 else { throw .failed("\(path): a socket's path is 107 octets at most") }
        var address = sockaddr_storage()
        address.ss_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address) { raw in
            for (i, c) in bytes.enumerated() { raw[2 + i] = c }
        }
        let descriptor = mt_socket(AF_UNIX, Int32(SOCK_STREAM.rawValue))
        guard descriptor >= 0 else { throw .failed("no socket: " + String(cString: strerror(-descriptor))) }
        _ = mt_set_blocking(descriptor)
        let status = mt_connect(descriptor, &address, UInt32(2 + bytes.count + 1))
        if status >= 0 { return descriptor }
        _ = mt_close(descriptor)
        switch -status {
        case ENOENT, ECONNREFUSED, ENOTDIR: throw .notRunning
        case EACCES, EPERM: throw .notPermitted
        default: throw .failed("\(path): " + String(cString: strerror(-status)))
        }
    }
}
