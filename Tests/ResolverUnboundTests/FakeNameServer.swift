import CEpoll
import Foundation
import Protocols
import Synchronization

/// A name server on a loopback UDP port that says what it was told to, or nothing. Counts what it was asked.
///
/// Shareable: the table is fixed when it starts, the log is behind a lock.
final class FakeNameServer: Sendable {
    enum Behaviour: Sendable {
        case records([[UInt8]])
        case alias(String)
        case noData
        case code(UInt8)
        case silent
        /// Answers only the n-th query and later ones.
        case from(Int, [[UInt8]])
    }

    struct Key: Hashable, Sendable {
        let name: DNSName
        let type: UInt16
    }

    let port: UInt16
    private let socket: Int32
    private let table: [Key: Behaviour]
    private let asked = Mutex<[Key: Int]>([:])

    init(_ rows: [(String, DNSRecordType, Behaviour)]) throws {
        table = Dictionary(rows.map { (Self.key($0, $1), $2) }, uniquingKeysWith: { $1 })
        socket = Glibc.socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = socket
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 ? getsockname(descriptor, $0, &length) : -1
            }
        }
        guard status == 0 else { throw POSIXError(.EADDRNOTAVAIL) }
        port = UInt16(bigEndian: address.sin_port)
        Thread.detachNewThread { [self] in serve() }
    }

    var address: String { "127.0.0.1@\(port)" }

    func queries(_ name: String, _ type: DNSRecordType) -> Int { asked.withLock { $0[Self.key(name, type)] ?? 0 } }

    func stop() { shutdown(socket, Int32(SHUT_RDWR)) }

    private static func key(_ name: String, _ type: DNSRecordType) -> Key {
        Key(name: DNSName(name) ?? .root, type: type.rawValue)
    }

    private func serve() {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            var peer = sockaddr_in()
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let size = buffer.count
            let n = withUnsafeMutablePointer(to: &peer) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { recvfrom(socket, &buffer, size, 0, $0, &length) }
            }
            guard n > 0 else { break }
            guard let reply = answer(Array(buffer[..<n])) else { continue }
            _ = withUnsafePointer(to: peer) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    sendto(socket, reply, reply.count, 0, $0, length)
                }
            }
        }
        close(socket)
    }

    /// nil: no reply.
    private func answer(_ query: [UInt8]) -> [UInt8]? {
        guard query.count > 17, let end = query[12...].firstIndex(of: 0), end + 4 < query.count,
            let name = DNSName(wire: Array(query[12...end]))
        else { return nil }
        let type = UInt16(query[end + 1]) << 8 | UInt16(query[end + 2])
        var records: [UInt8] = []
        var count: UInt8 = 0
        var code: UInt8 = 0
        var at = Key(name: name, type: type)
        let turn = asked.withLock {
            $0[at, default: 0] += 1
            return $0[at] ?? 0
        }
        func add(_ owner: DNSName, _ type: UInt16, _ rdata: [UInt8]) {
            records += owner.wire + [UInt8(type >> 8), UInt8(type & 255), 0, 1, 0, 0, 0, 60]
            records += [UInt8(rdata.count >> 8), UInt8(rdata.count & 255)] + rdata
            count += 1
        }
        while count < 10 {
            switch table[at] {
            case .records(let data): for rdata in data { add(at.name, type, rdata) }
            case .from(let first, let data):
                guard turn >= first else { return nil }
                for rdata in data { add(at.name, type, rdata) }
            case .alias(let target):
                let to = DNSName(target) ?? .root
                add(at.name, DNSRecordType.cname.rawValue, to.wire)
                at = Key(name: to, type: type)
                continue
            case .noData: break
            case .code(let value): code = value
            case .silent: return nil
            case nil: code = 3
            }
            break
        }
        // QR, AA, RD as asked; RA and the code.
        let head = [query[0], query[1], 0x84 | query[2] & 1, 0x80 | code, 0, 1, 0, count, 0, 0, 0, 0]
        return head + query[12...(end + 4)] + records
    }
}
