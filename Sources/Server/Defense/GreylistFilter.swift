package import Base
package import Policy

/// Which entries of the greylist book an operator means. Every part that is given must fit.
package struct GreylistFilter: Sendable, Hashable {
    /// The receiving domain.
    package var domain: [UInt8]?
    package var state: GreylistRecord.State?
    /// The client's address or a network: entries of networks that have an address in common with it.
    package var block: AddressBlock?
    /// The domain that was proven for the client.
    package var identity: [UInt8]?
    /// The whole sender, a sender domain, or an identity's domain.
    package var sender: [UInt8]?
    package var recipient: [UInt8]?

    package init() {}

    /// Every entry.
    package var isEverything: Bool { self == GreylistFilter() }

    func fits(_ row: GreylistRow) -> Bool {
        if let state, row.state != state { return false }
        if let domain, !ASCII.equalIgnoringCase(row.domain, domain) { return false }
        if let block, !Self.overlap(row.identity, block) { return false }
        if let identity, !ASCII.equalIgnoringCase(row.identity, identity) { return false }
        if let sender, !fits(row, sender) { return false }
        // A known sender's entry is for all recipients of the domain.
        if let recipient, !ASCII.equalIgnoringCase(row.recipient, recipient) {
            guard row.state == .known, let at = recipient.lastIndex(of: ASCII.at) else { return false }
            return ASCII.equalIgnoringCase(Array(recipient[(at + 1)...]), row.domain)
        }
        return true
    }

    private static func overlap(_ identity: [UInt8], _ block: AddressBlock) -> Bool {
        guard let network = AddressBlock(String(decoding: identity, as: UTF8.self)) else { return false }
        return block.prefix <= network.prefix ? block.contains(network.address) : network.contains(block.address)
    }

    private func fits(_ row: GreylistRow, _ wanted: [UInt8]) -> Bool {
        let normalised = GreylistSender.normalised(wanted)
        if row.sender == normalised || row.identity == normalised { return true }
        guard let at = row.sender.lastIndex(of: ASCII.at) else { return false }
        return row.sender[(at + 1)...] == normalised[...]
    }
}

/// One entry of the greylist book, for people.
package struct GreylistRow: Sendable, Hashable {
    /// A network, or a domain proven by SPF.
    package var identity: [UInt8]
    /// Normalised; empty: the null sender.
    package var sender: [UInt8]
    /// Empty: every recipient of the domain.
    package var recipient: [UInt8]
    package var domain: [UInt8]
    package var record: GreylistRecord
    /// From when on mail is taken; nil: it is, or its time to come back is over. By the rules of the domain.
    package var passes: WallTime?

    /// When it counts no more, or is gone, by itself; nil: never. By the rules of the domain.
    package var expires: WallTime?

    package var state: GreylistRecord.State { record.state }

    /// The key of the whole domain's entry.
    var pair: [UInt8] { identity + [ASCII.nul] + sender + [ASCII.nul, ASCII.at] + domain }

    init?(key: [UInt8], _ record: GreylistRecord) {
        let parts = key.split(separator: ASCII.nul, maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        identity = Array(parts[0])
        sender = Array(parts[1])
        let whole = Array(parts[2])
        let at = whole.lastIndex(of: ASCII.at)
        recipient = at == 0 ? [] : whole
        domain = at.map { Array(whole[($0 + 1)...]) } ?? []
        self.record = record
    }
}
