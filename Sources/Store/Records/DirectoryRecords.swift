package import Policy

package struct DomainRecord: Sendable, Hashable {
    /// Lower case.
    package let name: [UInt8]
    package let policy: DomainPolicy

    package init(name: [UInt8], policy: DomainPolicy) {
        self.name = name
        self.policy = policy
    }
}

package struct AccountRecord: Sendable, Hashable {
    package let id: AccountID
    /// Lower-case `local@domain`.
    package let address: [UInt8]
    package let isAdmin: Bool
    package let isDisabled: Bool
    package let quotaOctets: Int?
    package let usedOctets: Int
    package let messages: Int

    package init(
        id: AccountID, address: [UInt8], isAdmin: Bool, isDisabled: Bool, quotaOctets: Int?, usedOctets: Int,
        messages: Int
    ) {
        self.id = id
        self.address = address
        self.isAdmin = isAdmin
        self.isDisabled = isDisabled
        self.quotaOctets = quotaOctets
        self.usedOctets = usedOctets
        self.messages = messages
    }
}

package struct AliasRecord: Sendable, Hashable {
    /// Lower-case `local@domain`, or `@domain` for the catch-all.
    package let address: [UInt8]
    package let targets: [[UInt8]]

    package init(address: [UInt8], targets: [[UInt8]]) {
        self.address = address
        self.targets = targets
    }
}

/// What SCRAM keeps instead of a password.
// RFC 5803 §2
package struct ScramVerifier: Sendable, Hashable {
    package let salt: [UInt8]
    package let iterations: Int
    package let storedKey: [UInt8]
    package let serverKey: [UInt8]

    package init(salt: [UInt8], iterations: Int, storedKey: [UInt8], serverKey: [UInt8]) {
        self.salt = salt
        self.iterations = iterations
        self.storedKey = storedKey
        self.serverKey = serverKey
    }
}

/// How an account proves who it is. Both nil: nobody can log in.
package struct Credentials: Sendable, Hashable {
    /// crypt(3) text of the password.
    package let passwordHash: [UInt8]?
    /// SCRAM-SHA-256.
    package let scram: ScramVerifier?

    package init(passwordHash: [UInt8]? = nil, scram: ScramVerifier? = nil) {
        self.passwordHash = passwordHash
        self.scram = scram
    }
}

/// What AUTH needs to know of an address.
package struct CredentialRecord: Sendable, Hashable {
    package let account: AccountID
    package let isAdmin: Bool
    package let isDisabled: Bool
    package let credentials: Credentials

    package init(account: AccountID, isAdmin: Bool, isDisabled: Bool, credentials: Credentials) {
        self.account = account
        self.isAdmin = isAdmin
        self.isDisabled = isDisabled
        self.credentials = credentials
    }
}
