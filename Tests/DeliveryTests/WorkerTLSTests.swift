import Base
import Protocols
import Reactor
import Store
import TestKit
import Testing

@testable import Delivery

@Suite struct WorkerTLSTests {
    private static let response = String(decoding: Base64.encode(Array("\0relay\0word".utf8)), as: UTF8.self)

    @Test func opportunisticTakesAnyCertificate() throws {
        let bench = try WorkerBench()
        let context = try bench.certificate("whatever.example")
        let peer = try bench.peer { $0.context = context }
        bench.use([bench.host(peer)])
        bench.submit(bench.job())
        let report = try #require(bench.run().first)
        #expect(report.results.first?.isDelivered == true)
        #expect(peer.handshakes == 1)
        let tls = try #require(report.attempts.first?.tls)
        #expect(tls.result == .success && !tls.isVerified)
        #expect(tls.version == Array("TLSv1.3".utf8))
        #expect(tls.hasForwardSecrecy)
        #expect(tls.certificate?.key == Array("ECDSA P-256".utf8))
    }

    /// A peer whose handshake is broken is spoken to in the clear, on a new connection, and is remembered.
    @Test func brokenHandshakeFallsBackWhereNothingForbids() throws {
        let bench = try WorkerBench()
        let context = try bench.certificate()
        let peer = try bench.peer { $0.context = context }
        peer.script = { $0 == "STARTTLS" ? .drop("220 go\r\n") : .usual }
        bench.use([bench.host(peer)])
        bench.submit(bench.job())
        let report = try #require(bench.run().first)
        #expect(report.results.first?.isDelivered == true)
        #expect(peer.connections == 2 && peer.handshakes == 0)
        #expect(report.attempts.map { $0.tls?.result } == [.validationFailure, nil])
        bench.submit(bench.job())
        #expect(bench.run(2)[1].attempts.count == 1)
    }

    @Test(arguments: [
        HostSecurity.encrypted, .webPKI(names: [Array("mx.example".utf8)]),
        .dane(
            records: [TLSAData(usage: 3, selector: 1, matchingType: 1, data: Array(repeating: 7, count: 32))],
            names: [Array("mx.example".utf8)]),
    ]) func brokenHandshakeIsNotGoneAround(_ security: HostSecurity) throws {
        let bench = try WorkerBench()
        let context = try bench.certificate()
        let peer = try bench.peer { $0.context = context }
        peer.script = { $0 == "STARTTLS" ? .drop("220 go\r\n") : .usual }
        bench.use([bench.host(peer, security)])
        bench.submit(bench.job())
        let report = try #require(bench.run().first)
        #expect(report.results.first?.failure?.source == .tls)
        #expect(report.results.first?.failure?.permanence == .temporary)
        #expect(peer.connections == 1 && peer.messages.isEmpty)
        #expect(!peer.commands.contains { $0.hasPrefix("MAIL") })
    }

    @Test func missingSTARTTLSIsNotGoneAround() throws {
        let bench = try WorkerBench()
        let stripped = try bench.peer()
        let good = try bench.peer()
        good.context = try bench.certificate()
        bench.use([
            bench.host(stripped, name: "a.example", .encrypted), bench.host(good, name: "b.example", .encrypted),
        ])
        bench.submit(bench.job())
        let report = try #require(bench.run().first)
        #expect(report.results.first?.isDelivered == true)
        #expect(report.attempts.map { $0.tls?.result } == [.startTLSNotSupported, .success])
        #expect(stripped.messages.isEmpty && good.handshakes == 1)
    }

    @Test func unprovenCertificateGetsNothing() throws {
        let bench = try WorkerBench()
        let context = try bench.certificate()
        let peer = try bench.peer { $0.context = context }
        bench.use([bench.host(peer, .webPKI(names: [Array("mx.example".utf8)]))])
        bench.submit(bench.job())
        let report = try #require(bench.run().first)
        #expect(report.results.first?.failure?.status == EnhancedStatus(4, 7, 5))
        let tls = try #require(report.attempts.first?.tls)
        #expect(tls.result == .certificateNotTrusted)
        #expect(tls.certificate != nil)
        #expect(peer.messages.isEmpty)
        #expect(!peer.commands.contains { $0.hasPrefix("MAIL") })
    }

