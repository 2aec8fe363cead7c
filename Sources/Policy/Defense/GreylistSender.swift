import Base

/// The part of an envelope sender that stays the same from one message to the next.
///
/// Bulk mailers and forwarders put a token into each address; taken as it is, every message would be a sender never seen
/// before. What is cut only makes senders of one identity, one domain and one recipient look alike.
package enum GreylistSender {
    package static func normalised(_ sender: [UInt8]) -> [UInt8] {
        let address = ASCII.lowercased(sender)
        guard let at = address.lastIndex(of: ASCII.at), at > 0 else { return address }
        let local = masked(stripped(Array(address[..<at])))
        return local + address[at...]
    }

    /// Without the marks of BATV, SRS and VERP.
    private static func stripped(_ local: [UInt8]) -> [UInt8] {
        var local = local
        for mark in ["prvs=", "msprvs1=", "btv1=="] where local.starts(with: mark.utf8) {
            // `prvs=TAG=local`, `btv1==TAG==local`.
            let rest = local[mark.utf8.count...]
            if let end = rest.firstIndex(of: ASCII.equals),
                let core = rest[end...].firstIndex(where: { $0 != ASCII.equals })
            {
                local = Array(rest[core...])
            }
        }
        if let forwarded = rewritten(local) { return forwarded }
        if let plus = local.firstIndex(of: ASCII.plus), plus > 0 { return Array(local[..<plus]) }
        // `bounce-123-user=host.example`: the recipient of the mail is in it.
        if let equals = local.firstIndex(of: ASCII.equals) {
            let head = local[..<equals]
            let cut = head.firstIndex { $0 == ASCII.hyphen || $0 == 0x5F || $0 == ASCII.dot } ?? equals
            if cut > 0 { return Array(local[..<cut]) + [ASCII.equals] }
        }
        return local
    }

    /// `SRS0=hash=time=domain=local` and `SRS1=hash=host==…`: without hash and time.
    private static func rewritten(_ local: [UInt8]) -> [UInt8]? {
        let isFirst = local.starts(with: "srs0".utf8)
        guard local.count > 5, isFirst || local.starts(with: "srs1".utf8),
            [ASCII.equals, ASCII.plus, ASCII.hyphen].contains(local[4])
        else { return nil }
        let parts = local[5...].split(separator: ASCII.equals, omittingEmptySubsequences: true)
        let wanted = parts.dropFirst(isFirst ? 2 : 1).prefix(isFirst ? 2 : 1)
        guard !wanted.isEmpty else { return nil }
        return Array(local[..<4]) + [ASCII.equals] + Array(wanted.joined(separator: [ASCII.equals]))
    }

    private static let mask: UInt8 = 0x23

    /// Numbers and tokens as `#`, several of them in a row as one.
    private static func masked(_ local: [UInt8]) -> [UInt8] {
        guard local.contains(where: ASCII.isDigit) else { return local }
        var out: [UInt8] = []
        out.reserveCapacity(local.count)
        var i = 0
        while i < local.count {
            var end = i
            while end < local.count, ASCII.isAlphanumeric(local[end]) { end += 1 }
            if end == i {
                out.append(local[i])
                i += 1
                continue
            }
            append(word: local[i..<end], to: &out)
            i = end
        }
        return out
    }

    private static func append(word: ArraySlice<UInt8>, to out: inout [UInt8]) {
        guard word.contains(where: ASCII.isDigit) else {
            out += word
            return
        }
        let isHex = word.count >= 4 && word.allSatisfy { Hex.value($0) != nil }
        if isHex || word.count >= 12 {
            appendMask(to: &out)
            return
        }
        for c in word {
            if !ASCII.isDigit(c) { out.append(c) } else if out.last != mask { appendMask(to: &out) }
        }
    }

    /// `#-#` and `##` are one.
    private static func appendMask(to out: inout [UInt8]) {
        if out.last == mask { return }
        if out.count >= 2, out[out.count - 2] == mask, let last = out.last, !ASCII.isAlphanumeric(last) {
            out.removeLast()
            return
        }
        out.append(mask)
    }
}
