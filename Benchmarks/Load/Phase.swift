import Histogram

/// What is timed of a message and its connection.
enum Phase: Int, CaseIterable, Sendable {
    case connect, greeting, tls, hello, mail, rcpt, data, dot, transaction, total, held

    var name: String {
        switch self {
        case .connect: "connect"
        case .greeting: "greeting"
        case .tls: "tls"
        case .hello: "ehlo"
        case .mail: "mail"
        case .rcpt: "rcpt"
        case .data: "data_354"
        case .dot: "dot_250"
        case .transaction: "transaction"
        case .total: "from_intended"
        case .held: "held"
        }
    }
    var meaning: String {
        switch self {
        case .connect: "connect() to connected"
        case .greeting: "connected to 220"
        case .tls: "ClientHello to secured"
        case .hello: "EHLO to its reply"
        case .mail: "MAIL to its reply"
        case .rcpt: "last reply before to last RCPT reply"
        case .data: "last RCPT reply to go-ahead"
        case .dot: "body written to final reply"
        case .transaction: "MAIL to final reply"
        case .total: "intended start to final reply"
        case .held: "idle or slow connection until the server ended it"
        }
    }
}

/// Nanosecond histograms of all phases; one per worker, added up at the end.
struct Latencies: Sendable {
    private(set) var histograms: [Histogram<UInt32>]

    init() {
        // 1 us to an hour in three digits.
        histograms = Phase.allCases.map { _ in
            Histogram<UInt32>(
                lowestDiscernibleValue: 1_000, highestTrackableValue: 3_600_000_000_000,
                numberOfSignificantValueDigits: .three)
        }
    }

    mutating func record(_ phase: Phase, _ start: UInt64, _ end: UInt64) {
        histograms[phase.rawValue].record(end > start ? end - start : 0)
    }

    mutating func add(_ other: Latencies) {
        for i in histograms.indices { histograms[i].add(other.histograms[i]) }
    }

    subscript(_ phase: Phase) -> Histogram<UInt32> { histograms[phase.rawValue] }
}
