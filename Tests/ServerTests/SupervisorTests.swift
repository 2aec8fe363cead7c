import Base
import Foundation
import Reactor
import Testing

@testable import Server

/// When the server is started again, and what it is told.
@Suite struct SupervisorTests {
    private static func at(_ seconds: Double) -> Instant { Instant(nanoseconds: 0).advanced(bySeconds: 100 + seconds) }

    @Test func itIsStartedAgainAtOnce() {
        var pacing = RestartPacing()
        for n in 0..<4 { #expect(pacing.died(Self.at(Double(n))) == 0) }
    }

    @Test func fiveDeathsInTenSecondsMakeAPause() {
        var pacing = RestartPacing()
        for n in 0..<4 { #expect(pacing.died(Self.at(Double(n) * 2)) == 0) }
        #expect(pacing.died(Self.at(9.9)) == RestartPacing.pauseSeconds)
        #expect(pacing.died(Self.at(15)) == 0, "the pause is over")
    }

    @Test func slowDeathsMakeNone() {
        var pacing = RestartPacing()
        for n in 0..<50 { #expect(pacing.died(Self.at(Double(n) * 2.6)) == 0) }
    }

    @Test func theEnvironmentNamesSocketsOnce() {
        let inherited = [
            "PATH=/bin", "LISTEN_FDS=7", "LISTEN_PID=1", "LISTEN_FDNAMES=a:b", "MARTLET_LISTEN_FDS=9",
            "MARTLET_SUPERVISOR=1", "LISTEN_FDS_MORE=1",
        ]
        let made = Supervisor.environment(inherited, sockets: 2)
        #expect(made.filter { $0.hasPrefix("LISTEN_FDS=") } == ["LISTEN_FDS=2"])
        #expect(made.filter { $0.hasPrefix("MARTLET_LISTEN_FDS=") } == ["MARTLET_LISTEN_FDS=2"])
        #expect(!made.contains { $0.hasPrefix("LISTEN_PID=") || $0.hasPrefix("LISTEN_FDNAMES=") })
        #expect(made.contains("PATH=/bin") && made.contains("LISTEN_FDS_MORE=1"))
        #expect(made.filter { $0.hasPrefix("MARTLET_SUPERVISOR=") }.count == 1)
        #expect(made.contains("SWIFT_BACKTRACE=enable=no"))
        let wanted = Supervisor.environment(["SWIFT_BACKTRACE=enable=yes"], sockets: 1)
        #expect(wanted.filter { $0.hasPrefix("SWIFT_BACKTRACE=") } == ["SWIFT_BACKTRACE=enable=yes"])
    }

    // MARK: What ends it

    @Test func aServerThatNeverRanEndsIt() {
        var pacing = RestartPacing()
        for status: Int32 in [0, 1, 69, 75, 78] { #expect(pacing.pause(after: .exited(status), Self.at(0)) == nil) }
        #expect(pacing.pause(after: .notStarted(error: 11), Self.at(0)) == nil)
    }

    @Test func whatPassesDoesNotEndItLater() {
        var pacing = RestartPacing()
        #expect(pacing.pause(after: .died(signal: 4), Self.at(0)) == 0)
        for n in 0..<20 {
            #expect(pacing.pause(after: .notStarted(error: 11), Self.at(Double(n))) == RestartPacing.pauseSeconds)
            #expect(pacing.pause(after: .exited(75), Self.at(Double(n))) == RestartPacing.pauseSeconds)
            #expect(pacing.pause(after: .exited(69), Self.at(Double(n))) == RestartPacing.pauseSeconds)
        }
        for status: Int32 in [0, 1, 78] { #expect(pacing.pause(after: .exited(status), Self.at(1)) == nil) }
    }

    @Test func aStopThatComesTwiceAtOnceIsOne() {
        let stop = StopRequest(Self.at(0))
        #expect(!stop.isInsistedOn(by: SIGTERM, Self.at(0)) && !stop.isInsistedOn(by: SIGINT, Self.at(1.9)))
        #expect(stop.isInsistedOn(by: SIGTERM, Self.at(2)) && stop.isInsistedOn(by: SIGINT, Self.at(20)))
        #expect(!stop.isInsistedOn(by: SIGHUP, Self.at(20)), "a reload is no stop")
    }

    // MARK: Sockets

    private static func address(_ ip: String, _ port: UInt16) -> SocketAddress {
        SocketAddress(ip: ip, port: port) ?? SocketAddress()
    }

    @Test func socketsGoToTheirAddress() throws {
        let wanted = [
            Self.address("127.0.0.1", 25), Self.address("0.0.0.0", 587), Self.address("::", 587),
            Self.address("127.0.0.1", 465),
        ]
        let given: [(fd: Int32, address: SocketAddress)] = [
            (3, Self.address("::", 587)), (4, Self.address("127.0.0.1", 25)), (5, Self.address("0.0.0.0", 587)),
        ]
        #expect(try ServiceManager.match(wanted, given) == [4, 5, 3, nil])
        #expect(try ServiceManager.match(wanted, []) == [nil, nil, nil, nil])
    }

    /// A service manager binds what it was told, perhaps in other words than the configuration's.
    @Test func aSocketThatNobodyNamesGoesToItsPortThenToWhoIsLeft() throws {
        let wanted = [Self.address("0.0.0.0", 25), Self.address("0.0.0.0", 587), Self.address("127.0.0.1", 465)]
        let given = [
            (fd: Int32(3), address: Self.address("::", 587)), (fd: Int32(4), address: Self.address("::", 2525)),
        ]
        #expect(try ServiceManager.match(wanted, given, byPosition: true) == [4, 3, nil])
        #expect(throws: StartupError.self) { try ServiceManager.match(wanted, given) }
    }

    @Test func anyPortTakesWhatIsLeft() throws {
        let wanted = [Self.address("127.0.0.1", 0), Self.address("127.0.0.1", 40_001), Self.address("127.0.0.1", 0)]
        let given: [(fd: Int32, address: SocketAddress)] = [
            (3, Self.address("127.0.0.1", 40_001)), (4, Self.address("127.0.0.1", 40_000)),
            (5, Self.address("127.0.0.1", 40_002)),
        ]
        #expect(try ServiceManager.match(wanted, given) == [4, 3, 5])
    }

    @Test(arguments: [("127.0.0.1", UInt16(26)), ("127.0.0.2", 25), ("::1", 25), ("0.0.0.0", 25), ("::", 25)])
    func strangeSocketsAreRefused(_ ip: String, _ port: UInt16) {
        let wanted = [Self.address("127.0.0.1", 25)]
        let error = #expect(throws: StartupError.self) {
            try ServiceManager.match(wanted, [(3, Self.address(ip, port))])
        }
        #expect(error?.exitCode == 78)
        #expect(throws: StartupError.self) {
            try ServiceManager.match(wanted, [(3, wanted[0]), (4, wanted[0])])
        }
    }

    @Test func aSocketTellsItsAddress() throws {
        let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(fd) }
        #expect(ServiceManager.listeningAddress(fd) == nil, "it does not listen")
        #expect(listen(fd, 1) == 0)
        let found = try #require(ServiceManager.listeningAddress(fd))
        #expect(found.ipText == "0.0.0.0" && found.port != 0)
        let six = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(six) }
        if six >= 0, listen(six, 1) == 0 { #expect(ServiceManager.listeningAddress(six)?.ipText == "::") }
        let file = open("/dev/null", O_RDONLY)
        defer { close(file) }
        #expect(ServiceManager.listeningAddress(file) == nil)
    }
}
