import Base
import Protocols

extension LedgerEncoder {
    /// Answers until the record has `LedgerBounds.facts` octets; false when some had to stay out or were cut.
    mutating func facts(_ tag: Int, _ facts: Facts) -> Bool {
        var isWhole = true
        for question in facts.questions {
            guard let answer = facts.known(question) else { continue }
            guard out.count < LedgerBounds.facts else { return false }
            group(tag) { e in
                e.text(1, question.name.wire)
                e.number(2, UInt64(question.type.rawValue))
                e.code(3, answer.status)
                e.code(4, answer.security)
                e.number(5, UInt64(answer.ttl))
                if let name = answer.canonicalName { e.text(6, name.wire) }
                if let reason = answer.reason { e.text(7, String(reason.prefix(200))) }
                for record in answer.records.prefix(LedgerBounds.answer) { isWhole = e.record(record) && isWhole }
            }
            if answer.records.count > LedgerBounds.answer { isWhole = false }
        }
        return isWhole
    }

    /// Tags 16 and up: one for each type. False when the text was cut.
    private mutating func record(_ record: RecordData) -> Bool {
        switch record {
        case .a(let address): text(16, address.bytes)
        case .aaaa(let address): text(17, address.bytes)
        case .mx(let preference, let host):
            text(18, [UInt8(truncatingIfNeeded: preference >> 8), UInt8(truncatingIfNeeded: preference)], host.wire)
        case .txt(let bytes):
            present(19, bytes, limit: LedgerBounds.record)
            return bytes.count <= LedgerBounds.record
        case .ptr(let name): text(20, name.wire)
        case .cname(let name): text(21, name.wire)
        case .tlsa(let tlsa):
            guard tlsa.data.count <= LedgerBounds.record else { return false }
            text(22, [tlsa.usage, tlsa.selector, tlsa.matchingType], tlsa.data)
        }
        return true
    }
}

extension LedgerDecoder {
    /// One question with its answer; nil when it is of a type that this version does not know.
    mutating func fact() -> (DNSQuestion, DNSAnswer)? {
        var name: DNSName?
        var type: DNSRecordType?
        var status: DNSStatus?
        var answer = DNSAnswer(status: .timeout)
        while let field = next() {
            switch field.tag {
            case 1: name = DNSName(wire: text(field))
            case 2: type = UInt16(exactly: field.number).flatMap { DNSRecordType(rawValue: $0) }
            case 3: status = DNSStatus(code: field.number)
            case 4: answer.security = DNSSecurity(code: field.number) ?? .insecure
            case 5: answer.ttl = UInt32(clamping: field.number)
            case 6: answer.canonicalName = DNSName(wire: text(field))
            case 7: answer.reason = string(field)
            case 16...22:
                if answer.records.count < Self.listMax, let record = record(field) { answer.records.append(record) }
            default: break
            }
        }
        guard let name, let type, let status else { return nil }
        answer.status = status
        return (DNSQuestion(name, type), answer)
    }

    private func record(_ field: Field) -> RecordData? {
        let bytes = text(field)
        return switch field.tag {
        case 16: RecordData(type: .a, rdata: bytes)
        case 17: RecordData(type: .aaaa, rdata: bytes)
        case 18: RecordData(type: .mx, rdata: bytes)
        case 19: .txt(bytes)
        case 20: RecordData(type: .ptr, rdata: bytes)
        case 21: RecordData(type: .cname, rdata: bytes)
        case 22: RecordData(type: .tlsa, rdata: bytes)
        default: nil
        }
    }
}
