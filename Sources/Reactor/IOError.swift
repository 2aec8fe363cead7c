import CEpoll

/// A system call that failed while setting something up, as a value.
package struct IOError: Error, Sendable, CustomStringConvertible {
    package let operation: String
    package let code: Int32

    package init(_ operation: String, _ code: Int32) {
        self.operation = operation
        self.code = code
    }

    package var description: String { "\(operation): \(IOError.text(code))" }

    /// The system's text for an errno value.
    package static func text(_ code: Int32) -> String { String(cString: strerror(code)) }
}
