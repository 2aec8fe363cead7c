import Base
import Store

/// The store's answer to something the scheduler asked. Made and read in this target only.
package struct StoreAnswer: Sendable {
    let kind: Kind

    enum Kind: Sendable {
        case started(Result<StartPicture, StoreError>)
        case leased([DestinationTable<DeliveryJob>.LeaseWish], Result<[LeasedBatch], StoreError>, askedAt: Instant)
        case prepared([Settlement], Result<[Result<[PreparedNotice], StoreError>], StoreError>)
        case settled([Settlement], Result<SettleResult, StoreError>, askedAt: Instant)
        case extended([QueueRowID], isDone: Bool)
        case released(sites: [[UInt8]], isDone: Bool)
        case orphans(Result<[OwnedLease], StoreError>)
        case aged(site: [UInt8], [LeasedRecipient], isAll: Bool)
        case tlsResults([TLSResultRow], isDone: Bool)
    }
}

/// What the store has when the scheduler starts, or after it lost a hint.
struct StartPicture: Sendable {
    var sites: [QueueSiteCounts]
    var holds: [QueueHold]
    var takenBack: Int
    var isFirst: Bool
    var askedAt: Instant
}

struct PreparedNotice: Sendable {
    let kind: DeliveryNotice.Kind
    /// nil: nobody is told.
    let request: AcceptRequest?
}

/// By settlement.
struct SettleResult: Sendable {
    var fenced: [Int] = []
    /// Notices accepted, and not.
    var noticed: [(kind: DeliveryNotice.Kind, isAccepted: Bool)] = []
    /// Where the notices go that leave this server.
    var sites: [[UInt8]] = []
}