    @Test func daneMismatchIsNamed() throws {
        let bench = try WorkerBench()
        let context = try bench.certificate()
        let peer = try bench.peer { $0.context = context }
        let record = TLSAData(usage: 3, selector: 1, matchingType: 1, data: Array(repeating: 7, count: 32))
        bench.use([bench.host(peer, .dane(records: [record], names: [Array("mx.example".utf8)]))])
        bench.submit(bench.job())
        let report = try #require(bench.run().first)
        #expect(report.attempts.first?.tls?.result == .tlsaInvalid)
        #expect(report.results.first?.failure?.permanence == .temporary)
    }

    @Test func testingModeIsOnlyRecorded() throws {
        let bench = try WorkerBench()
        let context = try bench.certificate("other.example")
        let peer = try bench.peer { $0.context = context }
        bench.use([bench.host(peer) { $0.tested = .webPKI(names: [Array("mx.example".utf8)]) }])
        bench.submit(bench.job())
        let report = try #require(bench.run().first)
        #expect(report.results.first?.isDelivered == true)
        let tls = try #require(report.attempts.first?.tls)
        #expect(tls.isTesting && tls.result != .success)
    }

    /// The host is not in the policy: no certificate makes up for that.
    @Test func testingModeSaysThatTheHostIsNotInThePolicy() throws {
        let bench = try WorkerBench()
        let context = try bench.certificate("mx.example")
        let peer = try bench.peer { $0.context = context }
        bench.use([bench.host(peer) { $0.tested = .webPKI(names: []) }])
        bench.submit(bench.job())
        let report = try #require(bench.run().first)
        #expect(report.results.first?.isDelivered == true)
        let tls = try #require(report.attempts.first?.tls)
        #expect(tls.isTesting && tls.result == .validationFailure)
    }

    @Test func implicitTLSWithPassword() throws {
        let bench = try WorkerBench()
        let context = try bench.certificate()
        let peer = try bench.peer {
            $0.context = context
            $0.isImplicitTLS = true
            $0.keywords.append("AUTH PLAIN LOGIN")
        }
        bench.use([
            bench.host(peer, .encrypted) {
                $0.isImplicitTLS = true
                $0.credentials = RouteCredentials(user: Array("relay".utf8), password: Secret(Array("word".utf8)))
            }
        ])
        bench.submit(bench.job())
        let report = try #require(bench.run().first)
        #expect(report.results.first?.isDelivered == true)
        #expect(peer.commands.contains("AUTH PLAIN " + Self.response))
    }

    /// A connection made under one policy serves no other.
    @Test func policiesShareNoConnection() throws {
        let bench = try WorkerBench()
        let context = try bench.certificate()
        let peer = try bench.peer { $0.context = context }
        bench.use([bench.host(peer)], ttl: 0)
        bench.submit(bench.job())
        _ = bench.run()
        bench.use([bench.host(peer, .encrypted)], ttl: 0)
        bench.submit(bench.job())
        #expect(bench.run(2)[1].attempts.first?.isReused == false)
        #expect(peer.connections == 2)
        bench.submit(bench.job())
        #expect(bench.run(3)[2].attempts.first?.isReused == true)
    }

    @Test func requireTLSGoesWithTheMail() throws {
        let bench = try WorkerBench()
        let context = try bench.certificate()
        let peer = try bench.peer {
            $0.context = context
            $0.keywords.append("REQUIRETLS")
        }
        bench.use([bench.host(peer, .encrypted)])
        var envelope = EnvelopeRecord()
        envelope.requireTLS = true
        bench.submit(bench.job(envelope: envelope))
        #expect(bench.run().first?.results.first?.isDelivered == true)
        #expect(peer.commands.contains { $0.hasPrefix("MAIL") && $0.hasSuffix(" REQUIRETLS") })
        peer.keywords.removeAll { $0 == "REQUIRETLS" }
        let other = try bench.peer { $0.context = context }
        bench.use([bench.host(other, name: "other.example", .encrypted)], ttl: 0)
        let alone = try WorkerBench()
        let lacking = try alone.peer { $0.context = context }
        alone.use([alone.host(lacking, .encrypted)])
        alone.submit(alone.job(envelope: envelope))
        #expect(alone.run().first?.results.first?.failure?.status == EnhancedStatus(5, 7, 30))
    }
}
