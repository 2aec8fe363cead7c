import Delivery
import Protocols
import Testing

@Suite struct FailureClassifierTests {
    private static let host = Array("mx.example".utf8)

    private static func reply(_ code: UInt16, _ status: EnhancedStatusValue? = nil) -> ServerReply {
        ServerReply(code: code, status: status, text: Array("words".utf8))
    }

    private static func verdicts(
        _ verdict: TransferOutcome.Verdict, _ recipients: [ServerReply?]
    ) -> [RecipientVerdict] {
        FailureClassifier.verdicts(for: TransferOutcome(verdict: verdict, recipients: recipients), host: host)
    }

    /// `next`, `later`, `never` or `done`, and the status.
    private static func sign(_ verdict: RecipientVerdict?) -> String {
        let status = (verdict?.failure?.status).map { "\($0.category).\($0.subject).\($0.detail)" } ?? ""
        switch verdict {
        case .delivered: return "done"
        case .tryNextHost: return "next \(status)"
        case .temporary: return "later \(status)"
        case .permanent: return "never \(status)"
        case nil: return "none"
        }
    }

    @Test(
        arguments: [
            (450, nil, "later 4.2.0"), (451, nil, "later 4.3.0"), (452, nil, "later 4.5.3"), (421, nil, "next 4.3.2"),
            (550, nil, "never 5.1.1"), (551, nil, "never 5.1.6"), (553, nil, "never 5.1.3"), (554, nil, "never 5.0.0"),
            (552, nil, "later 4.5.3"), (552, EnhancedStatusValue(5, 2, 2), "later 4.2.2"), (556, nil, "never 5.1.10"),
            (550, EnhancedStatusValue(5, 7, 1), "never 5.7.1"), (450, EnhancedStatusValue(4, 7, 1), "later 4.7.1"),
            (451, EnhancedStatusValue(4, 3, 0), "next 4.3.0"), (500, nil, "never 5.5.2"), (599, nil, "never 5.0.0"),
        ] as [(UInt16, EnhancedStatusValue?, String)])
    func refusedRecipient(code: UInt16, status: EnhancedStatusValue?, expected: String) {
        let reply = Self.reply(code, status)
        let all = Self.verdicts(.accepted(Self.reply(250)), [Self.reply(250), reply])
        #expect(all.map(Self.sign) == ["done", expected])
        #expect(Self.sign(Self.verdicts(.noRecipients, [reply]).first) == expected)
    }

    @Test(
        arguments: [
            (ClientStage.sender, 550, "next 5.0.0"), (.sender, 451, "next 4.3.0"), (.sender, 452, "later 4.3.1"),
            (.data, 554, "never 5.0.0"), (.data, 451, "next 4.3.0"), (.endOfMessage, 550, "never 5.0.0"),
            (.endOfMessage, 552, "never 5.3.4"), (.endOfMessage, 450, "later 4.0.0"), (.chunk, 503, "never 5.5.1"),
        ] as [(ClientStage, UInt16, String)])
    func refusedMessage(stage: ClientStage, code: UInt16, expected: String) {
        let all = Self.verdicts(.rejected(stage, Self.reply(code)), [Self.reply(250), Self.reply(250)])
        #expect(all.map(Self.sign) == [expected, expected])
    }

