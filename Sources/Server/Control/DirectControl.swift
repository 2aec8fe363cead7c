package import Store

/// Runs requests without a daemon, on a store opened for us alone.
package struct DirectControl {
    package typealias Write = (
        @Sendable (any StoreWriterSession) throws(StoreError) -> ControlAnswer
    ) throws(StoreError) -> ControlAnswer
    package typealias Read = (
        @Sendable (any StoreReaderSession) throws(StoreError) -> ControlAnswer
    ) throws(StoreError) -> ControlAnswer

    private let service: ControlService
    private let write: Write
    private let read: Read

    package init(service: ControlService, write: @escaping Write, read: @escaping Read) {
        self.service = service
        self.write = write
        self.read = read
    }

    /// All pieces of the answer, in order; the exit status.
    package func run(_ request: ControlRequest, _ format: ControlFormat, into sink: ControlClient.Sink) -> Int32 {
        var current = request
        while true {
            let answer = piece(current, format)
            if !answer.output.isEmpty { sink.output(answer.output) }
            if !answer.complaint.isEmpty { sink.complaint(Array((answer.complaint + "\n").utf8)) }
            guard let next = answer.next else { return answer.status }
            current = next
        }
    }

    private func piece(_ request: ControlRequest, _ format: ControlFormat) -> ControlAnswer {
        do throws(StoreError) {
            switch service.work(request, format) {
            case .write(let job): return try write(job)
            case .read(let job): return try read(job)
            case .apart(_, let job): return job()
            case .done(let answer): return answer
            }
        } catch {
            return ControlAnswer(error, ControlService.subject(request))
        }
    }
}
