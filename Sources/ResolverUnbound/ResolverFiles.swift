import CEpoll

/// libunbound reads its files at the first question and then only says "initialization failure".
enum ResolverFiles {
    static func check(_ configuration: ResolverConfiguration) throws(ResolverError) {
        if case .file(let path) = configuration.anchors { try readable(path) }
        if !configuration.rootHints.isEmpty { try readable(configuration.rootHints) }
    }

    private static func readable(_ path: String) throws(ResolverError) {
        let descriptor = mt_open(path, O_RDONLY, 0)
        guard descriptor >= 0 else {
            throw ResolverError(description: "\(path): \(String(cString: strerror(-descriptor)))")
        }
        _ = mt_close(descriptor)
    }
}
