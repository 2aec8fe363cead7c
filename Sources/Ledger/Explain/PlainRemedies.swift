import Base
import Policy
import Protocols

/// What somebody could do about what a plain rule refused: the sender, or the operator here. The reply says which rule.
enum PlainRemedies {
    static func of(_ event: DefenseEvent, _ session: SessionFacts) -> [String] {
        switch event.control {
        case .directory: directory(event, session)
        case .protocol: [dialogue(event)]
        case .login:
            [
                "who owns the account should look at name and password in the client; `martlet account passwd "
                    + "\(ShownText.argument(event.subject, or: "ADDRESS"))` sets a new one, `martlet account list` shows what is disabled"
            ]
        case .store:
            [
                "the client tries again by itself; if it goes on, `martlet top` and `martlet status` show what is scarce, "
                    + "the log what failed"
            ]
        case .limit, .greylist, .tarpit, .score, .milter, .pressure, .poison, .proxy, .rate: []
        }
    }

    private static func directory(_ event: DefenseEvent, _ session: SessionFacts) -> [String] {
        let address = ShownText.argument(event.subject, or: "ADDRESS")
        let at = event.subject.lastIndex(of: ASCII.at)
        let domain = ShownText.argument(at.map { Array(event.subject[($0 + 1)...]) } ?? [], or: "DOMAIN")
        switch event.reply?.enhanced?.shownText ?? "" {
        case "5.1.1":
            return [
                "the sender should look at the spelling of \(shown(event.subject)); `martlet account add \(address)` makes the mailbox, "
                    + "`martlet alias add \(address) TARGET` leads it elsewhere"
            ]
        case "5.2.1":
            return ["`martlet account enable \(address)` lets the mailbox take mail again"]
        case "5.2.2", "4.2.2":
            return [
                "the mailbox has to be emptied, or to have a larger quota (`martlet account list` shows it); `martlet domain "
                    + "set \(domain) quota_refusal=` says whether senders shall try again"
            ]
        case "5.2.3", "5.3.4":
            return ["`martlet domain set \(domain) max_message_size=` says what the domain takes"]
        case "4.4.6":
            return ["`martlet alias list` shows the aliases that lead to each other; one of them has to go"]
        default: return [relay(event, session, domain)]
        }
    }

    private static func relay(_ event: DefenseEvent, _ session: SessionFacts, _ domain: String) -> String {
        let client = session.peer?.description ?? "ADDRESS"
        if !session.user.isEmpty {
            return
                "\(session.user.shownText) may send as the account and its aliases: `martlet alias add "
                + "\(ShownText.argument(event.subject, or: "ADDRESS")) \(ShownText.argument(session.user, or: "ACCOUNT"))` makes one"
        }
        return
            "if \(domain) is to be served here: `martlet domain add \(domain)`; a user has to log in on the submission "
            + "port to send elsewhere, a machine of yours (\(client)) has to be in smtp.relay_networks"
    }

    private static let dataKey = "smtp.data_timeout"
    private static let loginsPhrase = "failed logins"

    private static func dialogue(_ event: DefenseEvent) -> String {
        let status = event.reply?.enhanced?.shownText ?? ""
        return switch (event.reply?.code, status) {
        case (530, _), (538, _):
            "the client has to use STARTTLS, and to log in where users submit mail; `martlet config explain "
                + "smtp.listeners` tells which listener wants what"
        case (421, "4.4.2") where event.detail.shownText.contains(Self.dataKey):
            "no more of the message came for too long; `martlet config explain \(Self.dataKey)` tells how long that is, "
                + "`martlet top` whether the server is under pressure and waits for less"
        case (421, "4.7.0") where event.detail.shownText.contains(Self.loginsPhrase):
            "who owns the account should look at name and password in the client; a session may fail to log in 3 times, no "
                + "setting changes that; `martlet limits list` shows what is counted of the client"
        case (421, "4.7.0") where event.detail.shownText.contains("smtp.max_errors"):
            "`martlet config explain smtp.max_errors` tells how many mistakes and refusals a session may have"
        case (421, "4.4.2"):
            "the client said nothing for too long; `martlet config explain smtp.command_timeout` tells how long that is, "
                + "`martlet top` whether the server is under pressure and waits for less"
        case (_, "5.3.4"), (_, "4.3.4"):
            "the message is too large; `martlet config explain smtp.max_message_size` tells the limit"
        case (452, _):
            "the client may go on in another transaction or connection; `martlet config explain smtp.max_recipients` tells "
                + "the limit of recipients"
        case (554, "5.4.6"):
            "the message goes round in a circle: its Received fields show where, `martlet alias list` what leads on from here"
        default:
            "the client broke a rule of SMTP, its makers should look at what it said before the reply; `martlet explain` of "
                + "the same id shows what came later in the session"
        }
    }

    private static func shown(_ bytes: [UInt8]) -> String { bytes.isEmpty ? "the address" : bytes.shownText }
}
