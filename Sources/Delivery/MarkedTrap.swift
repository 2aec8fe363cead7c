import Base

/// For the proof that a message which ends the process is set aside: with the build flag MARTLET_TRAP a header field
/// `X-Martlet-Trap: inbound` or `delivery` ends it at that stage. Without the flag nothing of this is there.
package enum MarkedTrap {
    #if MARTLET_TRAP
        private static let name = Array("x-martlet-trap:".utf8)

        package static func inbound(_ header: [UInt8]) { trap(header, "inbound") }

        static func delivery(_ content: MessageContent) {
            if case .memory(let body) = content.body { trap(body, "delivery") }
        }

        private static func trap(_ bytes: [UInt8], _ stage: String) {
            for line in bytes.prefix(1 << 16).split(separator: ASCII.lf) {
                let text = ASCII.lowercased(Array(line))
                guard text.starts(with: name) else { continue }
                let value = text.dropFirst(name.count).filter { $0 > ASCII.space }
                if value == Array(stage.utf8) { preconditionFailure("a marked message") }
            }
        }
    #else
        @inline(__always) package static func inbound(_ header: [UInt8]) {}
        @inline(__always) static func delivery(_ content: MessageContent) {}
    #endif
}
