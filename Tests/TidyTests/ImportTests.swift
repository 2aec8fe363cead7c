import Foundation
import Testing

/// The direction of imports: lower layers never see higher ones, and only Server names back-ends.
@Suite struct ImportTests {
    private static let allowed: [String: Set<String>] = [
        "Base": [],
        "Protocols": ["Base"],
        // Synchronization: the counters a snapshot shares with its successors.
        "Policy": ["Base", "Protocols", "Synchronization"],
        "MailAuth": ["Base", "Protocols", "Crypto"],
        "Crypto": ["Base", "CEpoll", "COpenSSL", "CCrypt", "CIDN2"],
        "Handoff": ["Base", "CEpoll", "Synchronization"],
        "Telemetry": ["Base", "Handoff", "CEpoll", "Synchronization"],
        "Reactor": ["Base", "CEpoll", "COpenSSL", "Handoff", "Telemetry", "Synchronization"],
        "Store": ["Base", "Protocols", "Policy", "Handoff", "Synchronization"],
        "StoreSQLite": [
            "Base", "Store", "Policy", "Protocols", "CSQLite", "CSQLiteVFS", "CEpoll", "Handoff", "Telemetry",
            "Synchronization", "Glibc",
        ],
        "ResolverUnbound": [
            "Base", "Protocols", "Handoff", "Telemetry", "CEpoll", "CUnbound", "Synchronization",
        ],
        "Ledger": ["Base", "Protocols", "Policy", "MailAuth", "Handoff", "CEpoll", "Synchronization"],
        "Fetch": ["Base", "Protocols", "Handoff", "CCurl", "Synchronization"],
        "Delivery": [
            "Base", "Protocols", "Policy", "MailAuth", "Crypto", "Store", "Reactor", "Handoff", "Telemetry", "CEpoll",
            "Fetch", "Synchronization",
        ],
        "Server": [
            "Base", "Protocols", "Policy", "MailAuth", "Crypto", "Handoff", "Telemetry", "Reactor", "Store",
            "StoreSQLite", "ResolverUnbound", "CEpoll", "Synchronization", "Ledger", "Delivery", "Fetch",
        ],
        "martlet": [
            "Synchronization",
            "Server", "Base", "Protocols", "Policy", "MailAuth", "Crypto", "Store", "Handoff", "Telemetry",
            "ResolverUnbound", "Ledger", "Delivery", "Fetch", "CEpoll", "ArgumentParser", "Foundation",
        ],
    ]

    @Test func eachTargetImportsOnlyWhatItMay() {
        let files = Repository.files(below: "Sources", suffix: ".swift")
        #expect(files.count > 50)
        for file in files {
            let target = Repository.target(of: file.path)
            guard let allowed = Self.allowed[target] else {
                Issue.record("\(target) has no row in the import table")
                continue
            }
            for line in file.lines {
                let words = line.split(separator: " ")
                guard let at = words.firstIndex(of: "import"), at <= 1, let name = words.last, line.first != " " else {
                    continue
                }
                let module = String(name.prefix { $0 != "." })
                #expect(allowed.contains(module), "\(file.path) imports \(module)")
            }
        }
    }
}
