import Base
import Protocols

/// Whatever a peer sends, the Authentication-Results field is one field, its lines are short enough, and it reads back
/// as the results that went in. From the other side: any octets as an address list or as somebody's field.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    let id = Array("mx.example.com".utf8)
    write(bytes, id)
    _ = Author(message: bytes.span)
    if case .domain(let domain) = Author(value: bytes.span) {
        precondition(!domain.isEmpty && domain.count <= bytes.count, "a domain out of nothing")
    }
    if let read = AuthenticationResultsParser.parse(bytes.span), ASCII.equalIgnoringCase(read.server, id) {
        precondition(AuthenticationResultsParser.mustRemove(bytes.span, claiming: [id]), "a forged field stays")
    }
    _ = AuthenticationResultsParser.fieldsToRemove(in: bytes.span, claiming: [id])
    return 0
}

private func write(_ text: [UInt8], _ id: [UInt8]) {
    var results = AuthResults()
    var iprev = AuthResults.IPRev(result: .fail, address: text)
    iprev.name = text
    results.iprev = iprev
    results.spf = AuthResults.SPF(result: .softfail, domain: text, identity: text)
    var dkim = AuthResults.DKIM(result: .permerror, domain: text)
    dkim.selector = text
    dkim.identity = text
    dkim.signature = text
    dkim.reason = text
    results.dkim = [dkim]
    var arc = AuthResults.ARC(result: .fail)
    arc.seals = [.init(instance: 1, domain: text)]
    results.arc = arc
    var dmarc = AuthResults.DMARC(result: .fail, author: text)
    dmarc.reason = text
    results.dmarc = dmarc
    let field = AuthenticationResults.field(results, servedBy: id)
    var parser = HeaderParser()
    let message = field + [ASCII.cr, ASCII.lf]
    precondition(parser.next(in: message.span)?.range == 0..<field.count, "more or less than one field")
    for line in field.split(separator: ASCII.lf) { precondition(line.count <= 998, "RFC 5322 §2.1.1") }
    let value = Array(field.dropFirst(23).dropLast(2))
    guard let read = AuthenticationResultsParser.parse(value.span) else { preconditionFailure("not readable") }
    precondition(read.server == id, "another server")
    precondition(
        read.statements.map(\.result) == ["fail", "softfail", "permerror", "fail", "fail"].map { Array($0.utf8) })
}
