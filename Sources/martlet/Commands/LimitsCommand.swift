import ArgumentParser
import Server

struct LimitsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limits",
        abstract: "What is counted of clients and accounts: connections, rates and failed logins.",
        discussion: """
            The limits stand in the configuration: smtp.max_connections, smtp.max_connections_per_ip, \
            smtp.max_connections_per_network and smtp.rate_limit.*; smtp.trusted_networks are not held to them. \
            Accounts have smtp.rate_limit.account_messages_per_hour and account_recipients_per_hour, from wherever \
            they send; smtp.rate_limit.account_exempt are not held to those.
            """,
        subcommands: [List.self, Release.self, Allow.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List clients, networks and accounts that are counted now or were refused, the worst first.")
        @OptionGroup var options: ClientListOptions
        func run() throws { try options.run(.limits) }
    }

    struct Release: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Set what is counted of a client or an account to zero.")
        @OptionGroup var options: ClientReleaseOptions
        func run() throws { try options.run(.limits) }
    }

    struct Allow: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Do not hold these clients to limits.")
        @OptionGroup var options: AllowOptions
        func run() throws { try options.run(.limits) }
    }
}
