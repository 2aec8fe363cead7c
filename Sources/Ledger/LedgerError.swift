/// What keeps a ledger from being opened; `code` is an errno.
package struct LedgerError: Error, Sendable, Equatable, CustomStringConvertible {
    package let path: String
    package let code: Int32

    package init(path: String, code: Int32) {
        self.path = path
        self.code = code
    }

    package var description: String { "\(path): error \(code)" }
}
