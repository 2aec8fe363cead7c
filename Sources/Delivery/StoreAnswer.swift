import Store

/// The store's answer to something the scheduler asked. Made and read in this target only.
package struct StoreAnswer: Sendable {
    let kind: Kind

    enum Kind: Sendable {
        case settled(Result<Int, StoreError>)
    }
}