    @Test func aRecipientsOwnAnswerOutlivesTheMessagesRefusal() {
        let recipients = [Self.reply(250), Self.reply(550), Self.reply(450)]
        #expect(
            Self.verdicts(.rejected(.endOfMessage, Self.reply(451)), recipients).map(Self.sign)
                == ["next 4.3.0", "never 5.1.1", "later 4.2.0"])
        #expect(
            Self.verdicts(.interrupted(.lost(.endOfMessage)), recipients).map(Self.sign)
                == ["later 4.4.2", "never 5.1.1", "later 4.2.0"])
        // MAIL was refused: what the host said of the recipients then means nothing.
        #expect(
            Self.verdicts(.rejected(.sender, Self.reply(550)), [Self.reply(503), nil]).map(Self.sign)
                == ["next 5.0.0", "next 5.0.0"])
    }

    @Test func lmtpAnswersForEach() {
        #expect(
            Self.verdicts(.perRecipient, [Self.reply(250), Self.reply(552), Self.reply(450), nil]).map(Self.sign)
                == ["done", "never 5.3.4", "later 4.0.0", "next 4.5.0"])
    }

    @Test(
        arguments: [
            (ClientFailure.refused(.greeting, reply(554)), "next 5.0.0"),
            (.refused(.greeting, reply(421)), "next 4.3.2"), (.refused(.hello, reply(550)), "next 5.0.0"),
            (.refused(.authentication, reply(535)), "next 4.7.8"), (.refused(.startTLS, reply(554)), "next 4.0.0"),
            (.closing(.recipient, reply(421)), "next 4.3.2"), (.noTLS, "next 4.7.4"), (.lost(.greeting), "next 4.4.2"),
            (.lost(.endOfMessage), "later 4.4.2"), (.unexpected(.data, reply(250)), "next 4.5.0"),
            (.bytesBehindStartTLS, "next 4.7.5"), (.noMechanism, "next 4.7.0"),
            (.unsolicited(reply(250)), "next 4.5.0"),
        ] as [(ClientFailure, String)])
    func failedConnection(failure: ClientFailure, expected: String) {
        #expect(Self.sign(FailureClassifier.verdict(for: failure, host: Self.host)) == expected)
    }

    @Test(arguments: [
        (TransferOutcome.Need.size, "next 5.3.4"), (.eightBitMIME, "next 5.6.3"), (.binaryMIME, "next 5.6.3"),
        (.smtpUTF8, "next 5.6.7"), (.requireTLS, "next 5.7.30"),
    ])
    func missingExtension(need: TransferOutcome.Need, expected: String) {
        #expect(Self.sign(Self.verdicts(.unsupported(need), [nil]).first) == expected)
    }

    @Test func anythingTemporaryKeepsTheMessage() throws {
        let refused = try #require(Self.verdicts(.rejected(.sender, Self.reply(550)), [nil]).first?.failure)
        let silent = FailureClassifier.unreachable(Array("refused".utf8), host: Self.host)
        #expect(FailureClassifier.combined([refused, silent]) == silent)
        #expect(FailureClassifier.combined([silent, refused]) == silent)
        #expect(FailureClassifier.combined([refused]) == refused)
        #expect(FailureClassifier.combined([]) == nil)
    }

    @Test func everyFailureAgreesWithItsStatus() {
        for code in 400...599 {
            for stage in [ClientStage.sender, .recipient, .data, .endOfMessage] {
                let reply = Self.reply(UInt16(code), EnhancedStatusValue(2, 0, 0))
                for verdict in Self.verdicts(.rejected(stage, reply), [nil]) {
                    let failure = verdict.failure
                    #expect(failure?.status.category == (failure?.permanence == .permanent ? 5 : 4))
                    if code < 500 { #expect(failure?.permanence == .temporary) }
                }
            }
        }
    }

    @Test func whatTheDestinationIsToldFrom() {
        let throttled = FailureClassifier.site(for: .closing(.greeting, Self.reply(421)), host: Self.host)
        guard case .throttled = throttled else { return #expect(Bool(false), "421 asks for less") }
        guard case .unreachable = FailureClassifier.site(for: .lost(.greeting), host: Self.host) else {
            return #expect(Bool(false), "no greeting")
        }
        #expect(Self.sign(Self.verdicts(.interrupted(.lost(.chunk)), [nil])[0]) == "later 4.4.2")
        let lost = TransferOutcome(verdict: .interrupted(.lost(.endOfMessage)), recipients: [])
        #expect(FailureClassifier.mayHaveBeenAccepted(lost))
        let early = TransferOutcome(verdict: .interrupted(.lost(.recipient)), recipients: [])
        #expect(!FailureClassifier.mayHaveBeenAccepted(early))
    }
}
