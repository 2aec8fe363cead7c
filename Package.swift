// swift-tools-version: 6.2
import PackageDescription

let house: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
    // Small functions of Base and Protocols are called across modules on every command.
    .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release)),
]
/// No unsafe construct without the word `unsafe`.
let pure = house + [.strictMemorySafety()]
/// The one target that vends spans from its own storage.
let bytes = house + [.enableExperimentalFeature("Lifetimes")]

func lib(_ name: String, _ dependencies: [Target.Dependency], _ settings: [SwiftSetting]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}
func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name + "Tests", dependencies: ["TestKit"] + dependencies, swiftSettings: house)
}

let package = Package(
    name: "martlet",
    products: [
        .executable(name: "martlet", targets: ["martlet"]),
        .executable(name: "martlet-bench", targets: ["martlet-bench"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", exact: "0.2.0"),
    ],
    targets: [
        .target(name: "CEpoll"),
        .target(name: "COpenSSL", linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),
        .systemLibrary(name: "CSQLite"),
        .target(name: "CSQLiteVFS", linkerSettings: [.linkedLibrary("sqlite3")]),
        .systemLibrary(name: "CIDN2"),
        .systemLibrary(name: "CCrypt"),
        .systemLibrary(name: "CUnbound"),
        .systemLibrary(name: "CCurl"),
        lib("Base", ["CEpoll"], bytes),
        lib("Protocols", ["Base"], pure),
        lib("Crypto", ["Base", "CEpoll", "COpenSSL", "CCrypt", "CIDN2"], house),
        lib("Handoff", ["Base", "CEpoll"], house),
        lib("Policy", ["Base", "Protocols"], pure),
        lib("MailAuth", ["Base", "Protocols", "Crypto"], pure),
        lib("Telemetry", ["Base", "Handoff", "CEpoll"], house),
        lib("Reactor", ["Base", "CEpoll", "COpenSSL", "Handoff", "Telemetry"], house),
        lib("Store", ["Base", "Protocols", "Policy", "Handoff"], house),
        lib(
            "StoreSQLite",
            ["Base", "Store", "Policy", "Protocols", "CSQLite", "CSQLiteVFS", "CEpoll", "Handoff", "Telemetry"],
            house),
        lib("ResolverUnbound", ["Base", "Protocols", "Handoff", "Telemetry", "CEpoll", "CUnbound"], house),
        lib("Ledger", ["Base", "Protocols", "Policy", "MailAuth", "Handoff", "CEpoll"], house),
        lib("Fetch", ["Base", "Protocols", "Handoff", "CCurl"], house),
        lib(
            "Delivery",
            [
                "Base", "Protocols", "Policy", "MailAuth", "Crypto", "Store", "Reactor", "Handoff", "Telemetry",
                "CEpoll",
                "Fetch",
            ], house),
        lib(
            "Server",
            [
                "Base", "Protocols", "Policy", "MailAuth", "Crypto", "Handoff", "Telemetry", "Reactor", "Store",
                "StoreSQLite", "ResolverUnbound", "CEpoll", "Ledger", "Delivery", "Fetch",
            ], house),
        .executableTarget(
            name: "martlet",
            dependencies: [
                "Server", "Base", "Protocols", "Policy", "MailAuth", "Crypto", "Store", "Handoff", "ResolverUnbound",
                "Ledger", "Delivery", "Fetch",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: house),
        .target(
            name: "TestKit",
            dependencies: ["Base", "CEpoll", "Protocols", "Policy", "Store", "Reactor", "Handoff"],
            path: "Tests/TestKit", swiftSettings: house),
        .executableTarget(
            name: "martlet-bench",
            dependencies: [
                "Base", "CEpoll", "Protocols", "Reactor", "Handoff", "Telemetry", "Crypto",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Histogram", package: "hdrhistogram-swift"),
            ],
            path: "Benchmarks", swiftSettings: house),
        tests("Base", ["Base"]),
        tests("Protocols", ["Base", "Protocols"]),
        tests("Crypto", ["Base", "Crypto"]),
        tests("Policy", ["Base", "Protocols", "Policy"]),
        tests("MailAuth", ["Base", "Protocols", "Crypto", "MailAuth"]),
        tests("ResolverUnbound", ["Base", "Protocols", "Handoff", "MailAuth", "ResolverUnbound", "CEpoll"]),
        tests("Handoff", ["Base", "Handoff", "CEpoll"]),
        tests("Reactor", ["Base", "Reactor", "Handoff", "CEpoll", "COpenSSL"]),
        .target(name: "CFaultVFS", dependencies: ["CSQLite"], path: "Tests/CFaultVFS"),
        tests("Store", ["Base", "Store", "StoreSQLite", "Policy", "Protocols", "Handoff", "CFaultVFS"]),
        tests(
            "Server",
            [
                "Base", "Server", "Crypto", "Telemetry", "Protocols", "Policy", "Store", "StoreSQLite", "Reactor",
                "Handoff",
                "CEpoll", "Ledger",
            ]),
        tests("Ledger", ["Base", "Protocols", "Policy", "MailAuth", "Handoff", "Ledger"]),
        tests(
            "Delivery",
            [
                "Base", "Protocols", "Policy", "MailAuth", "Crypto", "Store", "StoreSQLite", "Reactor", "Handoff",
                "Delivery", "Fetch",
            ]),
        tests("Tidy", ["Server", "Telemetry"]),
    ])
