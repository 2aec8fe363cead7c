import Base

/// Every authentication check of one message: outcome, what went in, and what decided. MailAuth makes it, Policy decides
/// from it, `AuthenticationResults` writes it down, the ledger keeps it. Texts are octets as they came, bounded by the
/// checks (a domain 255, a sender 320, a reason `AuthResults.reasonMax`); whoever prints them makes them safe.
/// A check that did not run is nil; one that found nothing to check says `.absent`.
package struct AuthResults: Sendable, Hashable {
    /// Octets of a reason.
    package static let reasonMax = 200

    /// SPF of the HELO name (RFC 7208 §2.3).
    package var helo: SPF?
    /// SPF of MAIL FROM, or of postmaster at the HELO name when that is empty (RFC 7208 §2.4).
    package var spf: SPF?
    /// One for each signature evaluated, in the order of the fields; empty: the message has none.
    package var dkim: [DKIM] = []
    package var arc: ARC?
    package var dmarc: DMARC?
    package var iprev: IPRev?
    package var bimi: BIMI?
    /// The identity of SMTP AUTH, when the client used it.
    package var auth: [UInt8]?

    package init() {}
}

extension AuthResults {
    /// One identity checked against SPF.
    package struct SPF: Sendable, Hashable {
        package var result: AuthResult
        /// The domain whose record was asked for.
        package var domain: [UInt8]
        /// The identity as given: `user@domain` or the HELO name.
        package var identity: [UInt8]
        /// The mechanism that matched, as it stands in the record.
        package var mechanism: [UInt8] = []
        /// The record that was found first.
        package var record: [UInt8] = []
        /// The text of exp= after its expansion (RFC 7208 §6.2).
        package var explanation: [UInt8] = []
        package var reason: [UInt8] = []
        /// Terms that asked the DNS, of the ten allowed (RFC 7208 §4.6.4).
        package var lookups = 0
        /// Whether every answer it rests on was validated by DNSSEC.
        package var isSecure = false

        package init(result: AuthResult, domain: [UInt8], identity: [UInt8]) {
            self.result = result
            self.domain = domain
            self.identity = identity
        }
    }

    /// One DKIM-Signature.
    package struct DKIM: Sendable, Hashable {
        package var result: AuthResult
        /// d=, lower case.
        package var domain: [UInt8]
        /// s=
        package var selector: [UInt8] = []
        /// i=, as it stands.
        package var identity: [UInt8] = []
        /// a=
        package var algorithm: [UInt8] = []
        /// b= without white space; the first 8 octets tell signatures apart (RFC 6008 §4).
        package var signature: [UInt8] = []
        package var keyBits = 0
        /// t=y in the key record: a failure is to be taken as unsigned mail (RFC 6376 §3.6.1).
        package var isTesting = false
        /// False for a good signature that does not cover the whole body (l=); it does not count for DMARC.
        package var coversBody = true
        package var reason: [UInt8] = []
        package var isSecure = false

        package init(result: AuthResult, domain: [UInt8]) {
            self.result = result
            self.domain = domain
        }
    }

    /// The chain of ARC sets (RFC 8617).
    package struct ARC: Sendable, Hashable {
        package var result: AuthResult
        /// The sets, oldest first, as far as they could be read; at most 50.
        package var seals: [Seal] = []
        package var reason: [UInt8] = []
        package init(result: AuthResult) { self.result = result }

        package struct Seal: Sendable, Hashable {
            package var instance: Int
            /// d= and s= of the ARC-Seal.
            package var domain: [UInt8]
            package var selector: [UInt8]
            /// What its ARC-Authentication-Results says of DMARC and of which author domain; nil: nothing.
            package var dmarc: AuthResult?
            package var author: [UInt8]

            package init(
                instance: Int, domain: [UInt8], selector: [UInt8] = [], dmarc: AuthResult? = nil, author: [UInt8] = []
            ) {
                self.instance = instance
                self.domain = domain
                self.selector = selector
                self.dmarc = dmarc
                self.author = author
            }
        }
    }

    /// Forward-confirmed reverse DNS of the client (RFC 8601 §3).
    package struct IPRev: Sendable, Hashable {
        package var result: AuthResult
        /// The address as text.
        package var address: [UInt8]
        /// The name that leads back to the address; or, of a failure, the first name found.
        package var name: [UInt8] = []
        package var reason: [UInt8] = []
        package var isSecure = false

        package init(result: AuthResult, address: [UInt8]) {
            self.result = result
            self.address = address
        }
    }
}

extension AuthResults.ARC.Seal {
    /// With what its ARC-Authentication-Results (the text after `i=N;`) claims.
    package init(instance: Int, domain: [UInt8], selector: [UInt8], statements: AuthStatements?) {
        self.init(instance: instance, domain: domain, selector: selector)
        guard let claim = statements?.first("dmarc") else { return }
        dmarc = AuthResult.allCases.first { $0.rawValue.utf8.elementsEqual(claim.result) }
        author = claim.property("header.from").map { ASCII.lowercased($0) } ?? []
    }
}
