import Base
package import Crypto

/// Adds an ARC set to a message (RFC 8617 §5.1). A value: shared freely, changes nothing.
package struct ARCSealer: Sendable {
    package var domain: [UInt8]
    package var selector: [UInt8]
    package var key: PrivateKey
    package var authservID: [UInt8]
    /// Lower-case names that the message signature covers. ARC fields, seals and own results are left out of it.
    package var signedNames = Self.defaultNames

    package init(domain: [UInt8], selector: [UInt8], key: PrivateKey, authservID: [UInt8]) {
        self.domain = domain
        self.selector = selector
        self.key = key
        self.authservID = authservID
    }

    /// What a DKIM signature covers, and the DKIM signatures themselves (RFC 8617 §4.1.2).
    package static let defaultNames = DKIMSigner.defaultNames + [Array("dkim-signature".utf8)]

    package static let bodyKey = BodyHashKey(.relaxed)

    /// The three new fields, seal first, each with its CRLF, to be put before the header.
    package struct Fields: Sendable, Hashable {
        package let seal: [UInt8]
        package let message: [UInt8]
        package let results: [UInt8]
        package var bytes: [UInt8] { seal + message + results }
    }

    /// `results` is what follows the id in Authentication-Results, such as `spf=pass …; dkim=none`, measured when the
    /// message came in; `chain` is what the chain it came with was then, and `fields` is that chain in the header to be
    /// sent. nil: nothing may be added, because the chain is marked as failed already or is full.
    package func seal(
        _ fields: ARCFields, bodyHash: BodyHash, results: [UInt8], chain: ARCStatus, now: UInt64
    ) throws(KeyError) -> Fields? {
        // RFC 8617 §5.1.2: a chain that failed is sealed once more to say so, and never again.
        guard fields.problem != .markedFailed, fields.highestInstance < ARCInstance.maximum else { return nil }
        // A structure that cannot be walked cannot have passed, whatever was measured.
        let cv: ChainValidation =
            switch fields.problem {
            case nil: chain == .pass ? .pass : .fail
            case .noChain?: .absent
            default: .fail
            }
        let instance = fields.highestInstance + 1
        let aar = resultsField(instance, results)
        let ams = try messageField(instance, fields.header, bodyHash, now)
        var scope: [UInt8] = []
        // RFC 8617 §5.1.2: of a failed chain only the new set is signed.
        if cv == .pass {
            for set in fields.sets {
                SealScope.append(set.resultsPlace, set.messagePlace, set.sealPlace, of: fields.header, to: &scope)
            }
        }
        SealScope.append(aar, to: &scope)
        SealScope.append(ams, to: &scope)
        return Fields(seal: try sealField(instance, cv, scope, now), message: ams, results: aar)
    }

    // RFC 8617 §4.1.1
    private func resultsField(_ instance: Int, _ results: [UInt8]) -> [UInt8] {
        var out = Array("ARC-Authentication-Results: i=\(instance); ".utf8) + authservID
        let parts = AuthenticationResultsText.parts(results[...])
        if parts.isEmpty { out += Array("; none".utf8) }
        for part in parts {
            out += [ASCII.semicolon, ASCII.cr, ASCII.lf, ASCII.tab] + part
        }
        return out + [ASCII.cr, ASCII.lf]
    }

    private func messageField(
        _ instance: Int, _ header: HeaderIndex, _ bodyHash: BodyHash, _ now: UInt64
    ) throws(KeyError) -> [UInt8] {
        let names = mentions(header)
        let tail: [[UInt8]] = [
            tag("bh=", Base64.encode(bodyHash.digest)), tag("c=relaxed/relaxed"), tag("d=", domain),
            tag("h=", Array(names.joined(separator: [ASCII.colon]))), tag("i=\(instance)"), tag("s=", selector),
            tag("t=\(now)"),
        ]
        var input: [UInt8] = []
        for place in header.selection(names) {
            HeaderCanonicalizer.append(header.fields[place], of: header.bytes, .relaxed, to: &input)
        }
        return try signed("ARC-Message-Signature", tail, input)
    }

    private func sealField(
        _ instance: Int, _ cv: ChainValidation, _ scope: [UInt8], _ now: UInt64
    ) throws(KeyError) -> [UInt8] {
        let tail: [[UInt8]] = [
            tag("cv=", Array(cv.rawValue.utf8)), tag("d=", domain), tag("i=\(instance)"), tag("s=", selector),
            tag("t=\(now)"),
        ]
        return try signed("ARC-Seal", tail, scope)
    }

    /// `name: a=…; b=…; tail`, tags in alphabetical order, signed over `input` and itself.
    private func signed(_ name: String, _ tail: [[UInt8]], _ input: [UInt8]) throws(KeyError) -> [UInt8] {
        let start = Array("\(name): a=\(key.kind == .rsa ? "rsa-sha256" : "ed25519-sha256"); b=".utf8)
        let end = Array(tail.map { [ASCII.semicolon, ASCII.space] + $0 }.joined())
        var all = input
        BareField.append(start + end, .relaxed, to: &all)
        let signature = Base64.encode(try key.sign(digest: Digest.sha256(all)))
        return start + signature + Self.folded(end, after: start.count + signature.count) + [ASCII.cr, ASCII.lf]
    }

    /// One line, as long as a line may be (RFC 5322 §2.1.1). A space becomes a fold, which the relaxed form undoes.
    private static func folded(_ text: [UInt8], after column: Int) -> [UInt8] {
        guard column + text.count > 998 else { return text }
        var out: [UInt8] = []
        for (i, c) in text.enumerated() {
            if c == ASCII.space, i > 0, text[i - 1] == ASCII.semicolon {
                out.append(ASCII.cr)
                out.append(ASCII.lf)
            }
            out.append(c)
        }
        return out
    }

    private func tag(_ name: String, _ value: [UInt8] = []) -> [UInt8] { Array(name.utf8) + value }

    private func mentions(_ header: HeaderIndex) -> [[UInt8]] {
        var out: [[UInt8]] = []
        for name in signedNames where !Self.isExcluded(name) {
            // A default name is signed where it stands; a name of the operator's own list as he wrote it.
            let count = signedNames == Self.defaultNames ? header.places(of: name).count : 1
            for _ in 0..<min(count, 20) { out.append(name) }
        }
        return Array(out.prefix(DKIMSignature.signedNamesMax))
    }

    // RFC 8617 §4.1.2
    private static func isExcluded(_ name: [UInt8]) -> Bool {
        name.elementsEqual("authentication-results".utf8) || name.elementsEqual("arc-seal".utf8)
            || name.elementsEqual("arc-message-signature".utf8)
            || name.elementsEqual("arc-authentication-results".utf8)
    }
}

extension SealScope {
    /// A field of our own making.
    static func append(_ field: [UInt8], to out: inout [UInt8]) {
        let index = HeaderIndex(field)
        guard let only = index.fields.first else { return }
        HeaderCanonicalizer.append(only, of: index.bytes, .relaxed, to: &out)
    }
}
