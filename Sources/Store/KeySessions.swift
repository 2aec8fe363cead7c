package import Base
package import Policy

package protocol KeyReader: AnyObject {
    /// Of one domain, or of all; by domain, then in the order they were made.
    func dkimKeys(of domain: [UInt8]?) throws(StoreError) -> [DKIMKey]
}

/// Changes signing keys. Every change raises the directory's version, for the snapshot carries the active keys.
package protocol KeyStore: KeyReader {
    /// A new key is published, not active. `notFound` when the domain is not ours, `conflict` when it has the selector.
    func addKey(_ key: NewDKIMKey) throws(StoreError) -> SigningKeyID
    /// Mail is signed with it from now on, and no more with the domain's other active keys of the same algorithm; their
    /// selectors. A key that is active stays as it is. A retired one may come back.
    func activateKey(_ domain: [UInt8], selector: [UInt8], at now: WallTime) throws(StoreError) -> [[UInt8]]
    /// Nothing is signed with it from now on. A key that is retired stays as it is.
    func retireKey(_ domain: [UInt8], selector: [UInt8], at now: WallTime) throws(StoreError)
    /// Forgets a key with its private half; `conflict` unless it is retired.
    func removeKey(_ domain: [UInt8], selector: [UInt8]) throws(StoreError)
    /// The active keys of every domain.
    func signingKeys() throws(StoreError) -> [SigningKey]
}
