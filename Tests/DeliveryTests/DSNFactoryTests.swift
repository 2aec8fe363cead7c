import Base
import Protocols
import Store
import Testing

@testable import Delivery

/// Who is told what: the rules of RFC 3461 as rows.
@Suite struct DSNFactoryTests {
    private static let now = WallTime(seconds: 1_790_000_000)
    private static let body = Array("Subject: hello\r\nMessage-ID: <m@x>\r\n\r\nThe body.\r\n".utf8)

    private static func message(_ sender: String, _ record: EnvelopeRecord, size: Int? = nil) -> StoredMessage {
        StoredMessage(
            id: MessageID(rawValue: 77), received: WallTime(seconds: 1_789_000_000), sender: Array(sender.utf8),
            trace: [], envelope: record.encoded(), bodySize: size ?? body.count)
    }

    private static func notice(
        _ kind: DeliveryNotice.Kind, notify: DSNNotify = [], sender: String = "ann@ours.example",
        record: EnvelopeRecord = EnvelopeRecord(), size: Int? = nil, failure: DeliveryFailure? = nil,
        orcpt: String = "", recipient: String = "bob@their.example"
    ) -> DeliveryNotice {
        let isBad = kind == .failed || kind == .delayed
        let standard = DeliveryFailure(
            kind == .failed ? .permanent : .temporary, .remote, EnhancedStatus(kind == .failed ? 5 : 4, 2, 0),
            code: kind == .failed ? 550 : 450, text: Array("words".utf8), host: Array("mx.their.example".utf8))
        return DeliveryNotice(
            kind: kind, message: message(sender, record, size: size), sender: Array(sender.utf8),
            recipients: [
                DeliveryNotice.Recipient(
                    recipient: RemoteRecipient(
                        address: Array(recipient.utf8), notify: notify.rawValue,
                        originalRecipient: Array(orcpt.utf8)),
                    failure: isBad ? failure ?? standard : nil, code: isBad ? 0 : 250, text: Array("2.0.0 ok".utf8),
                    host: Array("mx.their.example".utf8), attempts: 1)
            ], now: now, until: WallTime(seconds: 1_791_000_000))
    }

    private static func decide(
        _ notice: DeliveryNotice, isProven: Bool = true, isLocal: Bool = true, factory: DSNFactory = factory
    ) -> DSNDecision {
        factory.decide(
            notice,
            DSNFactory.Context(
                original: body, isWhole: true, isSenderProven: isProven, isSenderLocal: isLocal,
                token: Array("abcdefghijkl".utf8)))
    }

    private static let factory = DSNFactory(hostname: Array("mx.ours.example".utf8))

    private static func report(_ decision: DSNDecision) -> OutgoingReport? {
        guard case .report(let report) = decision else { return nil }
        return report
    }

    private static func silence(_ decision: DSNDecision) -> DSNDecision.Reason? {
        guard case .silent(let reason) = decision else { return nil }
        return reason
    }

    private static func text(_ decision: DSNDecision) -> String? {
        report(decision).map { String(decoding: $0.body, as: UTF8.self) }
    }

    // RFC 3461 §5.2.7.3
    @Test(
        arguments: [
            ([], []), (.never, .never), (.success, .never), ([.success, .delay], .delay), (.failure, .failure),
            ([.success, .failure, .delay], [.failure, .delay]),
        ] as [(DSNNotify, DSNNotify)])
    func furtherTargetsDoNotTellOfSuccess(asked: DSNNotify, passedOn: DSNNotify) {
        #expect(asked.withoutSuccess == passedOn)
    }

