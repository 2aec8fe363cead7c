import ArgumentParser

/// Message sizes with their weights: `4k`, or `1k:50,16k:40,1m:10`.
struct SizeMix: ExpressibleByArgument, Sendable {
    let sizes: [(bytes: Int, weight: Int)]
    private let total: Int

    init?(argument: String) {
        var sizes: [(Int, Int)] = []
        for part in argument.split(separator: ",") {
            let pair = part.split(separator: ":")
            guard let first = pair.first, let bytes = ByteCount(argument: String(first))?.bytes else { return nil }
            guard let weight = pair.count == 2 ? Int(pair[1]) : 1, weight > 0, pair.count <= 2 else { return nil }
            sizes.append((bytes, weight))
        }
        guard !sizes.isEmpty else { return nil }
        self.sizes = sizes
        total = sizes.reduce(0) { $0 + $1.1 }
    }

    var largest: Int { sizes.map(\.bytes).max() ?? 0 }

    func pick(_ random: inout Seeded) -> Int {
        guard sizes.count > 1 else { return sizes[0].bytes }
        var point = random.below(total)
        for (bytes, weight) in sizes {
            if point < weight { return bytes }
            point -= weight
        }
        return sizes[0].bytes
    }
}

/// Bytes: `4096`, `4k`, `1m`.
struct ByteCount: ExpressibleByArgument, Sendable {
    let bytes: Int

    init?(argument: String) {
        var digits = argument.lowercased()[...]
        var unit = 1
        if digits.hasSuffix("k") { unit = 1 << 10 }
        if digits.hasSuffix("m") { unit = 1 << 20 }
        if unit > 1 { digits = digits.dropLast() }
        guard let value = Int(digits), value >= 0, value <= 1 << 20 else { return nil }
        bytes = value * unit
    }
}
