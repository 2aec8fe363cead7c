import Base
import MailAuth
import Protocols

/// The header of a message that is arriving, taken apart once: what the checks want of it, and which fields have to go.
final class InboundHeader: Sendable {
    /// As it will be sent on: without what was taken out, with what was added.
    let index: HeaderIndex
    let dkim: DKIMFields
    let arc: ARCFields
    let author: Author
    /// The value of Message-ID without its white space; empty: there is none, or it is no id.
    let messageID: [UInt8]
    /// Fields that only a receiver writes and a stranger wrote: `Authentication-Results` in our name, BIMI's. In order.
    let forged: [Range<Int>]
    /// Where the body begins in what was given.
    let bodyStart: Int

    static let absent = InboundHeader([], claiming: [])

    /// Mail from elsewhere. `isJudged` false: its signatures and its author are not looked at.
    init(_ bytes: [UInt8], claiming ids: [[UInt8]], isJudged: Bool = true) {
        let index = HeaderIndex(bytes)
        self.index = index
        let judged = isJudged ? index : HeaderIndex([])
        dkim = DKIMFields(judged)
        arc = ARCFields(judged)
        author = isJudged ? Self.author(index) : .problem(.missing, domains: [])
        bodyStart = index.bodyStart
        messageID = index.places(of: Self.messageIDName).first.map { Self.trimmed(index.value(of: $0)) } ?? []
        // RFC 8601 §5: what a stranger says in our name is not let through.
        let claims = index.places(of: Self.resultsName).filter { place in
            AuthenticationResultsParser.mustRemove(
                index.bytes.span.extracting(index.fields[place].value), claiming: ids)
        }
        // What shows a brand's indicator is for the receiver to write, after its own evaluation.
        let indicators = Self.indicatorNames.flatMap { index.places(of: $0) }
        forged = (claims + indicators).sorted().map { index.fields[$0].range }
    }

    private static let indicatorNames = ["bimi-indicator", "bimi-location"].map { Array($0.utf8) }
    private static let resultsName = Array("authentication-results".utf8)
    /// Mail of our own, after its fix-ups: nothing of it is verified.
    init(own bytes: [UInt8]) {
        let none = HeaderIndex([])
        index = HeaderIndex(bytes)
        dkim = DKIMFields(none)
        arc = ARCFields(none)
        author = Self.author(index)
        bodyStart = index.bodyStart
        let header = index
        messageID = header.places(of: Self.messageIDName).first.map { Self.trimmed(header.value(of: $0)) } ?? []
        forged = []
    }

    private static let messageIDName = Array("message-id".utf8)
    private static let messageIDMax = 998

    private static func trimmed(_ value: [UInt8]) -> [UInt8] {
        let kept = value.filter { $0 > ASCII.space && $0 != 0x7F }
        return kept.count <= messageIDMax ? kept : []
    }

    private static let fromName = Array("from".utf8)

    private static func author(_ index: HeaderIndex) -> Author {
        let places = index.places(of: fromName)
        guard let first = places.first else { return .problem(.missing, domains: []) }
        // RFC 5322 §3.6: exactly one From. Which of several a reader is shown cannot be known.
        guard places.count == 1 else { return .problem(.severalFields, domains: []) }
        return Author(value: index.bytes.span.extracting(index.fields[first].value))
    }
}
