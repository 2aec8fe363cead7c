import CEpoll
import Handoff
import Protocols
import Store
import Synchronization

/// A message on its way aside: the octets that came so far are in a file of the intake's thread.
///
/// Shareable: a number and an atomic. Dropping it without `PoisonIntake.finish` leaves a file that `abandon` or the next
/// start removes.
final class SetAsideBody: Sendable {
    let number: UInt64
    private let failure = Atomic<Bool>(false)
    private let size = Atomic<Int>(0)

    init(number: UInt64) { self.number = number }

    var hasFailed: Bool { failure.load(ordering: .acquiring) }
    var octets: Int { size.load(ordering: .relaxed) }
    func fail() { failure.store(true, ordering: .releasing) }
    func count(_ n: Int) { size.add(n, ordering: .relaxed) }
}

/// The thread that puts poison mail away: octets into files, durable before the completion says so. Loops only post to it.
///
/// Bounded by `octetsMax` of memory on the way to disk and by `PoisonFolder.messagesMax` files; what is beyond fails and is
/// answered with a temporary refusal.
final class PoisonIntake: Sendable {
    enum Message: Sendable {
        case append(SetAsideBody, [UInt8])
        case finish(SetAsideBody, PoisonedMessage, @Sendable (Bool) -> Void)
        case abandon(SetAsideBody)
        /// Something of an operator's that reads or writes the folder.
        case work(@Sendable () -> Void)
        case stop
    }

    private static let octetsMax = 64 << 20
    private static let capacity = 2_048

    let folder: PoisonFolder
    private let inbox = Mailbox<Message>(capacity: capacity)
    private let underWay = Atomic<Int>(0)
    private let nextNumber = Atomic<UInt64>(1)
    private let thread = Mutex<ThreadHandle?>(nil)

    init(folder: PoisonFolder) { self.folder = folder }

    func start() {
        let handle = LoopThread.spawn("poison") { [self] in PoisonWriter(folder, inbox).run { self.wrote($0) } }
        thread.withLock { $0 = handle }
    }

    func stop() {
        guard let handle = thread.withLock({ $0.take() }) else { return }
        while !inbox.post(.stop) { _ = mt_poll_readable(-1, 1) }
        handle.join()
    }

    func open() -> SetAsideBody { SetAsideBody(number: nextNumber.add(1, ordering: .relaxed).oldValue) }

    func append(_ body: SetAsideBody, _ bytes: [UInt8]) {
        guard !body.hasFailed, !bytes.isEmpty else { return }
        body.count(bytes.count)
        guard underWay.add(bytes.count, ordering: .relaxed).newValue <= Self.octetsMax,
            inbox.post(.append(body, bytes))
        else {
            wrote(bytes.count)
            return body.fail()
        }
    }

    private func wrote(_ octets: Int) { underWay.subtract(octets, ordering: .relaxed) }

    /// The completion says, on the intake's thread, whether the message is on disk with its envelope. False: it will not
    /// come.
    func finish(_ body: SetAsideBody, _ message: PoisonedMessage, then: @escaping @Sendable (Bool) -> Void) -> Bool {
        inbox.post(.finish(body, message, then))
    }

    /// Runs `job` on the intake's thread: it may block, and nothing else touches folder and register meanwhile. False: no
    /// room, it will not run.
    func perform(_ job: @escaping @Sendable () -> Void) -> Bool { inbox.post(.work(job)) }

    func abandon(_ body: SetAsideBody) { _ = inbox.post(.abandon(body)) }
}

/// What the intake's thread holds: the open files. Confined to it.
private final class PoisonWriter {
    private let folder: PoisonFolder
    private let inbox: Mailbox<PoisonIntake.Message>
    private var files: [UInt64: File] = [:]
    private static let filesMax = 256

    private struct File {
        let descriptor: Int32
        /// Gone: its session ended and its word to `abandon` it found no room.
        weak var body: SetAsideBody?
    }

    init(_ folder: PoisonFolder, _ inbox: Mailbox<PoisonIntake.Message>) {
        self.folder = folder
        self.inbox = inbox
    }

    func run(_ wrote: (Int) -> Void) {
        while true {
            guard let message = inbox.next() else {
                inbox.wait()
                continue
            }
            switch message {
            case .append(let body, let bytes):
                append(body, bytes)
                wrote(bytes.count)
            case .finish(let body, let message, let then): then(finish(body, message))
            case .abandon(let body): drop(body.number)
            case .work(let job): job()
            case .stop:
                for number in Array(files.keys) { drop(number) }
                return
            }
        }
    }

    private func path(_ number: UInt64) -> String { "\(folder.path)/body-\(number).part" }

    private func append(_ body: SetAsideBody, _ bytes: [UInt8]) {
        guard !body.hasFailed else { return }
        if files[body.number] == nil {
            for (number, file) in files where file.body == nil { drop(number) }
            guard files.count < Self.filesMax, folder.ids().count < PoisonFolder.messagesMax else { return body.fail() }
            let fd = mt_open(path(body.number), O_WRONLY | O_CREAT | O_TRUNC, 0o600)
            guard fd >= 0 else { return body.fail() }
            files[body.number] = File(descriptor: fd, body: body)
        }
        guard let file = files[body.number], PoisonFolder.write(file.descriptor, bytes) == 0 else {
            body.fail()
            return drop(body.number)
        }
    }

    /// The body under its name, then the record: the message is there when the record is.
    private func finish(_ body: SetAsideBody, _ message: PoisonedMessage) -> Bool {
        let record = message.record
        guard !body.hasFailed, record.count <= PoisonFolder.recordOctetsMax,
            let fd = files.removeValue(forKey: body.number)?.descriptor
        else {
            drop(body.number)
            return false
        }
        let isWritten = mt_fsync(fd) == 0
        _ = mt_close(fd)
        let part = path(body.number)
        if isWritten, mt_rename(part, folder.bodyPath(message.id)) == 0 {
            if folder.replace(folder.recordPath(message.id), record) == 0 { return true }
            _ = mt_unlink(folder.recordPath(message.id))
            _ = mt_unlink(folder.bodyPath(message.id))
        }
        _ = mt_unlink(part)
        return false
    }

    private func drop(_ number: UInt64) {
        guard let file = files.removeValue(forKey: number) else { return }
        _ = mt_close(file.descriptor)
        _ = mt_unlink(path(number))
    }
}
