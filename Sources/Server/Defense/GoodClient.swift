package import Policy
package import Protocols

/// A client's good name, as it is kept over restarts. Names no network: networks are not good or bad.
package struct GoodClient: Sendable, Hashable {
    let key: ClientKey
    /// nil: it lost it.
    package let name: ClientRecord.GoodName?

    init(key: ClientKey, name: ClientRecord.GoodName?) {
        self.key = key
        self.name = name
    }

    package init(_ address: IPAddress, _ name: ClientRecord.GoodName?) {
        self.init(key: ClientKey(address), name: name)
    }
}
