import COpenSSL
import Foundation
import TestKit
import Testing

@testable import Reactor

@Suite struct TLSVerificationTests {
    /// What a server may show.
    enum Shown: String, CaseIterable {
        case good, otherName, commonNameOnly, wildcard, expired, selfSigned, selfSignedExpired, unknownAuthority
        case missingMiddle
    }

    let authority: TestAuthority
    init() throws { authority = try TestAuthority() }

    private func server(_ shown: Shown) throws -> (TestCertificate, TLSContext) {
        let leaf =
            switch shown {
            case .good, .missingMiddle: try authority.leaf()
            case .otherName: try authority.leaf(["other.example"])
            case .commonNameOnly: try authority.leaf([], common: "mx.host.example")
            case .wildcard: try authority.leaf(["*.host.example"])
            case .expired: try authority.leaf(days: -1)
            case .selfSigned: try TestCertificate("mx.host.example", names: ["mx.host.example"])
            case .selfSignedExpired: try TestCertificate("mx.host.example", names: ["mx.host.example"], days: -1)
            case .unknownAuthority: try TestCertificate("leaf", names: ["mx.host.example"], under: authority.stranger)
            }
        let above =
            switch shown {
            case .selfSigned, .selfSignedExpired, .missingMiddle: [TestCertificate]()
            case .unknownAuthority: [authority.stranger]
            case .good, .otherName, .commonNameOnly, .wildcard, .expired: [authority.middle]
            }
        return (leaf, try TLSContext(server: try leaf.identity(in: authority.folder, sending: above)))
    }

