import Base
import Protocols
import Synchronization
import Telemetry

/// Whether the process is alive and fit to take mail, as `/healthz` and `/readyz` say it.
///
/// Shareable: atomics, written by the threads concerned.
final class Health: Sendable {
    private let listening = Atomic<Bool>(false)
    private let storeWritable = Atomic<Bool>(true)
    private let draining = Atomic<Bool>(false)

    func setListening(_ value: Bool) { listening.store(value, ordering: .relaxed) }
    func setStoreWritable(_ value: Bool) { storeWritable.store(value, ordering: .relaxed) }
    func setDraining() { draining.store(true, ordering: .relaxed) }

    var isReady: Bool {
        listening.load(ordering: .relaxed) && storeWritable.load(ordering: .relaxed)
            && !draining.load(ordering: .relaxed)
    }

    func readyResponse() -> HTTPResponse {
        var body: [UInt8] = []
        body.append(ascii: "{\"listening\":")
        body.append(flag: listening.load(ordering: .relaxed))
        body.append(ascii: ",\"store_writable\":")
        body.append(flag: storeWritable.load(ordering: .relaxed))
        body.append(ascii: ",\"draining\":")
        body.append(flag: draining.load(ordering: .relaxed))
        body.append(ascii: "}\n")
        return HTTPResponse(status: isReady ? 200 : 503, contentType: "application/json", body: body)
    }
}

extension [UInt8] {
    fileprivate mutating func append(flag: Bool) { append(ascii: flag ? "true" : "false") }
}

/// The routes of the metrics listener.
struct MetricsRoutes: Sendable {
    let registry: Registry
    let health: Health

    func answer(_ request: HTTPRequest) -> HTTPResponse {
        guard request.method == .get || request.method == .head else {
            return HTTPResponse(status: 405, text: "only GET and HEAD here")
        }
        if request.isPath("/metrics") {
            var response = HTTPResponse(status: 200, body: registry.exposition())
            response.add("content-type", Array(Registry.contentType.utf8))
            return response
        }
        if request.isPath("/healthz") { return HTTPResponse(status: 200, text: "ok") }
        if request.isPath("/readyz") { return health.readyResponse() }
        return HTTPResponse(status: 404, text: "/metrics, /healthz and /readyz are here")
    }
}
