package import Protocols

/// What is known of a client besides its mail: gathered by the driver once a connection, added up for each receiving
/// domain.
package struct ClientEvidence: Sendable, Hashable {
    package var address: IPAddress
    /// Of all the lists that the receiving domains wanted asked; the others do not matter.
    package var lists: [DNSListFinding] = []
    /// Forward-confirmed reverse DNS; nil: not asked.
    package var reverse: AuthResult?
    package var helo: HELOFinding?
    /// The name it gave, for explanations.
    package var heloName: [UInt8] = []
    package var spokeEarly = false

    package init(address: IPAddress) { self.address = address }

    /// Lists kept of one session.
    package static let listsMax = 64

    /// What was found for another receiving domain of the same session.
    package mutating func merge(_ other: ClientEvidence) {
        for finding in other.lists {
            if let i = lists.firstIndex(where: { $0.zone == finding.zone }) {
                // Asked again and no answer: what was known stays.
                if finding.outcome != .unanswered { lists[i] = finding }
            } else if lists.count < Self.listsMax {
                lists.append(finding)
            }
        }
        reverse = other.reverse ?? reverse
        helo = other.helo ?? helo
        if other.helo != nil { heloName = other.heloName }
        spokeEarly = spokeEarly || other.spokeEarly
    }
}

extension DomainDefense.Score {
    /// The least that can come together.
    package var lowest: Int {
        lists.reduce(min(0, reverseWeight) + min(0, heloWeight) + min(0, earlyTalkerWeight)) {
            $0 + min(0, $1.weight)
        }
    }

    /// Whether anybody can be refused or quarantined by it.
    package var canDecide: Bool {
        (rejectAt > 0 && highest >= rejectAt) || (quarantineAt > 0 && highest >= quarantineAt)
    }

    /// What `DNSListCheck` is to ask.
    package var zones: [[UInt8]] { lists.map(\.zone) }

    /// The lists whose words a refusal would quote.
    package var explainedZones: [[UInt8]] { rejectAt > 0 ? lists.filter { $0.weight > 0 }.map(\.zone) : [] }
}

extension DomainDefense {
    /// Whether the score of a client can make a difference: it is not worth a question to DNS otherwise.
    package var wantsScore: Bool {
        if score.canDecide { return true }
        guard greylist.isOn, let skip = greylist.skipScore else { return false }
        return score.lowest <= skip
    }
}

extension DomainDefense.DNSList {
    /// Whether what was found is an entry of the kind that counts.
    // RFC 5782 §2.3
    package func matches(_ finding: DNSListFinding) -> Bool {
        guard finding.outcome == .listed, finding.zone == zone else { return false }
        if codes.isEmpty { return true }
        return finding.answers.contains { answer in
            // Welcome lists put the kind of business into the third octet.
            guard answer.isIPv4, answer.bytes[0] == 127, answer.bytes[1] == 0 else { return false }
            return codes.contains { $0.contains(answer.bytes[3]) }
        }
    }
}
