import CEpoll
import Foundation
import Protocols
import Reactor
import Testing

@testable import Server

@Suite struct LMTPListenerTests {
    private static func listeners(_ objects: String...) -> String {
        "smtp.listeners=[" + objects.joined(separator: ",") + "]"
    }

    @Test func endpoints() {
        #expect(ListenEndpoint("127.0.0.1:24") == .inet(ListenAddress(host: "127.0.0.1", port: 24)))
        #expect(ListenEndpoint("unix:/run/lmtp") == .unix(path: "/run/lmtp"))
        #expect(ListenEndpoint("unix:/run/lmtp")?.description == "unix:/run/lmtp")
        for bad in [
            "unix:", "unix:/", "unix:run/lmtp", "/run/lmtp", "127.0.0.1", "unix:/" + String(repeating: "x", count: 107),
        ] {
            #expect(ListenEndpoint(bad) == nil, "\(bad)")
        }
    }

    @Test func aUnixListenerIsRead() throws {
        let loaded = try ConfigLoadTests.load(
            nil, sets: [Self.listeners(#"{"address":"unix:/run/lmtp","kind":"lmtp","mode":"0666"}"#)])
        let listener = try #require(loaded.configuration.smtp.listeners.first)
        #expect(listener.address == .unix(path: "/run/lmtp") && listener.mode == .everybody && listener.tls == .off)
        let shown = String(decoding: ConfigRendering.showJSON(loaded, changedOnly: true), as: UTF8.self)
        #expect(try ConfigLoadTests.load(shown).configuration == loaded.configuration)
    }

    /// Who may connect to LMTP is trusted, so nobody may who was not meant.
    @Test(arguments: [
        (#"{"address":"unix:/run/lmtp","kind":"mx"}"#, "only kind lmtp"),
        (#"{"address":"127.0.0.1:25","kind":"lmtp"}"#, "port 25"),
        (#"{"address":"0.0.0.0:24","kind":"lmtp"}"#, "smtp.lmtp_networks"),
        (#"{"address":"[::1]:24","kind":"lmtp","proxy_protocol":true}"#, "proxy_protocol"),
    ])
    func listenersThatMustNotBe(_ listener: String, _ word: String) {
        let problems = ConfigLoadTests.problems(
            nil, sets: [Self.listeners(listener), "smtp.proxy_networks=192.0.2.1"])
        #expect(problems.contains { $0.message.contains(word) }, "\(problems)")
    }

    @Test func frontEnds() throws {
        let loaded = try ConfigLoadTests.load(
            nil,
            sets: [Self.listeners(#"{"address":"0.0.0.0:24","kind":"lmtp"}"#), "smtp.lmtp_networks=192.0.2.0/28"])
        let settings = DefenseSettings(loaded.configuration)
        #expect(settings.isFrontEnd(nil), "the mode of the socket let it in")
        for (address, isOurs) in [
            ("127.0.0.1", true), ("127.1.2.3", true), ("::1", true), ("192.0.2.3", true), ("192.0.2.16", false),
            ("10.0.0.1", false), ("2001:db8::1", false),
        ] {
            #expect(settings.isFrontEnd(IPAddress(address)) == isOurs, "\(address)")
        }
    }

    @Test func aSocketHasItsModeAndTakesNobodysPlace() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "lmtp-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "s").path
        let fd = try UnixListener.open(path, .group)
        #expect(ServiceManager.listeningPath(fd) == path)
        #expect(ServiceManager.listeningAddress(fd) == nil)
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o660)
        // Its server lives: nobody takes its place.
        #expect(throws: StartupError.self) { try UnixListener.open(path, .owner) }
        #expect(mt_unix_answers(path) == 1)
        close(fd)
        // Its server is gone: the next one takes over.
        #expect(mt_unix_answers(path) == 0)
        let next = try UnixListener.open(path, .owner)
        close(next)
        let file = folder.appending(path: "file").path
        #expect(FileManager.default.createFile(atPath: file, contents: Data("kept".utf8)))
        #expect(throws: StartupError.self) { try UnixListener.open(file, .owner) }
        #expect(FileManager.default.contents(atPath: file) == Data("kept".utf8))
    }

    /// The loops share what has a path; what has a port each opens for itself.
    @Test func onlyUnixSocketsAreOpenedForAll() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "l-\(UUID().uuidString)").path
        defer { unlink(path) }
        let listeners = [
            Configuration.Listener(address: ListenAddress(host: "127.0.0.1", port: 0), kind: .mx),
            Configuration.Listener(endpoint: .unix(path: path), kind: .lmtp),
            Configuration.Listener(endpoint: .unix(path: "/nowhere/s"), kind: .lmtp),
        ]
        let opened = try UnixListener.open(listeners, inherited: [nil, nil, 77])
        #expect(opened[0] == nil && opened[2] == 77)
        let fd = try #require(opened[1])
        #expect(ServiceManager.listeningPath(fd) == path)
        close(fd)
    }
}
