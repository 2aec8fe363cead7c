import Policy
import Protocols
import Server
import Testing

@Suite struct LimitRepliesTests {
    @Test(arguments: [
        (AdmissionVerdict.full, "421 4.3.2", "smtp.max_connections (10000)"), (.shed, "421 4.3.2", "pressure"),
        (.fullForPeer, "421 4.7.0", "smtp.max_connections_per_ip is 1000"),
        (.fullForNetwork, "421 4.7.0", "smtp.max_connections_per_network is 9"),
        (.tooFast(perNetwork: false), "421 4.7.0", "smtp.rate_limit.connections_per_minute is 8"),
        (.tooFast(perNetwork: true), "421 4.7.0", "is 8, smtp.rate_limit.network_factor gives a network 5 times that"),
        (.tooManyFailedLogins, "421 4.7.0", "smtp.rate_limit.failed_logins is 10"),
    ])
    func connections(_ verdict: AdmissionVerdict, _ start: String, _ detail: String) throws {
        var settings = LimitSettings()
        settings.maxConnectionsPerNetwork = 9
        settings.rates.connectionsPerMinute = 8
        settings.rates.networkFactor = 5
        let event = try #require(LimitReplies.connection(verdict, settings))
        #expect(event.control == .limit)
        #expect(event.effect == .closed)
        #expect(wire(event).hasPrefix(start + " "))
        #expect(String(decoding: event.detail, as: UTF8.self).contains(detail))
        #expect(LimitReplies.connection(.admitted, settings) == nil)
    }

    /// Who is known has the reserve as well: then all are taken.
    @Test func theReserveIsOnlySpokenOfToWhoHasNone() throws {
        for known in [false, true] {
            let event = try #require(LimitReplies.connection(.full, LimitSettings(), known: known))
            let detail = String(decoding: event.detail, as: UTF8.self)
            #expect(detail.hasPrefix(known ? "all of smtp.max_connections" : "all but the reserve of"))
        }
    }

    // RFC 5321 §4.3.2: what may answer MAIL and RCPT. RFC 4954 §6: what may answer AUTH.
    @Test func rates() throws {
        var settings = LimitSettings()
        settings.rates.messagesPerMinute = 2
        settings.rates.recipientsPerMinute = 3
        #expect(LimitReplies.message(.taken, settings) == nil)
        #expect(LimitReplies.recipient(.taken, settings) == nil)
        let message = try #require(LimitReplies.message(.tooFast(perNetwork: false, seconds: 30), settings))
        #expect(wire(message) == "451 4.7.1 Too many messages from your address, try again in 30 s\r\n")
        #expect(message.effect == .deferred)
        let recipient = try #require(LimitReplies.recipient(.tooFast(perNetwork: true, seconds: 5), settings))
        #expect(wire(recipient) == "451 4.7.1 Too many recipients from your network, try again in 5 s\r\n")
        #expect(
            String(decoding: recipient.detail, as: UTF8.self)
                == "smtp.rate_limit.recipients_per_minute is 3, smtp.rate_limit.network_factor gives a network 4 times that"
        )
        #expect(wire(LimitReplies.login(settings)).hasPrefix("454 4.7.0 "))
        #expect(wire(LimitReplies.login(settings)).contains("from your address"))
        #expect(wire(LimitReplies.login(settings, perNetwork: true)).contains("from your network"))
    }

    @Test func accounts() throws {
        var limits = AccountLimits()
        limits.messagesPerHour = 7
        limits.recipientsPerHour = 9
        let amy = Array("amy@example.org".utf8)
        #expect(LimitReplies.accountMessage(.taken, limits, amy) == nil)
        #expect(LimitReplies.accountRecipient(.taken, limits, amy) == nil)
        let message = try #require(LimitReplies.accountMessage(.tooMany(seconds: 30), limits, amy))
        #expect(wire(message) == "450 4.7.1 Too many messages from your account, try again in 30 s\r\n")
        #expect(message.control == .rate && message.effect == .deferred)
        #expect(
            String(decoding: message.detail, as: UTF8.self)
                == "smtp.rate_limit.account_messages_per_hour is 7, used up by amy@example.org")
        let recipient = try #require(LimitReplies.accountRecipient(.tooMany(seconds: 5), limits, amy))
        #expect(wire(recipient) == "450 4.7.1 Too many recipients from your account, try again in 5 s\r\n")
        #expect(
            String(decoding: recipient.detail, as: UTF8.self)
                == "smtp.rate_limit.account_recipients_per_hour is 9, used up by amy@example.org")
    }

    private func wire(_ event: DefenseEvent) -> String {
        var out: [UInt8] = []
        event.reply?.append(to: &out)
        return String(decoding: out, as: UTF8.self)
    }
}
