import Base
import Protocols

/// The mail exchangers of a domain as its MX answer names them.
struct Exchangers {
    struct Host {
        let name: [UInt8]
        let domainName: DNSName
        let preference: UInt16
    }

    /// Each host once, at its best preference; in the order of the answer.
    let list: [Host]
    /// The domain says that it takes no mail.
    // RFC 7505 §3: one record, preference 0 (any, here), the root as its host
    let isNull: Bool
    /// No MX: the domain is its own host.
    // RFC 5321 §5.1
    let isImplicit: Bool
    /// The way from the domain to the names is signed throughout.
    let isSecure: Bool
    /// The domain, and what it is an alias of.
    let names: [[UInt8]]

    init(_ answer: DNSAnswer, _ domain: DNSName) {
        isSecure = answer.security == .secure
        var names = [domain.lowercasedText]
        if let canonical = answer.canonicalName?.lowercasedText, canonical != names[0] { names.append(canonical) }
        self.names = names
        isImplicit = answer.records.isEmpty
        guard !isImplicit else {
            isNull = false
            list = [Host(name: domain.lowercasedText, domainName: domain, preference: 0)]
            return
        }
        var best: [[UInt8]: Int] = [:]
        var list: [Host] = []
        for case .mx(let preference, let target) in answer.records where target.isHostName {
            let name = target.lowercasedText
            let host = Host(name: name, domainName: target, preference: preference)
            if let i = best[name] {
                if preference < list[i].preference { list[i] = host }
            } else {
                best[name] = list.count
                list.append(host)
            }
        }
        self.list = list
        isNull = answer.targets.allSatisfy(\.isRoot)
    }
}
