package import ResolverUnbound

extension Configuration.DNS {
    /// What the resolver is started with.
    package var resolver: ResolverConfiguration {
        ResolverConfiguration(
            forward: forward, anchors: trustAnchorFile.isEmpty ? .builtIn : .file(trustAnchorFile),
            rootHints: rootHints, timeoutSeconds: Double(timeoutSeconds))
    }
}
