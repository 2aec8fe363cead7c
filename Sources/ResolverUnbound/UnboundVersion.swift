import CUnbound

/// The version of the linked libunbound, for `martlet --version` and the log.
package enum UnboundVersion {
    package static var text: String { String(cString: ub_version()) }
}