    @Test func onlyWhoAskedHearsOfADelivery() {
        func recipient(_ name: String, _ notify: DSNNotify) -> RemoteRecipient {
            RemoteRecipient(address: Array("\(name)@ours.example".utf8), notify: notify.rawValue)
        }
        let all = [recipient("a", []), recipient("b", [.success, .failure]), recipient("c", .failure)]
        let message = Self.message("ann@ours.example", EnvelopeRecord())
        let notice = DeliveryNotice.delivered(message, to: all, now: Self.now)
        #expect(notice?.recipients.map(\.recipient) == [all[1]])
        #expect(notice.map { Self.text(Self.decide($0)) }??.contains("\r\nAction: delivered\r\n") == true)
        #expect(DeliveryNotice.delivered(message, to: [all[0], all[2]], now: Self.now)?.recipients.isEmpty == nil)
        #expect(
            DeliveryNotice.delivered(Self.message("", EnvelopeRecord()), to: all, now: Self.now)?.recipients.isEmpty
                == nil)
    }

    @Test(
        arguments: [
            (DSNNotify.never, DeliveryNotice.Kind.failed, nil), (.never, .delivered, nil), ([], .failed, "failed"),
            ([], .delivered, nil), ([], .relayed, nil), ([], .delayed, "delayed"), (.failure, .delivered, nil),
            (.failure, .failed, "failed"), (.failure, .delayed, nil), (.delay, .delayed, "delayed"),
            (.delay, .failed, nil),
            (.success, .delivered, "delivered"), (.success, .relayed, "relayed"), (.success, .failed, nil),
            ([.success, .failure, .delay], .failed, "failed"), ([.success, .failure], .delayed, nil),
        ] as [(DSNNotify, DeliveryNotice.Kind, String?)])
    func notifyDecides(notify: DSNNotify, kind: DeliveryNotice.Kind, action: String?) {
        let decision = Self.decide(Self.notice(kind, notify: notify))
        if let action {
            #expect(Self.text(decision)?.contains("\r\nAction: \(action)\r\n") == true)
        } else {
            #expect(Self.silence(decision) == .notAsked)
        }
    }

    @Test func neverAboutABounceNorToABystander() {
        #expect(Self.silence(Self.decide(Self.notice(.failed, sender: ""))) == .nullSender)
        #expect(Self.silence(Self.decide(Self.notice(.failed), isProven: false)) == .unproven)
        var quiet = Self.factory
        quiet.tellsDelaysUnasked = false
        #expect(Self.silence(Self.decide(Self.notice(.delayed), factory: quiet)) == .notAsked)
        #expect(Self.factory.octetsWanted(for: Self.notice(.failed, sender: "")) == 0)
    }

    @Test func theReportMakesNoReport() throws {
        let report = try #require(Self.report(Self.decide(Self.notice(.failed))))
        #expect(report.recipient == Array("ann@ours.example".utf8))
        let request = report.request(id: MessageID(rawValue: 78), now: Self.now)
        #expect(request.sender.isEmpty)
        #expect(request.remote.map(\.notify) == [DSNNotify.never.rawValue])
        let local = report.request(
            id: MessageID(rawValue: 78), now: Self.now, local: [])
        #expect(local.sender.isEmpty && local.remote.isEmpty)
        #expect(EnvelopeRecord(encoded: report.envelope)?.smtpUTF8 == false)
    }

    @Test func envelopeParametersAreHonoured() throws {
        var record = EnvelopeRecord()
        record.envid = Array("QQ+2B314159".utf8)
        record.ret = .headers
        record.helo = Array("client.example".utf8)
        let notice = Self.notice(.failed, record: record, orcpt: "rfc822;Bob+2Bx@Example.COM")
        let text = try #require(Self.text(Self.decide(notice)))
        #expect(text.contains("Original-Envelope-Id: QQ+314159\r\n"))
        #expect(text.contains("Original-Recipient: rfc822;Bob+x@Example.COM\r\n"))
        #expect(text.contains("Received-From-MTA: dns; client.example\r\n"))
        #expect(text.contains("text/rfc822-headers") && !text.contains("The body."))
    }

    @Test(arguments: [
        (DSNReturn?.none, 60_000, true), (nil, 70_000, false), (.full, 70_000, true), (.full, 2_000_000, false),
        (.headers, 100, false),
    ])
    func howMuchComesBack(ret: DSNReturn?, size: Int, returnsBody: Bool) {
        var record = EnvelopeRecord()
        record.ret = ret
        let notice = Self.notice(.failed, record: record, size: size)
        #expect(Self.factory.octetsWanted(for: notice) == (returnsBody ? size : min(size, 65_536)))
        #expect(Self.text(Self.decide(notice))?.contains("The body.") == returnsBody)
        // RFC 3461 §4.3: success and delay reports have the header only.
        let delay = Self.notice(.delayed, record: record, size: size)
        #expect(Self.text(Self.decide(delay))?.contains("The body.") == false)
    }

    // RFC 8689 §5
    @Test func whatRequiresTLSComesBackWithoutItsBody() {
        var record = EnvelopeRecord()
        record.ret = .full
        record.requireTLS = true
        let notice = Self.notice(.failed, record: record, size: 100)
        #expect(Self.text(Self.decide(notice))?.contains("The body.") == false)
    }

    @Test func expiryNamesTheLastAnswer() throws {
        let last = DeliveryFailure(
            .temporary, .network, EnhancedStatus(4, 4, 1), text: Array("connection refused".utf8),
            host: Array("mx.their.example".utf8))
        let text = try #require(Self.text(Self.decide(Self.notice(.failed, failure: last))))
        #expect(text.contains("\r\nAction: failed\r\nStatus: 4.4.1\r\n"))
        #expect(text.contains("Diagnostic-Code: X-Martlet; connection refused\r\n"))
        #expect(text.contains("until its time was up"))
        let delayed = try #require(Self.text(Self.decide(Self.notice(.delayed, failure: last))))
        #expect(delayed.contains("Will-Retry-Until:"))
    }

    @Test func aForwardersPathLeadsToTheSender() throws {
        let srs = try #require(SRS(keys: [Secret(Array("k".utf8))]))
        let path = try #require(
            srs.rewritten(Array("zoe@far.example".utf8), domain: Array("ours.example".utf8), now: Self.now))
        var factory = Self.factory
        factory.forwarding = srs
        let sender = String(decoding: path, as: UTF8.self)
        let report = Self.report(Self.decide(Self.notice(.failed, sender: sender), factory: factory))
        #expect(report?.recipient == Array("zoe@far.example".utf8))
        let forged = Self.notice(.failed, sender: "SRS0=aaaaaa=aa=far.example=zoe@ours.example")
        #expect(Self.silence(Self.decide(forged, factory: factory)) == .expiredPath)
    }

    @Test func aBounceAddressLeadsToTheSender() throws {
        let verp = try #require(VERP(keys: [Secret(Array("k".utf8))]))
        let path = verp.address(
            for: VERP.Token(message: MessageID(rawValue: 77), recipient: 1), domain: Array("ours.example".utf8),
            now: Self.now)
        var factory = Self.factory
        factory.bounces = verp
        let base = Self.notice(.failed)
        func notice(_ sender: [UInt8]) -> DeliveryNotice {
            DeliveryNotice(
                kind: .failed, message: base.message, sender: sender, recipients: base.recipients, now: base.now,
                until: base.until)
        }
        let report = Self.report(Self.decide(notice(path), factory: factory))
        #expect(report?.recipient == Array("ann@ours.example".utf8))
        let forged = Self.decide(
            notice(Array("bounces+aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@ours.example".utf8)), factory: factory)
        #expect(Self.silence(forged) == .expiredPath)
    }

    @Test func internationalOnlyWhereTheWayBackIsKnown() throws {
        var record = EnvelopeRecord()
        record.smtpUTF8 = true
        func needsUTF8(_ sender: String, isLocal: Bool) throws -> Bool {
            let notice = Self.notice(.failed, sender: sender, record: record, recipient: "ñ@their.example")
            let report = try #require(Self.report(Self.decide(notice, isLocal: isLocal)))
            return EnvelopeRecord(encoded: report.envelope)?.smtpUTF8 == true
        }
        #expect(try needsUTF8("ann@ours.example", isLocal: true))
        #expect(try !needsUTF8("ann@their.example", isLocal: false))
        #expect(try needsUTF8("é@their.example", isLocal: false))
    }
}
