import Handoff

/// How a started thread tells its starter that it is ready, or why not.
final class StartSignal: Sendable {
    private let inbox = Mailbox<ResolverError?>(capacity: 2)

    func set(_ error: ResolverError?) { _ = inbox.post(error) }

    func wait() -> ResolverError? {
        while true {
            if let message = inbox.next() { return message }
            inbox.wait()
        }
    }
}
