import Base
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
}
