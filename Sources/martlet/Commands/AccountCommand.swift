import ArgumentParser
import Base
import Crypto
import Server
import Store

struct AccountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "account", abstract: "Mailboxes and who may log in.",
        subcommands: [Add.self, List.self, Password.self, Disable.self, Enable.self, Remove.self])

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add an account.",
            discussion: "Asks for a password on a terminal; otherwise makes one and prints it.")
        @Argument(help: "The address, such as alice@example.org.") var address: String
        @Flag(help: "May administer the server.") var admin = false
        @OptionGroup var password: PasswordOptions
        @Option(help: ArgumentHelp("Most octets of mail, such as 2GiB; default: no limit.", valueName: "size"))
        var quota: String?
        @OptionGroup var config: ConfigOptions

        func run() throws {
            var octets: Int?
            if let quota {
                guard let size = ConfigText.size(quota), size > 0 else {
                    throw ValidationError("--quota \(quota) is not a size, such as 500MiB or 2GiB")
                }
                octets = size
            }
            let chosen = try password.choose(for: address)
            let account = ControlAccount(
                address: address.bytes, isAdmin: admin, quotaOctets: octets, credentials: chosen.credentials)
            try config.run(.accountAdd(account))
            if let made = chosen.generated { Console.print("password: \(made)\n") }
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the accounts.")
        @OptionGroup var config: ConfigOptions
        @OptionGroup var output: OutputOptions
        func run() throws { try config.run(.accountList, json: output.json) }
    }

    struct Password: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "passwd", abstract: "Set an account's password.")
        @Argument(help: "The address.") var address: String
        @OptionGroup var password: PasswordOptions
        @OptionGroup var config: ConfigOptions

        func run() throws {
            let chosen = try password.choose(for: address)
            try config.run(.accountPassword(address.bytes, chosen.credentials))
            if let made = chosen.generated { Console.print("password: \(made)\n") }
        }
    }

    struct Disable: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Refuse an account's logins and mail; what it has stays.")
        @Argument(help: "The address.") var address: String
        @OptionGroup var config: ConfigOptions
        func run() throws { try config.run(.accountDisable(address.bytes)) }
    }

    struct Enable: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Undo disable.")
        @Argument(help: "The address.") var address: String
        @OptionGroup var config: ConfigOptions
        func run() throws { try config.run(.accountEnable(address.bytes)) }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Remove an account and all its mail.")
        @Argument(help: "The address.") var address: String
        @Flag(help: "Do not ask.") var yes = false
        @OptionGroup var config: ConfigOptions

        func run() throws {
            guard yes || Console.confirm("Remove \(address) and all its mail?") else {
                Console.say("nothing was removed")
                throw ExitCode(ExitStatus.failure)
            }
            try config.run(.accountRemove(address.bytes))
        }
    }
}

/// How a command gets a new password.
struct PasswordOptions: ParsableArguments {
    @Flag(name: .customLong("password-stdin"), help: "Read the password from the first line of standard input.")
    var fromInput = false

    struct Chosen {
        let credentials: Credentials
        /// To print when nobody typed it.
        let generated: String?
    }

    func choose(for address: String) throws -> Chosen {
        var generated: String?
        var password: Secret?
        if fromInput {
            password = Console.passwordFromInput()
        } else if Console.inputIsTerminal {
            password = Console.askPassword(for: address)
            if password == nil {
                Console.error("the two differ, or nothing was typed; run the command again")
                throw ExitCode(ExitStatus.data)
            }
        } else {
            var random = SystemRandom()
            let made = random.password()
            generated = made
            password = Secret(made.bytes)
        }
        guard let password, let credentials = NewCredentials.make(password) else {
            Console.error("a password has 1 to 511 octets and no NUL; choose another")
            throw ExitCode(ExitStatus.data)
        }
        return Chosen(credentials: credentials, generated: generated)
    }
}
