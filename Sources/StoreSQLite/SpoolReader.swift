import CEpoll
import Store

/// Reads extents, keeping a few segments open. Confined to its session's thread.
final class SpoolReader {
    private static let openMax = 8
    private let path: String
    private var open: [(segment: Int64, descriptor: Int32)] = []

    init(path: String) { self.path = path }

    deinit { closeAll() }

    func closeAll() {
        for file in open { _ = mt_close(file.descriptor) }
        open.removeAll()
    }

    private func descriptor(_ segment: Int64) throws(StoreError) -> Int32 {
        if let known = open.first(where: { $0.segment == segment }) { return known.descriptor }
        let descriptor = mt_open(SpoolDirectory.file(segment, in: path), O_RDONLY, 0)
        if descriptor < 0 {
            throw descriptor == -ENOENT
                ? .corrupt("spool segment \(segment) is missing")
                : .corrupt("spool segment \(segment): errno \(-descriptor)")
        }
        if open.count >= Self.openMax { _ = mt_close(open.removeFirst().descriptor) }
        open.append((segment, descriptor))
        return descriptor
    }

    /// `count` octets of the extent from `skip`, appended to `out`.
    func read(_ extent: SpoolExtent, skip: Int, count: Int, into out: inout [UInt8]) throws(StoreError) {
        let file = try descriptor(extent.segment)
        let start = out.count
        out.append(contentsOf: repeatElement(0, count: count))
        var done = 0
        while done < count {
            let n = out.withUnsafeMutableBytes { raw in
                mt_pread(
                    file, raw.baseAddress! + start + done, count - done, extent.offset + Int64(skip + done))
            }
            if n == -Int64(EINTR) { continue }
            guard n > 0 else {
                out.removeLast(count - done)
                throw .corrupt("spool segment \(extent.segment) at \(extent.offset + Int64(skip + done)): \(n)")
            }
            done += Int(n)
        }
    }
}
