import Base

/// The header with which a proxy says whose connection it passes on: the PROXY protocol, versions 1 and 2, as HAProxy
/// defines it. Pure; reads from the start of a stream, tells how far it goes, keeps nothing behind it.
package struct ProxyHeader: Sendable, Hashable {
    package enum Origin: Sendable, Hashable {
        /// The proxy speaks for itself (a health check), or does not know: the connection's own address holds.
        case proxy
        case client(IPAddress, port: UInt16)
        /// The client came over a Unix socket.
        case local
    }

    package enum Step: Sendable, Hashable {
        /// So far it could become a header.
        case needMore
        case done(ProxyHeader, octets: Int)
        case invalid(Fault)
    }

    package enum Fault: String, Sendable, Hashable, CaseIterable, Error {
        case noHeader = "no PROXY header"
        case tooLong = "the PROXY header is too long"
        case malformed = "the PROXY header is malformed"
        case unsupported = "the PROXY header is of another version, command or family"
        case checksum = "the PROXY header's checksum does not match"
    }

    package let version: Int
    package let origin: Origin
    /// Where the client connected to; nil when it was not told.
    package let destination: IPAddress?
    package let destinationPort: UInt16

    /// With CRLF.
    package static let version1Max = 107
    package static let version2Max = 536

    private init(version: Int, origin: Origin, destination: IPAddress? = nil, destinationPort: UInt16 = 0) {
        self.version = version
        self.origin = origin
        self.destination = destination
        self.destinationPort = destinationPort
    }

    /// What the octets that came so far are.
    package static func read(_ bytes: Span<UInt8>) -> Step {
        guard bytes.count > 0 else { return .needMore }
        let isBinary = bytes[0] == signature2[0]
        let signature = isBinary ? signature2 : signature1
        for i in 0..<min(bytes.count, signature.count) where bytes[i] != signature[i] { return .invalid(.noHeader) }
        guard bytes.count >= signature.count else { return .needMore }
        do throws(Fault) {
            return try isBinary ? binary(bytes) : text(bytes)
        } catch {
            return .invalid(error)
        }
    }

    private static let signature1 = Array("PROXY ".utf8)
    private static let signature2: [UInt8] = [
        0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A,
    ]

    // MARK: Version 1

    private static func text(_ bytes: Span<UInt8>) throws(Fault) -> Step {
        var end = signature1.count
        while end < min(bytes.count, version1Max), bytes[end] != ASCII.lf { end += 1 }
        guard end < min(bytes.count, version1Max) else {
            if bytes.count >= version1Max { throw .tooLong }
            return .needMore
        }
        guard bytes[end - 1] == ASCII.cr else { throw .malformed }
        let line = [UInt8](bytes.extracting(signature1.count..<end - 1))
        return .done(try line1(line), octets: end + 1)
    }

    private static func line1(_ line: [UInt8]) throws(Fault) -> ProxyHeader {
        let words = line.split(separator: ASCII.space, omittingEmptySubsequences: false)
        guard let family = words.first else { throw .malformed }
        // What follows UNKNOWN is to be ignored.
        if family.elementsEqual("UNKNOWN".utf8) { return ProxyHeader(version: 1, origin: .proxy) }
        let isIPv4 = family.elementsEqual("TCP4".utf8)
        guard isIPv4 || family.elementsEqual("TCP6".utf8) else { throw .unsupported }
        guard words.count == 5, let source = address(words[1], isIPv4: isIPv4),
            let destination = address(words[2], isIPv4: isIPv4), let sourcePort = port(words[3]),
            let destinationPort = port(words[4])
        else { throw .malformed }
        return ProxyHeader(
            version: 1, origin: .client(source, port: sourcePort), destination: destination,
            destinationPort: destinationPort)
    }

    private static func address(_ text: ArraySlice<UInt8>, isIPv4: Bool) -> IPAddress? {
        guard let bytes = isIPv4 ? IPAddress.parseIPv4(text) : IPAddress.parseIPv6(Array(text)) else { return nil }
        return IPAddress(bytes: bytes)
    }

    /// One form only: no sign, no leading zeros.
    private static func port(_ text: ArraySlice<UInt8>) -> UInt16? {
        guard text.count <= 5, text.count == 1 || text.first != 0x30, let n = Decimal.parse(Array(text).span) else {
            return nil
        }
        return UInt16(exactly: n)
    }

    // MARK: Version 2

    private static let fixedOctets = 16
    private static let unixOctets = 216

    private static func binary(_ bytes: Span<UInt8>) throws(Fault) -> Step {
        guard bytes.count >= fixedOctets else { return .needMore }
        guard bytes[12] >> 4 == 2, bytes[12] & 15 <= 1 else { throw .unsupported }
        let total = fixedOctets + Int(bytes[14]) << 8 + Int(bytes[15])
        guard total <= version2Max else { throw .tooLong }
        guard bytes.count >= total else { return .needMore }
        let header = [UInt8](bytes.extracting(0..<total))
        return .done(try header2(header), octets: total)
    }

    private static func header2(_ header: [UInt8]) throws(Fault) -> ProxyHeader {
        // LOCAL: whatever follows is to be skipped.
        if header[12] & 15 == 0 { return ProxyHeader(version: 2, origin: .proxy) }
        let addresses = header[fixedOctets...]
        switch header[13] {
        case 0x00:
            try checkExtensions(header, from: fixedOctets)
            return ProxyHeader(version: 2, origin: .proxy)
        case 0x11: return try internet(header, addresses, size: 4)
        case 0x21: return try internet(header, addresses, size: 16)
        case 0x31:
            guard addresses.count >= unixOctets else { throw .malformed }
            try checkExtensions(header, from: fixedOctets + unixOctets)
            return ProxyHeader(version: 2, origin: .local)
        // Datagrams carry no SMTP, and the other values are not defined.
        default: throw .unsupported
        }
    }

    private static func internet(
        _ header: [UInt8], _ fields: ArraySlice<UInt8>, size: Int
    ) throws(Fault) -> ProxyHeader {
        let ports = fixedOctets + 2 * size
        guard fields.count >= 2 * size + 4,
            let source = IPAddress(bytes: Array(header[fixedOctets..<fixedOctets + size])),
            let destination = IPAddress(bytes: Array(header[fixedOctets + size..<ports]))
        else { throw .malformed }
        try checkExtensions(header, from: ports + 4)
        return ProxyHeader(
            version: 2, origin: .client(source, port: word(header, ports)), destination: destination,
            destinationPort: word(header, ports + 2))
    }

    private static func word(_ bytes: [UInt8], _ at: Int) -> UInt16 { UInt16(bytes[at]) << 8 | UInt16(bytes[at + 1]) }

    private static let checksumType: UInt8 = 0x03

    /// Steps over type-length-value fields to the end; the checksum, if there is one, must be right.
    private static func checkExtensions(_ header: [UInt8], from start: Int) throws(Fault) {
        var i = start
        while i < header.count {
            guard header.count - i >= 3 else { throw .malformed }
            let length = Int(word(header, i + 1))
            let value = i + 3
            guard length <= header.count - value else { throw .malformed }
            if header[i] == checksumType {
                guard length == 4 else { throw .malformed }
                var copy = header
                for k in value..<value + 4 { copy[k] = 0 }
                let told = UInt32(word(header, value)) << 16 | UInt32(word(header, value + 2))
                guard CRC32C.of(copy) == told else { throw .checksum }
            }
            i = value + length
        }
    }
}

/// The Castagnoli checksum, bit by bit: for a few hundred octets once a connection.
enum CRC32C {
    static func of(_ bytes: [UInt8]) -> UInt32 {
        var crc = ~UInt32(0)
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 1 ? 0x82F6_3B78 : 0) }
        }
        return ~crc
    }
}
