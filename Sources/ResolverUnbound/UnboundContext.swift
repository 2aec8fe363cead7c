import CUnbound
import Protocols

/// One libunbound context with its background thread. Confined to the thread that made it.
///
/// Settings are fixed at the first question. `ask` never blocks for longer than it takes to hand the question over;
/// `process` runs the callbacks of finished ones on the calling thread.
final class UnboundContext {
    private static let cacheBytes = "16m"
    private static let rrsetCacheBytes = "32m"

    private let context: OpaquePointer
    let descriptor: Int32

    init(_ configuration: ResolverConfiguration) throws(ResolverError) {
        guard let context = ub_ctx_create() else {
            throw ResolverError(description: "libunbound gave no context: out of memory")
        }
        self.context = context
        descriptor = ub_fd(context)
        // Its own words would go to our standard error in the middle of our log lines.
        _ = ub_ctx_debugout(context, nil)
        try Self.check(ub_ctx_async(context, 1), "a thread of its own")
        try setOptions(configuration)
        try setAnchors(configuration.anchors)
        if !configuration.forward.isEmpty { try removeLocalZones() }
        // Removes nothing, but fixes the settings: what is wrong in a file shows here and not at the first question.
        try Self.check(ub_ctx_data_remove(context, "settings.invalid."), "the files it reads")
    }

    deinit { ub_ctx_delete(context) }

    private static func check(_ status: Int32, _ what: String) throws(ResolverError) {
        guard status == 0 else {
            throw ResolverError(description: "DNS: \(what): \(String(cString: ub_strerror(status)))")
        }
    }

    private func set(_ option: String, _ value: String) throws(ResolverError) {
        try Self.check(ub_ctx_set_option(context, option + ":", value), "\(option) \(value)")
    }

    private func setOptions(_ configuration: ResolverConfiguration) throws(ResolverError) {
        try set("msg-cache-size", Self.cacheBytes)
        try set("rrset-cache-size", Self.rrsetCacheBytes)
        // A server that did not answer for a minute is tried again at once, one question at a time.
        try set("infra-keep-probing", "yes")
        if !configuration.rootHints.isEmpty { try set("root-hints", configuration.rootHints) }
        guard !configuration.forward.isEmpty else { return }
        try set("do-not-query-localhost", "no")
        try set("unblock-lan-zones", "yes")
        for server in configuration.forward {
            try Self.check(ub_ctx_set_fwd(context, server), "forward to \(server)")
        }
    }

    private func setAnchors(_ anchors: ResolverConfiguration.TrustAnchors) throws(ResolverError) {
        switch anchors {
        case .none: return
        case .builtIn:
            for record in RootAnchors.records { try Self.check(ub_ctx_add_ta(context, record), "the root anchor") }
        case .file(let path):
            try Self.check(ub_ctx_add_ta_file(context, path), "trust anchors in \(path)")
        }
    }

    /// The zones that libunbound would answer from built-in data (RFC 6303 §4, RFC 6761 §6). A resolver of the
    /// operator's choice knows what its network holds; `unblock-lan-zones` covers the rest of the list. Fixes the
    /// settings: nothing can be set afterwards.
    private func removeLocalZones() throws(ResolverError) {
        for zone in [
            "127.in-addr.arpa.", "localhost.", "test.", "invalid.", "onion.", "home.arpa.",
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.",
        ] {
            try Self.check(ub_ctx_zone_remove(context, zone), "built-in zone \(zone)")
        }
    }

    /// Starts a query; `query.finish` runs in a later `process`. False: it could not be started. The caller keeps
    /// `query` until then.
    func ask(_ query: Query) -> Bool {
        let name = query.question.name.presentation.map { CChar(bitPattern: $0) } + [0]
        let status = ub_resolve_async(
            context, name, Int32(query.question.type.rawValue), 1, Unmanaged.passUnretained(query).toOpaque(),
            { pointer, error, result in
                defer { ub_resolve_free(result) }
                guard let pointer else { return }
                let query = Unmanaged<Query>.fromOpaque(pointer).takeUnretainedValue()
                let answer = UnboundDecode.answer(to: query.question, error: error, result: result)
                query.finish?(query, answer)
            }, nil)
        return status == 0
    }

    /// Delivers what is finished. False: the background thread is gone.
    func process() -> Bool { ub_process(context) == 0 }
}
