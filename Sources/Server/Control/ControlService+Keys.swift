import Base
import Crypto
import MailAuth
import Policy
import Store

extension ControlService {
    func keyWork(_ request: ControlRequest, _ format: ControlFormat) -> ControlWork {
        let now = hooks.now()
        switch request {
        case .dkimAdd(let key): return addKey(key, now, format)
        case .dkimList(nil):
            return .read { (session) throws(StoreError) in
                Self.keyList(try session.dkimKeys(of: nil), now, format)
            }
        case .dkimList(let text?):
            guard let name = ControlAddress.domain(text) else { return Self.badDomain(text) }
            return .read { (session) throws(StoreError) in
                guard try session.domains().contains(where: { $0.name == name }) else { throw .notFound }
                return Self.keyList(try session.dkimKeys(of: name), now, format)
            }
        case .dkimActivate(let text, let selector):
            guard let name = ControlAddress.domain(text) else { return Self.badDomain(text) }
            return .write { (session) throws(StoreError) in
                let staged = try session.activateKey(name, selector: selector, at: now)
                var line = "mail of \(ControlText.shown(name)) is signed with \(ControlText.shown(selector))"
                for old in staged {
                    line += "\nretired \(ControlText.shown(old)); keep its record until \(Self.keptUntil(now))"
                }
                return try Self.keyChanged(session, name, selector, line, now, format)
            }
        case .dkimRetire(let text, let selector):
            guard let name = ControlAddress.domain(text) else { return Self.badDomain(text) }
            return .write { (session) throws(StoreError) in
                try session.retireKey(name, selector: selector, at: now)
                return try Self.keyChanged(session, name, selector, nil, now, format)
            }
        case .dkimRemove(let text, let selector):
            guard let name = ControlAddress.domain(text) else { return Self.badDomain(text) }
            return .write { (session) throws(StoreError) in
                try Self.removeKey(session, name, selector, now, format)
            }
        default: return .done(.failed("not a key request"))
        }
    }

    // MARK: A new key

    private func addKey(_ request: ControlDKIMKey, _ now: WallTime, _ format: ControlFormat) -> ControlWork {
        guard let name = ControlAddress.domain(request.domain) else { return Self.badDomain(request.domain) }
        guard request.selector.isEmpty || DirectoryRules.isSelector(request.selector) else {
            return .done(
                .failed(
                    "\"\(ControlText.shown(request.selector))\" is not a selector: letters, digits, hyphens and dots",
                    ExitStatus.data))
        }
        // The record is made from the key itself: the two cannot disagree.
        guard let key = try? PrivateKey(text: request.privateKey), let pem = try? key.pem(),
            let record = try? key.recordText()
        else {
            return .done(.failed("this is no private key for signing (RSA or Ed25519)", ExitStatus.data))
        }
        // RFC 8301 §3.2
        guard key.bits >= (key.kind == .rsa ? 1_024 : 256) else {
            return .done(.failed("an RSA key has at least 1024 bits, better 2048", ExitStatus.data))
        }
        let algorithm: SigningAlgorithm = key.kind == .rsa ? .rsa : .ed25519
        let bits = key.bits
        return .write { (session) throws(StoreError) in
            guard try session.domains().contains(where: { $0.name == name }) else { throw .notFound }
            let taken = try session.dkimKeys(of: name)
            let selector =
                request.selector.isEmpty
                ? Self.newSelector(algorithm, now, taken: taken.map(\.selector)) : ASCII.lowercased(request.selector)
            guard !taken.contains(where: { $0.selector == selector }) else {
                return .failed(
                    "\(ControlText.shown(name)) has a key with the selector \(ControlText.shown(selector)) already")
            }
            _ = try session.addKey(
                NewDKIMKey(
                    domain: name, selector: selector, algorithm: algorithm, bits: bits, record: record,
                    privateKey: pem, created: now))
            return try Self.keyAdded(session, name, selector, now, format)
        }
    }

    /// `2026a-rsa`, `2026b-rsa`, …: the year, what was made before in it, and the algorithm.
    static func newSelector(_ algorithm: SigningAlgorithm, _ now: WallTime, taken: [[UInt8]]) -> [UInt8] {
        let year = ControlText.utc(now).prefix { $0 != "-" }
        let suffix = algorithm == .rsa ? "rsa" : "ed25519"
        for number in 0..<(26 * 27) {
            let high = number < 26 ? "" : String(Unicode.Scalar(UInt8(0x61 + number / 26 - 1)))
            let name = Array("\(year)\(high)\(Unicode.Scalar(UInt8(0x61 + number % 26)))-\(suffix)".utf8)
            if !taken.contains(name) { return name }
        }
        return Array("\(year)-\(now.seconds)-\(suffix)".utf8)
    }

