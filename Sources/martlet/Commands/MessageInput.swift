import ArgumentParser
import Base
import Foundation
import Server

/// A message or key that a command reads from a file, or from standard input for `-`.
enum MessageInput {
    /// A message as it would stand on the wire: a file with bare line feeds only gets CRLF.
    static func message(_ path: String) throws -> [UInt8] {
        let bytes = try read(path)
        if bytes.firstIndex(of: ASCII.cr).map({ _ in hasCRLF(bytes) }) ?? false { return bytes }
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count + bytes.count / 32)
        for c in bytes {
            if c == ASCII.lf { out.append(ASCII.cr) }
            out.append(c)
        }
        return out
    }

    static func secret(_ path: String) throws -> Secret { Secret(try read(path)) }

    private static func hasCRLF(_ bytes: [UInt8]) -> Bool {
        for i in bytes.indices.dropLast() where bytes[i] == ASCII.cr && bytes[i + 1] == ASCII.lf { return true }
        return false
    }

    private static func read(_ path: String) throws -> [UInt8] {
        do {
            if path == "-" { return Array(try FileHandle.standardInput.readToEnd() ?? Data()) }
            return Array(try Data(contentsOf: URL(filePath: path)))
        } catch {
            Console.error("cannot read \(path)")
            throw ExitCode(ExitStatus.data)
        }
    }

    /// Seconds of Unix time; 0 stands for now.
    static func time(_ seconds: UInt64) -> UInt64 {
        seconds > 0 ? seconds : UInt64(max(0, Foundation.time(nil)))
    }
}
