import Base
import CEpoll

/// What the kernel says of this process: descriptors and memory. Confined to the pressure thread; needs no new descriptor
/// to look, because it must see that there is none left.
final class ProcessGauges {
    /// Counting a folder's entries costs more than asking for its size.
    private static let listingNanoseconds: UInt64 = 500_000_000

    private let statm: Int32
    private let listing: OpaquePointer?
    private var nextListing: UInt64 = 0
    private(set) var descriptors = 0
    private(set) var residentOctets = 0
    /// Without what belongs to files and can be read again from there: what cannot be had back by the kernel alone.
    private(set) var ownOctets = 0

    init() {
        statm = mt_open("/proc/self/statm", O_RDONLY, 0)
        listing = opendir("/proc/self/fd")
    }

    deinit {
        if statm >= 0 { _ = mt_close(statm) }
        if let listing { closedir(listing) }
    }

    /// Looks again; what cannot be read stays as it was.
    func refresh(at now: UInt64) {
        let mayList = now >= nextListing
        if mayList { nextListing = now &+ Self.listingNanoseconds }
        let count = mt_descriptor_count(mayList ? listing : nil)
        if count > 0 { descriptors = Int(count) }
        var text = [UInt8](repeating: 0, count: 128)
        let length = text.withUnsafeMutableBytes { mt_pread(statm, $0.baseAddress, $0.count, 0) }
        guard length > 0 else { return }
        // proc(5): size, resident and shared, in pages.
        let fields = text.prefix(Int(length)).split(separator: ASCII.space).prefix(3)
            .map { Int(Decimal.parse(Array($0).span) ?? 0) }
        guard fields.count == 3 else { return }
        residentOctets = fields[1] * MemoryLimit.pageSize
        ownOctets = max(0, fields[1] - fields[2]) * MemoryLimit.pageSize
    }

    /// 0: no limit.
    var descriptorsMax: Int {
        let limit = mt_descriptor_limit()
        return limit > 0 && limit < 1 << 40 ? Int(limit) : 0
    }
}