    private static func keyAdded(
        _ session: any StoreReaderSession, _ domain: [UInt8], _ selector: [UInt8], _ now: WallTime,
        _ format: ControlFormat
    ) throws(StoreError) -> ControlAnswer {
        let key = try find(session, domain, selector)
        if format == .json { return changed("", members(key, now), format) }
        let record = DNSRecordAdvice.Record(
            kind: .dkim, name: recordName(key), type: "TXT", data: key.record, why: "", isRequired: false)
        let shown = "\(ControlText.shown(domain)) \(ControlText.shown(selector))"
        var answer = ControlAnswer(output: record.zoneText)
        answer.complaint =
            "publish this record; when `martlet dkim activate --check \(shown)` sees it, mail is signed with the key"
        return answer
    }

    // MARK: Changes

    private static func find(
        _ session: any StoreReaderSession, _ domain: [UInt8], _ selector: [UInt8]
    ) throws(StoreError) -> DKIMKey {
        let wanted = ASCII.lowercased(selector)
        guard let key = try session.dkimKeys(of: domain).first(where: { $0.selector == wanted }) else {
            throw .notFound
        }
        return key
    }

    private static func keptUntil(_ retired: WallTime) -> String {
        ControlText.utc(WallTime(seconds: retired.seconds + DKIMKey.retiredSeconds))
    }

    private static func keyChanged(
        _ session: any StoreReaderSession, _ domain: [UInt8], _ selector: [UInt8], _ line: String?, _ now: WallTime,
        _ format: ControlFormat
    ) throws(StoreError) -> ControlAnswer {
        let key = try find(session, domain, selector)
        let text = line ?? "\(ControlText.shown(selector)) is \(key.state.rawValue); \(advice(key, now))"
        return changed(text, members(key, now), format)
    }

    private static func removeKey(
        _ session: any StoreWriterSession, _ domain: [UInt8], _ selector: [UInt8], _ now: WallTime,
        _ format: ControlFormat
    ) throws(StoreError) -> ControlAnswer {
        let key = try find(session, domain, selector)
        guard let removable = key.removableAt else {
            return .failed("the key is \(key.state.rawValue); retire it first")
        }
        guard removable <= now else {
            return .failed("its record is needed until \(ControlText.utc(removable)); remove the key then")
        }
        try session.removeKey(domain, selector: selector)
        let shown = ControlText.shown(selector)
        return changed(
            "removed the key \(shown); its record \(ControlText.shown(recordName(key))) may go",
            [JSONMember("domain", .text(ControlText.shown(domain))), JSONMember("selector", .text(shown))], format)
    }

    // MARK: What is shown

    private static func recordName(_ key: DKIMKey) -> [UInt8] {
        key.selector + Array("._domainkey.".utf8) + key.domain
    }

    /// What to do with the key next.
    private static func advice(_ key: DKIMKey, _ now: WallTime) -> String {
        switch key.state {
        case .published: return "publish its record, then activate it"
        case .active: return "signs mail"
        case .retired:
            guard let removable = key.removableAt, now < removable else { return "its record may be removed" }
            return "keep its record until \(ControlText.utc(removable))"
        }
    }

    private static func keyList(_ keys: [DKIMKey], _ now: WallTime, _ format: ControlFormat) -> ControlAnswer {
        if format == .json {
            return ControlAnswer(output: JSONValue.array(keys.map { .object(members($0, now)) }).bytes + [ASCII.lf])
        }
        let rows = keys.map { key -> [JSONValue] in
            let since = key.retired ?? key.activated ?? key.created
            return [
                .text(ControlText.shown(key.domain)), .text(ControlText.shown(key.selector)),
                .text(key.algorithm.rawValue), .integer(key.bits), .text(key.state.rawValue),
                .text(ControlText.utc(since)), .text(advice(key, now)),
            ]
        }
        return list(
            ["DOMAIN", "SELECTOR", "ALGORITHM", "BITS", "STATE", "SINCE", "NEXT"], [], rows,
            empty: "no keys; make one with `martlet dkim generate DOMAIN`", format)
    }

    private static func members(_ key: DKIMKey, _ now: WallTime) -> [JSONMember] {
        func time(_ time: WallTime?) -> JSONValue { time.map { .text(ControlText.utc($0)) } ?? .null }
        return [
            JSONMember("domain", .text(ControlText.shown(key.domain))),
            JSONMember("selector", .text(ControlText.shown(key.selector))),
            JSONMember("algorithm", .text(key.algorithm.rawValue)), JSONMember("bits", .integer(key.bits)),
            JSONMember("state", .text(key.state.rawValue)), JSONMember("created", time(key.created)),
            JSONMember("activated", time(key.activated)), JSONMember("retired", time(key.retired)),
            JSONMember("record_needed_until", time(key.removableAt)),
            JSONMember("publish", .boolean(key.isPublished(at: now))),
            JSONMember("name", .text(ControlText.shown(recordName(key)))),
            JSONMember("record", .text(String(decoding: key.record, as: UTF8.self))),
        ]
    }
}