    /// Joins both ends in memory; the client's recorder.
    private func shake(
        _ server: TLSContext, _ verification: TLSVerification, observing: TLSVerification? = nil,
        client: TLSContext? = nil, resume: TLSSession? = nil, _ then: (Connection) -> Void = { _ in }
    ) throws -> Recorder {
        let network = SimNetwork()
        let time = SimTime()
        let near = Reactor(io: SimBackend(network: network), time: time, limits: small())
        let far = Reactor(io: SimBackend(network: network), time: time, limits: small())
        let answering = Recorder()
        answering.onOpened = { $0.startTLSServer(server) }
        answering.onSecured = { $0.write(ascii: "220 mx.host.example\r\n") }
        let port = try near.listen(.inet(loopback)) { _ in answering }.port
        let asking = Recorder()
        let context = try client ?? authority.client()
        asking.onOpened = {
            $0.startTLSClient(
                context, serverName: "mx.host.example", verification: verification, observing: observing, resume: resume
            )
        }
        far.connect(.inet(try #require(SocketAddress(ip: "127.0.0.1", port: port))), driver: asking)
        for _ in 0..<20 {
            near.turn()
            far.turn()
        }
        if let c = asking.connection { then(c) }
        return asking
    }

    private func failure(_ r: Recorder) -> TLSFailureKind? {
        if case .tlsUnverified(let kind, _)? = r.ends.first { kind } else { nil }
    }

    /// `nil`: passes.
    private static let webPKI: [(Shown, TLSFailureKind?)] = [
        (.good, nil), (.wildcard, nil), (.otherName, .nameMismatch), (.commonNameOnly, .nameMismatch),
        (.expired, .expired), (.selfSigned, .notTrusted), (.selfSignedExpired, .notTrusted),
        (.unknownAuthority, .notTrusted), (.missingMiddle, .notTrusted),
    ]

    @Test(arguments: webPKI) func roots(_ shown: Shown, _ expected: TLSFailureKind?) throws {
        let r = try shake(try server(shown).1, .webPKI(names: ["mx.host.example"]))
        #expect(failure(r) == expected)
        if expected == nil {
            let certificate = try #require(r.infos.first?.peerCertificate)
            #expect(certificate.verified)
            #expect(certificate.failure == nil)
            #expect(r.text == "220 mx.host.example\r\n")
        } else {
            #expect(r.infos.isEmpty)
            #expect(r.bytes.isEmpty)
        }
    }

    /// One of several names is enough; a name below a wildcard's one label is not covered; a dot in front means nothing.
    @Test func namesOfWhichOneMustMatch() throws {
        let good = try server(.good).1
        #expect(failure(try shake(good, .webPKI(names: ["no.example", "mx.host.example."]))) == nil)
        #expect(failure(try shake(good, .webPKI(names: ["no.example", ".host.example"]))) == .nameMismatch)
        #expect(failure(try shake(good, .webPKI(names: []))) == .nameMismatch)
        #expect(failure(try shake(good, .webPKI(names: [".host.example"]))) == .nameMismatch)
        #expect(
            failure(try shake(good, .dane(records: [authority.middle.record(2, 0, 1)], names: []))) == .nameMismatch)
        let wildcard = try server(.wildcard).1
        #expect(failure(try shake(wildcard, .webPKI(names: ["a.mx.host.example"]))) == .nameMismatch)
        #expect(failure(try shake(wildcard, .webPKI(names: ["host.example"]))) == .nameMismatch)
    }

    @Test(arguments: Shown.allCases) func whoChecksNothingTakesAnything(_ shown: Shown) throws {
        for verification in [TLSVerification.opportunistic, .encrypted] {
            let r = try shake(try server(shown).1, verification)
            #expect(r.ends.isEmpty)
            let certificate = try #require(r.infos.first?.peerCertificate)
            #expect(!certificate.verified)
            #expect(certificate.failure == nil)
        }
    }

    /// A policy in testing mode: looked at, told, and not enforced.
    @Test(arguments: webPKI) func observationEnforcesNothing(_ shown: Shown, _ expected: TLSFailureKind?) throws {
        let r = try shake(try server(shown).1, .opportunistic, observing: .webPKI(names: ["mx.host.example"]))
        #expect(r.ends.isEmpty)
        let certificate = try #require(r.infos.first?.peerCertificate)
        #expect(certificate.verified == (expected == nil))
        #expect(certificate.failure == expected)
        #expect(r.text == "220 mx.host.example\r\n")
    }

    // MARK: DANE

    /// RFC 7672 §3.1.1: with usage 3 neither names nor dates nor authorities count.
    @Test(arguments: Shown.allCases, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)])
    func endEntityRecord(_ shown: Shown, _ form: (selector: Int, matching: Int)) throws {
        let (leaf, context) = try server(shown)
        let record = leaf.record(3, UInt8(form.selector), UInt8(form.matching))
        let r = try shake(context, .dane(records: [record], names: ["mx.host.example"]))
        #expect(failure(r) == nil)
        let certificate = try #require(r.infos.first?.peerCertificate)
        #expect(certificate.verified)
        #expect(certificate.daneUsage == 3)
    }

    @Test(arguments: Shown.allCases) func recordOfAnotherKeyMatchesNothing(_ shown: Shown) throws {
        let stale = try TestCertificate("mx.host.example", names: ["mx.host.example"])
        for usage in [UInt8(2), 3] {
            let r = try shake(
                try server(shown).1, .dane(records: [stale.record(usage, 1, 1)], names: ["mx.host.example"]))
            #expect(failure(r) == .daneMismatch, "usage \(usage)")
            #expect(r.bytes.isEmpty)
        }
    }

    /// RFC 7672 §3.1.2: with usage 2 the chain, the dates and the names count; the roots do not.
    @Test(arguments: [
        (Shown.good, TLSFailureKind?.none), (.wildcard, nil), (.commonNameOnly, nil), (.otherName, .nameMismatch),
        (.expired, .expired), (.selfSigned, .daneMismatch), (.unknownAuthority, .daneMismatch),
        (.missingMiddle, .daneMismatch),
    ]) func trustAnchorRecord(_ shown: Shown, _ expected: TLSFailureKind?) throws {
        let (_, context) = try server(shown)
        let r = try shake(context, .dane(records: [authority.middle.record(2, 0, 1)], names: ["mx.host.example"]))
        #expect(failure(r) == expected)
        if expected == nil { #expect(r.infos.first?.peerCertificate?.daneUsage == 2) }
    }

    /// RFC 7672 §3.2.2: the next-hop domain is a reference identifier beside the host's name.
    @Test func trustAnchorTakesAnyOfTheNames() throws {
        let records = [authority.middle.record(2, 1, 1)]
        let context = try server(.otherName).1
        #expect(
            failure(try shake(context, .dane(records: records, names: ["mx.host.example", "other.example"]))) == nil)
        #expect(
            failure(try shake(context, .dane(records: records, names: ["mx.host.example", "x.example"])))
                == .nameMismatch)
    }

    /// A root that everybody trusts does not stand in for a record.
    @Test func rootsDoNotHelpWhereRecordsDecide() throws {
        let other = try TestCertificate("Elsewhere", isAuthority: true)
        let r = try shake(try server(.good).1, .dane(records: [other.record(2, 0, 1)], names: ["mx.host.example"]))
        #expect(failure(r) == .daneMismatch)
    }

    @Test func oneMatchingRecordIsEnough() throws {
        let (leaf, context) = try server(.selfSigned)
        let stale = try TestCertificate("old")
        let records = [stale.record(3, 1, 1), authority.root.record(2, 0, 1), leaf.record(3, 1, 1)]
        #expect(failure(try shake(context, .dane(records: records, names: ["mx.host.example"]))) == nil)
    }

    /// RFC 7672 §2.2, §3.1.3: with nothing but unusable records the session is encrypted and nothing is checked.
    @Test func unusableRecordsAskForEncryptionAlone() throws {
        let (leaf, context) = try server(.selfSigned)
        let right = leaf.record(3, 1, 1).data
        func bad(_ usage: UInt8, _ selector: UInt8, _ matching: UInt8, _ data: [UInt8]) -> DANERecord {
            DANERecord(usage: usage, selector: selector, matching: matching, data: data)
        }
        let records = [
            bad(0, 1, 1, right), bad(1, 1, 1, right), bad(4, 1, 1, right), bad(255, 1, 1, right), bad(3, 9, 1, right),
            bad(3, 1, 9, right), bad(3, 1, 1, Array(right.dropLast())), bad(3, 1, 2, right), bad(3, 1, 1, []),
            bad(2, 0, 0, [0x30, 0x01]), bad(3, 0, 0, [1, 2, 3]), bad(3, 1, 0, [0x30]),
        ]
        for record in records {
            let r = try shake(context, .dane(records: [record], names: ["mx.host.example"]))
            let certificate = try #require(r.infos.first?.peerCertificate, "\(record) \(r.ends)")
            #expect(!certificate.verified)
            #expect(certificate.usableRecords == 0, "\(record)")
        }
        let all = try shake(context, .dane(records: records, names: ["mx.host.example"]))
        #expect(all.infos.count == 1)
        // One good record among them decides.
        let stale = try TestCertificate("old").record(3, 1, 1)
        #expect(
            failure(try shake(context, .dane(records: records + [stale], names: ["mx.host.example"]))) == .daneMismatch)
    }

    // MARK: Facts

    @Test(arguments: [
        (TestCertificate.Key.p256, "ECDSA P-256"), (.rsa2048, "RSA 2048"), (.ed25519, "Ed25519"),
        (.rsa1024, "RSA 1024"),
    ]) func certificateIsDescribed(_ key: TestCertificate.Key, _ text: String) throws {
        let leaf = try authority.leaf(key: key, days: 10)
        var options = try leaf.identity(in: authority.folder, sending: [authority.middle])
        options.ciphers += ":@SECLEVEL=0"
        let r = try shake(try TLSContext(server: options), .opportunistic)
        let seen = try #require(r.infos.first?.peerCertificate, "\(r.ends)")
        #expect(seen.key == text)
        #expect(seen.subject == "/CN=leaf")
        #expect(seen.issuer == "/CN=Middle")
        #expect(abs(Double(seen.notAfter) - Date.now.timeIntervalSince1970 - 864_000) < 3_600)
    }

    /// A short key is better than plaintext, but vouches for nothing.
    @Test func weakKeysAreObservedAsSuch() throws {
        let leaf = try authority.leaf(key: .rsa1024)
        var options = try leaf.identity(in: authority.folder, sending: [authority.middle])
        options.ciphers += ":@SECLEVEL=0"
        let context = try TLSContext(server: options)
        let wanted = TLSVerification.webPKI(names: ["mx.host.example"])
        let seen = try #require(try shake(context, .opportunistic, observing: wanted).infos.first?.peerCertificate)
        #expect(seen.failure == .notTrusted)
        #expect(failure(try shake(context, wanted)) == .notTrusted)
    }

    @Test(arguments: [
        ("ECDHE-RSA-AES128-GCM-SHA256", true), ("DHE-RSA-AES128-GCM-SHA256", true), ("AES128-GCM-SHA256", false),
    ]) func forwardSecrecyIsTold(_ cipher: String, _ expected: Bool) throws {
        let leaf = try authority.leaf(key: .rsa2048)
        var options = try leaf.identity(in: authority.folder, sending: [authority.middle])
        options.maximumVersion = .tls12
        options.ciphers = cipher
        let r = try shake(try TLSContext(server: options), .webPKI(names: ["mx.host.example"]))
        let info = try #require(r.infos.first, "\(r.ends)")
        #expect(info.cipher == cipher)
        #expect(info.hasForwardSecrecy == expected)
    }

    /// What was seen of a refused certificate is there when the end is told.
    @Test func refusedCertificateIsShown() throws {
        let r = try shake(try server(.selfSigned).1, .webPKI(names: ["mx.host.example"]))
        #expect(failure(r) == .notTrusted)
        #expect(r.lastInfo?.peerCertificate?.subject == "/CN=mx.host.example")
        #expect(r.lastInfo?.peerCertificate?.failure == .notTrusted)
        #expect(r.lastInfo?.peerCertificate?.verified == false)
    }

    /// A handshake that fails for another reason is not a certificate's fault.
    @Test func noCommonVersionIsNotUnverified() throws {
        let leaf = try authority.leaf()
        var options = try leaf.identity(in: authority.folder)
        options.maximumVersion = .tls12
        var mine = TLSClientOptions.outbound(rootsPath: authority.rootsPath)
        mine.minimumVersion = .tls13
        let r = try shake(
            try TLSContext(server: options), .webPKI(names: ["mx.host.example"]), client: try TLSContext(client: mine))
        guard case .tlsFailed? = r.ends.first else { return #expect(Bool(false), "\(r.ends)") }
    }

    /// A session made without checks must not open the door to one that checks.
    @Test func sessionsStayWithTheirVerification() throws {
        let context = try server(.good).1
        let client = try authority.client()
        var session: TLSSession?
        let first = try shake(context, .opportunistic, client: client) { session = $0.tlsSession }
        #expect(first.infos.first?.resumed == false)
        #expect(session != nil)
        let crossed = try shake(context, .webPKI(names: ["mx.host.example"]), client: client, resume: session)
        #expect(crossed.infos.first?.resumed == false)
        #expect(crossed.infos.first?.peerCertificate?.verified == true)
        let same = try shake(context, .opportunistic, client: client, resume: session)
        #expect(same.infos.first?.resumed == true)
    }
}
