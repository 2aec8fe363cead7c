import Base
import Protocols

extension LedgerEncoder {
    mutating func session(_ tag: Int, _ session: SessionFacts) {
        group(tag) { e in
            e.text(1, session.listener)
            if let peer = session.peer { e.text(2, peer.bytes) }
            e.text(3, session.helo)
            e.text(4, session.tlsVersion)
            e.text(5, session.tlsCipher)
            e.text(6, session.user)
            if let isExempt = session.isExempt { e.number(7, isExempt ? 2 : 1) }
        }
    }

    mutating func reply(_ tag: Int, _ reply: Reply) {
        group(tag) { e in
            e.number(1, UInt64(reply.code))
            if let status = reply.enhanced { e.number(2, status.packed) }
            e.text(3, reply.text, limit: 2_048)
        }
    }
}

extension LedgerDecoder {
    mutating func session() -> SessionFacts {
        var out = SessionFacts(listener: [], peer: nil)
        while let field = next() {
            switch field.tag {
            case 1: out.listener = text(field)
            case 2: out.peer = IPAddress(bytes: text(field))
            case 3: out.helo = text(field)
            case 4: out.tlsVersion = text(field)
            case 5: out.tlsCipher = text(field)
            case 6: out.user = text(field)
            case 7: out.isExempt = field.number > 1
            default: break
            }
        }
        return out
    }

    mutating func reply() -> Reply {
        var code: UInt16 = 0
        var enhanced: EnhancedStatus?
        var words: [UInt8] = []
        while let field = next() {
            switch field.tag {
            case 1: code = UInt16(clamping: field.number)
            case 2: enhanced = EnhancedStatus(packed: field.number)
            case 3: words = text(field)
            default: break
            }
        }
        return Reply(code: code, enhanced: enhanced, text: words)
    }
}

extension EnhancedStatus {
    var packed: UInt64 { UInt64(category) << 32 | UInt64(subject) << 16 | UInt64(detail) }

    init(packed: UInt64) {
        self.init(
            UInt8(truncatingIfNeeded: packed >> 32), UInt16(truncatingIfNeeded: packed >> 16),
            UInt16(truncatingIfNeeded: packed))
    }
}
