package import Protocols

/// The three fields of one instance, with their places in the header.
package struct ARCSet: Sendable {
    package let instance: Int
    package let resultsPlace: Int
    package let messagePlace: Int
    package let message: DKIMSignature
    package let sealPlace: Int
    package let seal: ARCSeal
}

/// Why a chain is not valid, or that it is.
package enum ARCReason: Sendable, Hashable {
    case verified
    case noChain
    /// More than 50 sets.
    case tooManySets
    /// A set lacks a field, has one twice, or instances have gaps; or a field tells no instance.
    case structure
    case messageSyntax(SignatureSyntaxError, instance: Int)
    case sealSyntax(SignatureSyntaxError, instance: Int)
    /// The newest seal itself says that the chain failed.
    case markedFailed
    /// `cv=` is not what its instance must have.
    case chainValue(instance: Int)
    case message(SignatureReason, instance: Int)
    case seal(SignatureReason, instance: Int)

    package var text: String {
        switch self {
        case .verified: "verified"
        case .noChain: "no chain"
        case .tooManySets: "too many sets"
        case .structure: "sets are incomplete or not in sequence"
        case .messageSyntax(let error, let i): "ARC-Message-Signature i=\(i): \(error.text)"
        case .sealSyntax(let error, let i): "ARC-Seal i=\(i): \(error.text)"
        case .markedFailed: "marked as failed by its last sealer"
        case .chainValue(let i): "ARC-Seal i=\(i): wrong cv="
        case .message(let reason, let i): "ARC-Message-Signature i=\(i): \(reason.text)"
        case .seal(let reason, let i): "ARC-Seal i=\(i): \(reason.text)"
        }
    }
}

/// The chain of a message, parsed as soon as the header is complete: says what to hash of the body and what to ask DNS.
package struct ARCFields: Sendable {
    package let header: HeaderIndex
    /// Oldest first; empty unless the structure is sound.
    package let sets: [ARCSet]
    /// What is wrong with the structure, `.noChain` when there is none, nil when sets can be verified.
    package let problem: ARCReason?
    /// The highest instance that any ARC field tells; 0 without one.
    package let highestInstance: Int

    private static let names = ["arc-authentication-results", "arc-message-signature", "arc-seal"]
        .map { Array($0.utf8) }

    package init(_ header: HeaderIndex) {
        self.header = header
        let places = Self.names.map { header.places(of: $0) }
        guard places.contains(where: { !$0.isEmpty }) else {
            // Most mail: nothing to take apart.
            (sets, problem, highestInstance) = ([], .noChain, 0)
            return
        }
        var slots = [[Int]](repeating: [-1, -1, -1], count: ARCInstance.maximum + 1)
        var highest = 0
        var problem: ARCReason?
        if places.contains(where: { $0.count > ARCInstance.maximum }) { problem = .tooManySets }
        for kind in 0..<3 where problem != .tooManySets {
            for place in places[kind] {
                let value = header.value(of: place)
                let i = kind == 0 ? ARCInstance.ofResults(value) : ARCInstance.ofTagList(value)
                // RFC 8617 §5.2 step 3: exactly one of each in each set, instances from 1 without gaps.
                guard let i, slots[i][kind] < 0 else {
                    problem = .structure
                    continue
                }
                slots[i][kind] = place
                highest = max(highest, i)
            }
        }
        highestInstance = highest
        var sets: [ARCSet] = []
        if problem == nil {
            do throws(Broken) {
                for i in 1..<(highest + 1) { sets.append(try Self.set(i, slots[i], header)) }
                try Self.checkValues(sets)
            } catch { problem = error.reason }
        }
        self.sets = problem == nil ? sets : []
        self.problem = problem
    }

    private struct Broken: Error { let reason: ARCReason }

    private static func set(_ i: Int, _ slot: [Int], _ header: HeaderIndex) throws(Broken) -> ARCSet {
        guard !slot.contains(-1) else { throw Broken(reason: .structure) }
        let message: DKIMSignature
        let seal: ARCSeal
        do throws(SignatureSyntaxError) {
            message = try DKIMSignature(header.value(of: slot[1]), form: .arc)
        } catch { throw Broken(reason: .messageSyntax(error, instance: i)) }
        do throws(SignatureSyntaxError) {
            seal = try ARCSeal(header.value(of: slot[2]))
        } catch { throw Broken(reason: .sealSyntax(error, instance: i)) }
        return ARCSet(
            instance: i, resultsPlace: slot[0], messagePlace: slot[1], message: message, sealPlace: slot[2], seal: seal)
    }

    private static func checkValues(_ sets: [ARCSet]) throws(Broken) {
        // RFC 8617 §5.2 step 2
        if sets.last?.seal.chain == .fail { throw Broken(reason: .markedFailed) }
        for set in sets where set.seal.chain != (set.instance == 1 ? .absent : .pass) {
            throw Broken(reason: .chainValue(instance: set.instance))
        }
    }

    package var bodyKeys: [BodyHashKey] { sets.reversed().map(\.message.bodyKey) }

    /// The keys of all seals and of the newest message signature.
    package var questions: [DNSQuestion] {
        var out: [DNSQuestion] = []
        for name in sets.reversed().map(\.seal.keyName) + (sets.last.map { [$0.message.keyName] } ?? []) {
            let question = DNSQuestion(name, .txt)
            if !out.contains(question) { out.append(question) }
        }
        return out
    }
}
