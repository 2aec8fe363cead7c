import Base
import Crypto

/// The DNS records that make a domain's mail arrive here and be believed elsewhere. Pure: what the server knows goes in,
/// what its operator has to publish comes out.
package enum DNSRecordAdvice {
    package enum Kind: String, Sendable, Hashable, CaseIterable {
        case mx, spf, dkim, dmarc
        case policyAnnouncement = "mta_sts"
        /// A file, not a record.
        case policyFile = "mta_sts_policy"
        case tlsReporting = "tls_rpt"
        case tlsa, bimi
        /// What the check says of the server's own name and addresses.
        case host
    }

    package struct Record: Sendable, Hashable {
        package let kind: Kind
        /// Without a final dot.
        package let name: [UInt8]
        /// The record type, or `file`.
        package let type: String
        /// As in a zone file, but the text of a TXT record without its quotes.
        package let data: [UInt8]
        package let why: String
        /// Without it mail does not arrive, or is not believed.
        package let isRequired: Bool

        package init(kind: Kind, name: [UInt8], type: String, data: [UInt8], why: String, isRequired: Bool) {
            self.kind = kind
            self.name = name
            self.type = type
            self.data = data
            self.why = why
            self.isRequired = isRequired
        }

        /// A line of a zone file; what is no record to be published as it stands, as comments.
        package var zoneText: [UInt8] {
            var out: [UInt8] = []
            if kind == .policyFile {
                out.append(ascii: "; ")
                out += name
                out.append(ASCII.lf)
                for line in data.split(separator: ASCII.lf) {
                    out.append(ascii: ";   ")
                    out += line.filter { $0 != ASCII.cr }
                    out.append(ASCII.lf)
                }
                return out
            }
            // An example that would be believed as it stands.
            if kind == .bimi { out.append(ascii: "; ") }
            out += name
            out.append(ascii: ". 3600 IN ")
            out += Array(type.utf8)
            out.append(ASCII.space)
            out += isText ? DNSRecordAdvice.strings(data) : data
            out.append(ASCII.lf)
            return out
        }

        private var isText: Bool { type.utf8.elementsEqual("TXT".utf8) }
    }

    /// A DKIM key whose record belongs into the DNS.
    package struct Key: Sendable, Hashable {
        package enum State: Sendable { case published, active, retired }

        package let selector: [UInt8]
        package let record: [UInt8]
        package let state: State

        package init(selector: [UInt8], record: [UInt8], state: State) {
            self.selector = selector
            self.record = record
            self.state = state
        }
    }

    /// What the records are made from. `certificateKeys`: SHA-256 of the public keys of the server's certificates.
    package struct Facts: Sendable {
        package var domain: [UInt8]
        package var hostname: [UInt8]
        package var keys: [Key] = []
        package var certificateKeys: [[UInt8]] = []

        package init(domain: [UInt8], hostname: [UInt8]) {
            self.domain = domain
            self.hostname = hostname
        }
    }

    package static func records(_ facts: Facts) -> [Record] {
        let domain = facts.domain
        var out = [
            Record(
                kind: .mx, name: domain, type: "MX", data: text("10 ", facts.hostname, "."),
                why: "Mail for \(domain.escapedText) comes to this server.", isRequired: true),
            // RFC 7208 §5.4: the MX hosts may send.
            Record(
                kind: .spf, name: domain, type: "TXT", data: text("v=spf1 mx -all"),
                why: "SPF: only the MX may send for the domain.", isRequired: true),
        ]
        out += facts.keys.map { dkim($0, domain) }
        out += [
            Record(
                kind: .dmarc, name: text("_dmarc.", domain), type: "TXT",
                data: text("v=DMARC1; p=none; rua=mailto:postmaster@", domain),
                why: "DMARC: report only; move to p=quarantine, then p=reject, when the reports look right.",
                isRequired: true)
        ]
        out += transportSecurity(facts)
        out.append(
            Record(
                kind: .bimi, name: text("default._bimi.", domain), type: "TXT",
                data: text("v=BIMI1; l=https://", domain, "/indicator.svg; a="),
                why: "BIMI: an example; publish it when there is an indicator and DMARC is at quarantine or reject.",
                isRequired: false))
        return out
    }

    private static func dkim(_ key: Key, _ domain: [UInt8]) -> Record {
        let why =
            switch key.state {
            case .active: "DKIM: mail is signed with this key."
            case .published: "DKIM: activate the key when this record is visible everywhere."
            case .retired: "DKIM: nothing is signed with this key any more; keep it while mail may be on its way."
            }
        return Record(
            kind: .dkim, name: text("", key.selector, "._domainkey.", domain), type: "TXT", data: key.record, why: why,
            isRequired: key.state != .published)
    }

    private static func transportSecurity(_ facts: Facts) -> [Record] {
        let domain = facts.domain
        // RFC 8461 §3.2: a file of lines; testing refuses nothing.
        let policy = text("version: STSv1\r\nmode: testing\r\nmx: ", facts.hostname, "\r\nmax_age: 86400\r\n")
        // RFC 8461 §3.1: an id that changes with the policy, and only then.
        let id = Array(Hex.encode(Array(Digest.sha256(policy).prefix(10))).utf8)
        var out = [
            Record(
                kind: .policyAnnouncement, name: text("_mta-sts.", domain), type: "TXT",
                data: text("v=STSv1; id=", id, ";"),
                why: "MTA-STS: there is a policy, the file below; a new id whenever the file changes.",
                isRequired: false),
            Record(
                kind: .policyFile, name: text("https://mta-sts.", domain, "/.well-known/mta-sts.txt"), type: "file",
                data: policy,
                why: "MTA-STS: serve this file; move to mode: enforce when the TLS reports look right.",
                isRequired: false),
            // RFC 8460 §3
            Record(
                kind: .tlsReporting, name: text("_smtp._tls.", domain), type: "TXT",
                data: text("v=TLSRPTv1; rua=mailto:postmaster@", domain),
                why: "TLS-RPT: others report here when TLS to this server fails.", isRequired: false),
        ]
        for digest in facts.certificateKeys {
            // RFC 7672 §3.1.1: DANE-EE, the public key, SHA-256; holds as long as the key is kept.
            out.append(
                Record(
                    kind: .tlsa, name: text("_25._tcp.", facts.hostname), type: "TLSA",
                    data: text("3 1 1 ", Array(Hex.encode(digest).utf8)),
                    why: "DANE: the key of this server's certificate; only where DNSSEC signs the zone.",
                    isRequired: false))
        }
        return out
    }

    /// A TXT record's text as quoted strings of at most 255 octets (RFC 1035 §3.3.14).
    package static func strings(_ record: [UInt8]) -> [UInt8] {
        var rest = record[...]
        var out: [UInt8] = []
        repeat {
            if !out.isEmpty { out.append(ASCII.space) }
            out.append(ASCII.quote)
            for c in rest.prefix(255) {
                // RFC 1035 §5.1
                if c == ASCII.quote || c == ASCII.backslash { out.append(ASCII.backslash) }
                out.append(c)
            }
            out.append(ASCII.quote)
            rest = rest.dropFirst(255)
        } while !rest.isEmpty
        return out
    }

    private static func text(_ a: String, _ b: [UInt8] = [], _ c: String = "", _ d: [UInt8] = []) -> [UInt8] {
        Array(a.utf8) + b + Array(c.utf8) + d
    }
}
