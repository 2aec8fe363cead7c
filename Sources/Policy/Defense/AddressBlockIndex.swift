package import Protocols

/// Many blocks, asked about on every connection: one look-up for each length of prefix there is. Pure; bounded by the
/// list it is made from.
package struct AddressBlockIndex: Sendable, Hashable {
    private let blocks: Set<AddressBlock>
    private let prefixes4: [Int]
    private let prefixes6: [Int]

    package init(_ list: [AddressBlock] = []) {
        blocks = Set(list)
        prefixes4 = Set(list.lazy.filter { $0.address.isIPv4 }.map(\.prefix)).sorted()
        prefixes6 = Set(list.lazy.filter { !$0.address.isIPv4 }.map(\.prefix)).sorted()
    }

    package var isEmpty: Bool { blocks.isEmpty }

    package func contains(_ address: IPAddress) -> Bool {
        if blocks.isEmpty { return false }
        return (address.isIPv4 ? prefixes4 : prefixes6).contains {
            blocks.contains(AddressBlock(address, prefix: $0))
        }
    }
}
