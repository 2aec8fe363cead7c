import Base
package import Protocols

/// Which of the addresses that a record names may get its reports: those within the organization of the record, and those
/// whose own domain says that it wants them (RFC 9990 on external destinations; RFC 7489 §7.1). Without this anybody
/// could have reports sent to a stranger. At most `DMARCRecord.urisMax` URIs, one question and a tree walk for each host.
package struct ReportAuthorization: Evaluation, Sendable {
    private let policyDomain: DNSName
    private let uris: [[UInt8]]

    package struct Verdict: Sendable, Hashable {
        /// Where to send, after what a destination put in place of its own address.
        package var authorized: [[UInt8]] = []
        package var refused: [[UInt8]] = []
        /// Not known now: ask again later.
        package var undecided: [[UInt8]] = []
    }

    /// `policyDomain`: where the record was found; `uris`: those of rua or of ruf.
    package init(policyDomain: DNSName, uris: [[UInt8]]) {
        self.policyDomain = policyDomain
        self.uris = Array(uris.prefix(DMARCRecord.urisMax))
    }

    package func evaluate(_ facts: Facts) throws(Missing) -> Verdict {
        var out = Verdict()
        var missing = Missing([DNSQuestion]())
        for uri in uris {
            do throws(Missing) {
                try judge(uri, facts, &out)
            } catch {
                missing.merge(error)
            }
        }
        guard missing.keys.isEmpty else { throw missing }
        return out
    }

    private func judge(_ uri: [UInt8], _ facts: Facts, _ out: inout Verdict) throws(Missing) {
        guard let host = Self.host(of: uri) else {
            out.refused.append(uri)
            return
        }
        if try Alignment(host, with: policyDomain, strict: false, facts) == .aligned {
            out.authorized.append(uri)
            return
        }
        guard
            let name = DNSName(
                labels: policyDomain.labels + ["_report", "_dmarc"].map { Array($0.utf8) } + host.labels)
        else {
            out.refused.append(uri)
            return
        }
        let answer = try facts.need(name, .txt)
        if answer.isTemporary {
            out.undecided.append(uri)
            return
        }
        let records = answer.texts.compactMap { DMARCRecord($0) }
        guard !records.isEmpty else {
            out.refused.append(uri)
            return
        }
        let replacements = records.flatMap(\.reportURIs)
        // RFC 7489 §7.1 step 8: a replacement must stay on the host that gives it.
        guard replacements.allSatisfy({ Self.host(of: $0) == host }) else {
            out.refused.append(uri)
            return
        }
        for uri in replacements.isEmpty ? [uri] : replacements where !out.authorized.contains(uri) {
            out.authorized.append(uri)
        }
    }

    /// The domain that a report to the URI would reach. Only mailto: and https: are ever used.
    package static func host(of uri: [UInt8]) -> DNSName? {
        guard let colon = uri.firstIndex(of: ASCII.colon) else { return nil }
        let scheme = ASCII.lowercased(Array(uri[..<colon]))
        let rest = uri[(colon + 1)...]
        if scheme.elementsEqual("mailto".utf8) {
            let address = rest.prefix { $0 != 0x3F }
            guard let at = address.lastIndex(of: ASCII.at) else { return nil }
            return DMARCCheck.name(Array(address[(at + 1)...]))
        }
        guard scheme.elementsEqual("https".utf8), rest.starts(with: [ASCII.slash, ASCII.slash]) else { return nil }
        let authority = rest.dropFirst(2).prefix { $0 != ASCII.slash && $0 != 0x3F && $0 != 0x23 }
        // Somebody else's name before the @ would only mislead.
        guard !authority.contains(ASCII.at) else { return nil }
        return DMARCCheck.name(Array(authority.prefix { $0 != ASCII.colon }))
    }
}
