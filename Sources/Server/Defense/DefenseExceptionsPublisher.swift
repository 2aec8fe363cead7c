package import Policy
import Synchronization

/// The operators' exceptions in force. The control service changes them, every loop reads them.
///
/// Shareable because the values are behind a lock that is held for one load or one change.
package final class DefenseExceptionsPublisher: Sendable {
    private struct State {
        var exceptions = DefenseExceptions()
        var index = DefenseExceptionsIndex()
    }

    private let state = Mutex(State())
    /// Held by who makes a change.
    private let writer = Mutex(())

    package init() {}

    package var current: DefenseExceptions { state.withLock { $0.exceptions } }
    /// The same, quick to ask.
    package var index: DefenseExceptionsIndex { state.withLock { $0.index } }

    /// Adds or removes entries; how many changed, and whether there was no room for one (what stands before it is done).
    /// `posted` is told each, in the order of all changes, so that the journal has them so. Only one caller changes at a
    /// time; nobody who reads waits for more than the new values to be put in place.
    package func change(
        _ changes: [DefenseExceptionChange], posted: (DefenseExceptionChange) -> Void = { _ in }
    ) -> (changed: Int, isFull: Bool) {
        writer.withLock { _ in
            var exceptions = current
            var done: [DefenseExceptionChange] = []
            var isFull = false
            for change in changes {
                let result = change.apply(to: &exceptions)
                if result == .changed { done.append(change) }
                isFull = result == .full
                if isFull { break }
            }
            if !done.isEmpty { load(exceptions) }
            for change in done { posted(change) }
            return (done.count, isFull)
        }
    }

    /// All of them, as when the journal is read.
    func load(_ exceptions: DefenseExceptions) {
        let new = State(exceptions: exceptions, index: DefenseExceptionsIndex(exceptions))
        state.withLock { $0 = new }
    }
}

/// Which of the lists of exceptions.
package enum DefenseExceptionList: UInt8, Sendable, Hashable, CaseIterable {
    case limits = 1
    case tarpit, greylist, greylistDomains
}

/// One entry to add or remove.
package struct DefenseExceptionChange: Sendable, Hashable {
    package var entry: Entry
    package var isRemoval: Bool

    package init(_ entry: Entry, isRemoval: Bool) {
        self.entry = entry
        self.isRemoval = isRemoval
    }

    package enum Entry: Sendable, Hashable {
        case limits(AddressBlock)
        case tarpit(AddressBlock)
        case greylist(AddressBlock)
        /// Lower case.
        case greylistDomain([UInt8])
    }

    /// An entry as an operator writes it. nil: no address block, or (for greylisting only) no domain either.
    package init?(_ list: DefenseExceptionList, text: String, isRemoval: Bool) {
        self.isRemoval = isRemoval
        switch list {
        case .limits:
            guard let block = AddressBlock(text) else { return nil }
            entry = .limits(block)
        case .tarpit:
            guard let block = AddressBlock(text) else { return nil }
            entry = .tarpit(block)
        case .greylist:
            guard let block = AddressBlock(text) else { return nil }
            entry = .greylist(block)
        case .greylistDomains:
            guard let domain = Self.domain(text) else { return nil }
            entry = .greylistDomain(domain)
        }
    }

    private static func domain(_ text: String) -> [UInt8]? {
        var bytes = text.lowercased().utf8.map { $0 }
        if bytes.last == 0x2E { bytes.removeLast() }
        guard (1...253).contains(bytes.count), bytes.first != 0x2E, !text.contains(".."), AddressBlock(text) == nil,
            bytes.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != 0x40 && $0 != 0x2F })
        else { return nil }
        return bytes
    }

    package var list: DefenseExceptionList {
        switch entry {
        case .limits: .limits
        case .tarpit: .tarpit
        case .greylist: .greylist
        case .greylistDomain: .greylistDomains
        }
    }

    /// The entry as text.
    package var text: [UInt8] {
        switch entry {
        case .limits(let block), .tarpit(let block), .greylist(let block): Array(block.description.utf8)
        case .greylistDomain(let domain): domain
        }
    }

    enum Result: Sendable, Hashable {
        case changed
        /// It was there, or was not there, already.
        case unchanged
        /// The list has all the entries it may have.
        case full
    }

    func apply(to exceptions: inout DefenseExceptions) -> Result {
        switch entry {
        case .limits(let block): apply(block, to: &exceptions.limits)
        case .tarpit(let block): apply(block, to: &exceptions.tarpit)
        case .greylist(let block): apply(block, to: &exceptions.greylist)
        case .greylistDomain(let domain): apply(domain, to: &exceptions.greylistDomains)
        }
    }

    private func apply<Value: Equatable>(_ value: Value, to list: inout [Value]) -> Result {
        let at = list.firstIndex(of: value)
        if isRemoval {
            guard let at else { return .unchanged }
            list.remove(at: at)
            return .changed
        }
        if at != nil { return .unchanged }
        guard list.count < DefenseExceptions.entriesMax else { return .full }
        list.append(value)
        return .changed
    }
}
