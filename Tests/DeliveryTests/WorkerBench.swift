import Base
import CEpoll
import Foundation
import Handoff
import Protocols
import Reactor
import Store
import Synchronization
import TestKit
import Testing

@testable import Delivery

/// Plans from a table: tests change it as they go.
final class TablePlanner: DeliveryPlanner {
    let verdict: Mutex<DeliveryPlanVerdict>
    let asked = Atomic<Int>(0)

    init(_ hosts: [PlannedHost]) {
        verdict = Mutex(DeliveryPlanVerdict(outcome: .hosts(hosts), ttlSeconds: 300))
    }

    func plan(
        _ question: PlanQuestion, _ reactor: Reactor,
        done: @escaping @Sendable (Reactor, DeliveryPlanVerdict) -> Void
    ) {
        asked.add(1, ordering: .relaxed)
        let verdict = verdict.withLock { $0 }
        _ = reactor.handle.post { done($0, verdict) }
    }
}

/// One worker stepped by the test, on real sockets, with its peers in the same reactor.
final class WorkerBench {
    let worker: DeliveryWorker
    let planner: TablePlanner
    let store = MemoryStore()
    let folder = NSTemporaryDirectory() + "martlet-worker-\(UUID().uuidString)/"
    private let reports = Kept()
    private var nextID: Int64 = 1_000

    final class Kept: Sendable {
        let all = Mutex<[JobReport]>([])
        let isDone = Atomic<Bool>(false)
    }

    init(_ change: (inout DeliveryWorkerOptions) -> Void = { _ in }) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        var options = DeliveryWorkerOptions(
            helloName: Array("out.example".utf8), tls: try TLSContext(client: .outbound()))
        options.jobsPerWorker = 64
        options.connectionsPerWorker = 256
        change(&options)
        planner = TablePlanner([])
        let reports = reports
        worker = DeliveryWorker(
            index: 0, io: try EpollBackend(), time: SystemTime(),
            WorkerParts(
                options: options, planner: planner, gateway: store.gateway, observer: SilentDeliveryObserver(),
                report: { report in reports.all.withLock { $0.append(report) } }))
        store.start()
    }

    deinit {
        store.stop()
        try? FileManager.default.removeItem(atPath: folder)
    }

    var reported: [JobReport] { reports.all.withLock { $0 } }

    func peer(_ change: (TestPeer) -> Void = { _ in }) throws -> TestPeer {
        let peer = try TestPeer(worker.reactor)
        change(peer)
        return peer
    }

    func certificate(_ name: String = "mx.example") throws -> TLSContext {
        let pair = try SelfSigned.write(
            names: [name], kind: .ecdsaP256, certificatePath: folder + name + ".pem", keyPath: folder + name + ".key")
        return try TLSContext(server: TLSServerOptions(identities: [TLSIdentity(names: [], keyPairs: [pair])]))
    }

    func host(
        _ peer: TestPeer, name: String = "mx.example", _ security: HostSecurity = .opportunistic,
        _ change: (inout PlannedHost) -> Void = { _ in }
    ) -> PlannedHost {
        var host = PlannedHost(
            name: Array(name.utf8), preference: 10, addresses: [IPAddress(v4: 127, 0, 0, 1)], port: peer.address.port,
            security: security, serverName: Array(name.utf8), policies: [])
        change(&host)
        return host
    }

    func use(_ hosts: [PlannedHost], ttl: UInt32 = 300) {
        planner.verdict.withLock { $0 = DeliveryPlanVerdict(outcome: .hosts(hosts), ttlSeconds: ttl) }
    }

    func job(
        _ recipients: [String] = ["bob@to.example"], body: [UInt8]? = Array("Subject: x\r\n\r\nhello\r\n".utf8),
        size: Int? = nil, id: MessageID? = nil, envelope: EnvelopeRecord = EnvelopeRecord(),
        sender: String = "ann@from.example", trace: String = "Received: from there\r\n",
        _ change: (String) -> RemoteRecipient = { RemoteRecipient(address: Array($0.utf8)) }
    ) -> DeliveryJob {
        nextID += 1
        let id = id ?? MessageID(rawValue: nextID)
        let message = StoredMessage(
            id: id, received: WallTime(seconds: 1), sender: Array(sender.utf8), trace: Array(trace.utf8),
            envelope: envelope.encoded(), bodySize: size ?? body?.count ?? 0)
        return DeliveryJob(
            destination: Array("to.example".utf8), message: message, body: body,
            recipients: recipients.enumerated().map { i, address in
                JobRecipient(
                    lease: Lease(
                        row: QueueRowID(message: id, recipient: Int32(i)), generation: 1, until: WallTime(seconds: 9)),
                    recipient: change(address), attempts: 0)
            })
    }

    /// Puts a body into the store.
    func keep(_ body: [UInt8]) throws -> MessageID {
        nextID += 1
        let id = MessageID(rawValue: nextID)
        let request = AcceptRequest(
            id: id, received: WallTime(seconds: 1), sender: [], trace: [], body: .inline(body),
            remote: [RemoteRecipient(address: Array("bob@to.example".utf8))])
        let kept = Kept()
        #expect(
            store.gateway.accept(request) { result in
                if case .failure(let error) = result { Issue.record("\(error)") }
                kept.isDone.store(true, ordering: .releasing)
            })
        turn(until: { kept.isDone.load(ordering: .acquiring) })
        return id
    }

    func submit(_ job: DeliveryJob, _ here: SourceLocation = #_sourceLocation) {
        #expect(worker.handle.submit(job), sourceLocation: here)
    }

    /// Turns until so many reports are there in all.
    func run(_ count: Int = 1, _ here: SourceLocation = #_sourceLocation) -> [JobReport] {
        turn(until: { reported.count >= count }, here)
        return reported
    }

    func turn(until done: () -> Bool, _ here: SourceLocation = #_sourceLocation) {
        let end = mt_monotonic_ns() + 20_000_000_000
        while !done() {
            if mt_monotonic_ns() > end {
                Issue.record("did not happen within 20 s", sourceLocation: here)
                return
            }
            let tick = worker.reactor.after(0.02) {}
            worker.reactor.turn()
            worker.reactor.cancel(tick)
        }
    }
}

extension RecipientResult {
    var failure: DeliveryFailure? {
        if case .failed(let failure) = self { return failure }
        return nil
    }
    var isDelivered: Bool { failure == nil }
}
