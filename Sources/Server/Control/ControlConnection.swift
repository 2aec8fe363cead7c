import Base
package import Reactor
package import Store
import Telemetry

/// Drives one connection of the control socket: one request, its answer piece by piece, then the end. Only root and our
/// own user are served. A frame that breaks the protocol ends this connection and nothing else.
package final class ControlConnection: ConnectionDriver {
    private static let requestSeconds = 10.0
    private static let answerSeconds = 300.0

    private let service: ControlService
    private let gateway: StoreGateway
    private let handle: ReactorHandle
    private let ownUser: UInt32
    private let metrics: ServerMetrics?
    /// Told of each change that was made, on whatever thread made it.
    private let changed: @Sendable (OperatorChange) -> Void
    /// Who asks.
    private var user: UInt32 = 0
    private var parser = ControlFrameParser()
    private var format = ControlFormat.text
    /// The piece to make when what was sent is on its way.
    private var next: ControlRequest?
    private var isAsked = false

    /// `ownUser` is the server's effective user id.
    package init(
        service: ControlService, gateway: StoreGateway, handle: ReactorHandle, ownUser: UInt32,
        metrics: ServerMetrics? = nil, changed: @escaping @Sendable (OperatorChange) -> Void = { _ in }
    ) {
        self.service = service
        self.gateway = gateway
        self.handle = handle
        self.ownUser = ownUser
        self.metrics = metrics
        self.changed = changed
    }

    package func opened(_ c: Connection) {
        guard let user = c.peerUserID, user == 0 || user == ownUser else {
            send(.failed("this user may not control the server; run as its user or root", ExitStatus.permission), c)
            return
        }
        self.user = user
        c.setDeadline(afterSeconds: Self.requestSeconds)
    }

    package func received(_ c: Connection, _ bytes: Span<UInt8>) -> Int {
        // Whatever comes after the request is not for us.
        guard !isAsked, c.isOpen else { return bytes.count }
        parser.append(bytes)
        do throws(ControlProtocolError) {
            guard let frame = try parser.next() else { return bytes.count }
            isAsked = true
            guard frame.kind == .request, let (request, format) = ControlRequest.decode(frame.payload) else {
                send(.failed("the server does not know this request; are both of one version?", ExitStatus.usage), c)
                return bytes.count
            }
            self.format = format
            perform(request, c)
        } catch {
            metrics?.controlRequests.add(.refused)
            c.close()
        }
        return bytes.count
    }

    package func drained(_ c: Connection) {
        guard let request = next else { return }
        next = nil
        perform(request, c)
    }

    private func send(_ answer: ControlAnswer, _ c: Connection) {
        next = answer.next
        c.setDeadline(afterSeconds: Self.answerSeconds)
        let frames = answer.frames
        if !frames.isEmpty {
            c.write(frames)
        } else {
            drained(c)
        }
        guard next == nil, answer.next == nil else { return }
        count(answer.status)
        c.closeAfterFlush()
    }

    private func count(_ status: Int32) {
        switch status {
        case ExitStatus.success: metrics?.controlRequests.add(.ok)
        case ExitStatus.permission, ExitStatus.usage: metrics?.controlRequests.add(.refused)
        default: metrics?.controlRequests.add(.failed)
        }
    }

    private func perform(_ request: ControlRequest, _ c: Connection) {
        c.setDeadline(afterSeconds: Self.answerSeconds)
        let subject = ControlService.subject(request)
        let made = OperatorChange(request)
        let (user, changed) = (user, changed)
        // Also when the one who asked has gone meanwhile, and of what came before a piece that failed.
        let tell: @Sendable (ControlAnswer?) -> Void = { answer in
            let isDone = answer?.status == ExitStatus.success
            guard var made, !isDone || answer?.next == nil else { return }
            if isDone { made.count = answer?.changes ?? 1 }
            guard made.count > 0 else { return }
            made.user = user
            changed(made)
        }
        let token = c.token
        let handle = handle
        let completion: @Sendable (Result<ControlAnswer, StoreError>) -> Void = { result in
            let answer: ControlAnswer
            switch result {
            case .success(let value):
                answer = value
                tell(value)
            case .failure(let error):
                answer = ControlAnswer(error, subject)
                tell(nil)
            }
            // A full mailbox loses the answer; the connection's deadline ends it then.
            _ = handle.post { reactor in
                guard let c = reactor.connection(for: token), let driver = c.driver as? ControlConnection else {
                    return Self.tellOfPart(answer.next, user, changed)
                }
                driver.send(answer, c)
            }
        }
        let taken: Bool
        switch service.work(request, format) {
        case .write(let job): taken = gateway.write(job, completion: completion)
        case .read(let job): taken = gateway.read(job, completion: completion)
        case .apart(let thread, let job): taken = service.perform(on: thread) { completion(.success(job())) }
        case .done(let answer):
            tell(answer)
            return send(answer, c)
        }
        guard !taken else { return }
        tell(nil)
        send(ControlAnswer(.unavailable(gateway.isClosed ? .stopped : .busy), subject), c)
    }

    package func closed(_ c: Connection, _ reason: CloseReason) {
        Self.tellOfPart(next, user, changed)
        next = nil
    }

    /// Of a change that nobody asks to go on with: what is done already.
    private static func tellOfPart(
        _ rest: ControlRequest?, _ user: UInt32, _ changed: @Sendable (OperatorChange) -> Void
    ) {
        guard var made = rest.flatMap(OperatorChange.init), made.count > 0 else { return }
        made.user = user
        changed(made)
    }
}
