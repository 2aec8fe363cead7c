import Base
package import Protocols

extension AttemptRecord {
    /// Most recipients kept of one attempt.
    package static let recipientsMax = 100

    /// For `LedgerWriter.record`.
    package func encoded() -> [UInt8] {
        var e = LedgerEncoder(.attempt, id: message.rawValue, microseconds: began.microseconds)
        e.number(1, elapsedMicroseconds)
        e.text(2, destination)
        e.text(3, host)
        e.text(4, address)
        e.number(5, UInt64(port))
        e.flag(6, isReused)
        e.text(7, banner)
        if let tls { e.tls(8, tls) }
        for recipient in recipients.prefix(Self.recipientsMax) { e.recipient(9, recipient) }
        return e.out
    }

    init?(_ head: LedgerHead, _ bytes: [UInt8]) {
        var d = LedgerDecoder(record: bytes)
        self.init(
            message: MessageID(rawValue: head.id), began: WallTime(microseconds: head.microseconds),
            elapsedMicroseconds: 0, destination: [], recipients: [], host: [])
        while let field = d.next() {
            var inner = d.group(field)
            switch field.tag {
            case 1: elapsedMicroseconds = field.number
            case 2: destination = d.text(field)
            case 3: host = d.text(field)
            case 4: address = d.text(field)
            case 5: port = UInt16(clamping: field.number)
            case 6: isReused = field.flag
            case 7: banner = d.text(field)
            case 8: tls = inner.tls()
            case 9:
                if recipients.count < Self.recipientsMax, let recipient = inner.attempted() {
                    recipients.append(recipient)
                }
            default: break
            }
        }
        if d.isBroken { return nil }
    }
}

extension LedgerEncoder {
    fileprivate mutating func tls(_ tag: Int, _ tls: AttemptRecord.TLS) {
        group(tag) { e in
            for policy in tls.policies.prefix(LedgerBounds.list) {
                e.group(1) { e in
                    e.code(1, policy.type)
                    e.text(2, policy.domain)
                    for text in policy.strings.prefix(LedgerBounds.list) { e.present(3, text, limit: 1_024) }
                    for host in policy.mxHosts.prefix(LedgerBounds.list) { e.present(4, host) }
                }
            }
            e.text(2, tls.requirement)
            e.code(3, tls.result)
            e.text(4, tls.detail)
            e.flag(5, tls.isTesting)
            e.text(6, tls.version)
            e.text(7, tls.cipher)
            e.text(8, tls.group)
            e.flag(9, tls.hasForwardSecrecy)
            e.flag(10, tls.isVerified)
            guard let certificate = tls.certificate else { return }
            e.group(11) { e in
                e.text(1, certificate.key)
                e.text(2, certificate.subject)
                e.text(3, certificate.issuer)
                e.signed(4, certificate.notAfter)
            }
        }
    }

    fileprivate mutating func recipient(_ tag: Int, _ recipient: AttemptRecord.Recipient) {
        group(tag) { e in
            e.text(1, recipient.address)
            switch recipient.result {
            case .delivered(let code, let text):
                e.group(2) { e in
                    e.number(1, UInt64(code))
                    e.text(2, text, limit: DeliveryFailure.textMax)
                }
            case .failed(let failure): e.failure(3, failure)
            case .passedOn(let failure): e.failure(4, failure)
            }
        }
    }

    private mutating func failure(_ tag: Int, _ failure: DeliveryFailure) {
        group(tag) { e in
            e.code(1, failure.permanence)
            e.code(2, failure.source)
            e.number(3, failure.status.packed)
            if let code = failure.code { e.number(4, UInt64(code) + 1) }
            e.text(5, failure.text, limit: DeliveryFailure.textMax)
            e.text(6, failure.host)
        }
    }
}

extension LedgerDecoder {
    fileprivate mutating func tls() -> AttemptRecord.TLS {
        var out = AttemptRecord.TLS()
        while let field = next() {
            var inner = group(field)
            switch field.tag {
            case 1: if out.policies.count < Self.listMax { out.policies += inner.policy().map { [$0] } ?? [] }
            case 2: out.requirement = text(field)
            case 3: out.result = TLSResultType(code: field.number) ?? .validationFailure
            case 4: out.detail = text(field)
            case 5: out.isTesting = field.flag
            case 6: out.version = text(field)
            case 7: out.cipher = text(field)
            case 8: out.group = text(field)
            case 9: out.hasForwardSecrecy = field.flag
            case 10: out.isVerified = field.flag
            case 11: out.certificate = inner.certificate()
            default: break
            }
        }
        return out
    }

    private mutating func policy() -> TLSPolicyFact? {
        var type: TLSPolicyType?
        var out = TLSPolicyFact(type: .noPolicyFound, domain: [])
        while let field = next() {
            switch field.tag {
            case 1: type = TLSPolicyType(code: field.number)
            case 2: out.domain = text(field)
            case 3: if out.strings.count < Self.listMax { out.strings.append(text(field)) }
            case 4: if out.mxHosts.count < Self.listMax { out.mxHosts.append(text(field)) }
            default: break
            }
        }
        guard let type else { return nil }
        out.type = type
        return out
    }

    private mutating func certificate() -> AttemptRecord.Certificate {
        var out = AttemptRecord.Certificate(key: [], subject: [], issuer: [], notAfter: 0)
        while let field = next() {
            switch field.tag {
            case 1: out.key = text(field)
            case 2: out.subject = text(field)
            case 3: out.issuer = text(field)
            case 4: out.notAfter = field.signed
            default: break
            }
        }
        return out
    }

    fileprivate mutating func attempted() -> AttemptRecord.Recipient? {
        var address: [UInt8] = []
        var result: AttemptRecord.Result?
        while let field = next() {
            var inner = group(field)
            switch field.tag {
            case 1: address = text(field)
            case 2: result = inner.delivered()
            case 3: result = inner.failure().map { .failed($0) }
            case 4: result = inner.failure().map { .passedOn($0) }
            default: break
            }
        }
        return result.map { AttemptRecord.Recipient(address: address, result: $0) }
    }

    private mutating func delivered() -> AttemptRecord.Result {
        var code: UInt16 = 0
        var words: [UInt8] = []
        while let field = next() {
            switch field.tag {
            case 1: code = UInt16(clamping: field.number)
            case 2: words = text(field)
            default: break
            }
        }
        return .delivered(code: code, text: words)
    }

    private mutating func failure() -> DeliveryFailure? {
        var permanence: DeliveryFailure.Permanence?
        var source: DeliveryFailure.Source?
        var status = EnhancedStatus(0, 0, 0)
        var code: UInt16?
        var words: [UInt8] = []
        var host: [UInt8] = []
        while let field = next() {
            switch field.tag {
            case 1: permanence = DeliveryFailure.Permanence(code: field.number)
            case 2: source = DeliveryFailure.Source(code: field.number)
            case 3: status = EnhancedStatus(packed: field.number)
            case 4: code = field.number > 0 ? UInt16(clamping: field.number - 1) : nil
            case 5: words = text(field)
            case 6: host = text(field)
            default: break
            }
        }
        guard let permanence, let source else { return nil }
        return DeliveryFailure(permanence, source, status, code: code, text: words, host: host)
    }
}
