package import Base
import Ledger
package import Policy

/// One change of what the defences remember, as the journal keeps it.
package enum DefenseChange: Sendable, Hashable {
    /// An entry of the greylist book, with `GreylistKey`'s text.
    case put([UInt8], GreylistRecord, hasLapsed: Bool)
    case remove([UInt8])
    case exception(DefenseExceptionChange)
    /// A client's good name until then; without one: until it was lost.
    case good(GoodClient, until: WallTime)
}

extension DefenseChange {
    /// As it is at the moment `now`.
    static func good(_ client: GoodClient, from now: WallTime) -> DefenseChange {
        let left = Int64(min(max(0, client.name?.seconds ?? 0), ClientRecord.goodSeconds) * 1e6)
        return .good(client, until: WallTime(microseconds: now.microseconds &+ left))
    }
}

/// How changes lie in the file: length and CRC-32 of the payload (four octets each, little-endian), the payload. The
/// payload's first octet says what it is.
enum DefenseFrame {
    static let magic = Array("MLDJ0001".utf8)
    static let headOctets = 8
    /// No payload is longer: keys are bounded.
    static let payloadMax = 4_096

    private static let put: UInt8 = 1
    private static let remove: UInt8 = 2
    private static let exception: UInt8 = 3
    private static let good: UInt8 = 4
    private static let goodOctets = 21
    /// Of a frame that keeps a good name.
    static let goodFrameOctets = headOctets + 1 + goodOctets

    static func append(_ change: DefenseChange, to out: inout [UInt8]) {
        var payload: [UInt8] = []
        payload.reserveCapacity(128)
        switch change {
        case .put(let key, let record, let hasLapsed):
            payload.append(put)
            payload.append(code(record.state) | (hasLapsed ? 0x80 : 0))
            append(UInt64(bitPattern: record.firstSeen.microseconds), octets: 8, to: &payload)
            append(UInt64(bitPattern: record.lastSeen.microseconds), octets: 8, to: &payload)
            append(UInt64(record.attempts), octets: 4, to: &payload)
            payload += key
        case .remove(let key):
            payload.append(remove)
            payload += key
        case .exception(let change):
            payload.append(exception)
            payload.append(change.list.rawValue)
            payload.append(change.isRemoval ? 1 : 0)
            payload += change.text
        case .good(let client, let until):
            payload.append(good)
            payload.append(client.key.code)
            append(client.key.bits, octets: 8, to: &payload)
            append(UInt64(bitPattern: client.name == nil ? 0 : until.microseconds), octets: 8, to: &payload)
            append(UInt64(client.name?.deliveries ?? 0), octets: 4, to: &payload)
        }
        guard payload.count <= payloadMax else { return }
        append(UInt64(payload.count), octets: 4, to: &out)
        append(UInt64(CRC32.of(payload)), octets: 4, to: &out)
        out += payload
    }

    /// nil: of a kind, or with contents, that this version does not know; it is passed over.
    static func change(_ payload: ArraySlice<UInt8>) -> DefenseChange? {
        guard let kind = payload.first else { return nil }
        let rest = payload.dropFirst()
        switch kind {
        case put:
            guard rest.count > 21, let first = rest.first, let state = state(first & 0x7F) else { return nil }
            let at = rest.startIndex + 1
            let record = GreylistRecord(
                state: state, firstSeen: WallTime(microseconds: Int64(bitPattern: integer(rest, at, 8))),
                lastSeen: WallTime(microseconds: Int64(bitPattern: integer(rest, at + 8, 8))),
                attempts: UInt32(truncatingIfNeeded: integer(rest, at + 16, 4)))
            return .put(Array(rest.dropFirst(21)), record, hasLapsed: first & 0x80 != 0)
        case remove:
            return .remove(Array(rest))
        case exception:
            guard rest.count > 2, let list = DefenseExceptionList(rawValue: rest[rest.startIndex]),
                let change = DefenseExceptionChange(
                    list, text: String(decoding: rest.dropFirst(2), as: UTF8.self),
                    isRemoval: rest[rest.startIndex + 1] == 1)
            else { return nil }
            return .exception(change)
        case good:
            guard rest.count == goodOctets, let code = rest.first,
                let key = ClientKey(code: code, bits: integer(rest, rest.startIndex + 1, 8))
            else { return nil }
            let until = WallTime(microseconds: Int64(bitPattern: integer(rest, rest.startIndex + 9, 8)))
            let deliveries = UInt32(truncatingIfNeeded: integer(rest, rest.startIndex + 17, 4))
            // How long it holds is known when the time is.
            let name = until.microseconds > 0 ? ClientRecord.GoodName(seconds: 0, deliveries: deliveries) : nil
            return .good(GoodClient(key: key, name: name), until: until)
        default:
            return nil
        }
    }

    private static func code(_ state: GreylistRecord.State) -> UInt8 {
        switch state {
        case .new: 1
        case .waiting: 2
        case .known: 3
        }
    }

    private static func state(_ code: UInt8) -> GreylistRecord.State? {
        switch code {
        case 1: .new
        case 2: .waiting
        case 3: .known
        default: nil
        }
    }

    private static func append(_ value: UInt64, octets: UInt64, to out: inout [UInt8]) {
        for i in 0..<octets { out.append(UInt8(truncatingIfNeeded: value >> (i * 8))) }
    }

    static func integer(_ bytes: ArraySlice<UInt8>, _ at: Int, _ octets: Int) -> UInt64 {
        var value: UInt64 = 0
        for i in 0..<octets { value |= UInt64(bytes[at + i]) << UInt64(i * 8) }
        return value
    }
}
