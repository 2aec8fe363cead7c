import ArgumentParser
import Base
import Crypto
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

    static func key(_ path: String) throws -> PrivateKey {
        let text = Secret(try read(path))
        do throws(KeyError) {
            return try PrivateKey(text: text)
        } catch {
            Console.error("\(path) holds no private key for signing (RSA or Ed25519, without passphrase)")
            throw ExitCode(ExitStatus.data)
        }
    }

    /// `From:To` as lower-case names.
    static func names(_ list: String) -> [[UInt8]] {
        list.split(separator: ":").map { Array($0.lowercased().utf8).filter { $0 > ASCII.space } }
            .filter { !$0.isEmpty }
    }

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
