/// An enhanced status code, class.subject.detail (RFC 3463, RFC 5248).
package struct EnhancedStatus: Sendable, Hashable {
    package let category: UInt8
    package let subject: UInt16
    package let detail: UInt16

    package init(_ category: UInt8, _ subject: UInt16, _ detail: UInt16) {
        self.category = category
        self.subject = subject
        self.detail = detail
    }
}
