import Base
import Crypto
package import Store

/// Splits what was accepted into jobs: one for each destination, reverse-path and prefix, at most
/// `DeliveryJob.recipientsMax` recipients each. Used by accepting loops for messages that skip the queue.
package enum AcceptedJobs {
    /// How many jobs `make` would give: the slots to reserve.
    package static func count(_ remote: [RemoteRecipient]) -> Int {
        remote.count < 2 ? remote.count : groups(remote).count
    }

    /// The jobs of a request that was accepted with an owner. `body`: while it is in memory.
    package static func make(_ request: AcceptRequest, body: [UInt8]?) -> [DeliveryJob] {
        guard request.leasedTo != nil else { return [] }
        let message = request.storedMessage
        return groups(request.remote).map { group in
            DeliveryJob(
                destination: destination(group.site), message: message, body: body,
                recipients: group.indices.map { index in
                    JobRecipient(lease: request.lease(of: index), recipient: request.remote[index], attempts: 0)
                })
        }
    }

    /// The jobs of rows that the store leased, those of one message next to each other.
    package static func make(_ rows: [LeasedRecipient], site: [UInt8]) -> [DeliveryJob] {
        var jobs: [DeliveryJob] = []
        var from = 0
        while from < rows.count {
            var to = from + 1
            while to < rows.count, rows[to].message.id == rows[from].message.id { to += 1 }
            let rowsOfOne = rows[from..<to]
            for group in groups(rowsOfOne.map(\.recipient)) {
                jobs.append(
                    DeliveryJob(
                        destination: destination(site), message: rows[from].message, body: nil,
                        recipients: group.indices.map { index in
                            let row = rows[from + index]
                            return JobRecipient(
                                lease: row.lease, recipient: row.recipient, attempts: row.attempts,
                                isWarned: row.isWarned)
                        }))
            }
            from = to
        }
        return jobs
    }

    /// The site as it is looked up: A-labels. One that is no name stays as it is, for the plan to refuse.
    private static func destination(_ site: [UInt8]) -> [UInt8] {
        ByteScan.containsNonASCII(site.span) ? IDNA.toASCII(site) ?? site : site
    }

    private struct Group {
        let site: [UInt8]
        let sender: [UInt8]?
        let prefix: [UInt8]
        var indices: [Int]
    }

    private struct Key: Hashable {
        let site: [UInt8]
        let sender: [UInt8]?
        let prefix: [UInt8]
    }

    private static func groups(_ remote: [RemoteRecipient]) -> [Group] {
        if remote.count == 1 {
            let only = remote[0]
            return [Group(site: only.site, sender: only.sender, prefix: only.prefix, indices: [0])]
        }
        var out: [Group] = []
        var open: [Key: Int] = [:]
        for (index, recipient) in remote.enumerated() {
            let key = Key(site: recipient.site, sender: recipient.sender, prefix: recipient.prefix)
            if let at = open[key], out[at].indices.count < DeliveryJob.recipientsMax {
                out[at].indices.append(index)
            } else {
                open[key] = out.count
                out.append(Group(site: key.site, sender: key.sender, prefix: key.prefix, indices: [index]))
            }
        }
        return out
    }
}
