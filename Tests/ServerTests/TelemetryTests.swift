import Base
import Foundation
import Handoff
import Telemetry
import Testing

@testable import Server

@Suite struct TelemetryTests {
    private enum Colour: Int, MetricLabel {
        case red, green
        static var label: String { "colour" }
    }

    @Test func everySeriesStartsAtZeroAndCounts() {
        let registry = Registry()
        let paints = registry.counter(
            "martlet_paints_total", "Paints by \"colour\"\nand class.", by: Colour.self, ReplyClass.self)
        #expect(
            String(decoding: registry.exposition(), as: UTF8.self) == """
                # HELP martlet_paints_total Paints by "colour"\\nand class.
                # TYPE martlet_paints_total counter
                martlet_paints_total{colour="red",class="2xx"} 0
                martlet_paints_total{colour="red",class="3xx"} 0
                martlet_paints_total{colour="red",class="4xx"} 0
                martlet_paints_total{colour="red",class="5xx"} 0
                martlet_paints_total{colour="green",class="2xx"} 0
                martlet_paints_total{colour="green",class="3xx"} 0
                martlet_paints_total{colour="green",class="4xx"} 0
                martlet_paints_total{colour="green",class="5xx"} 0

                """)
        paints.add(.green, .transient, 3)
        #expect(paints.value(.green, .transient) == 3)
        #expect(String(decoding: registry.exposition(), as: UTF8.self).contains("{colour=\"green\",class=\"4xx\"} 3\n"))
    }

    @Test func threadsAddUp() {
        let counter = Registry().counter("martlet_things_total", "Things that happened.")
        let gauge = Registry().gauge("martlet_open_things", "Things open now.", by: Colour.self)
        let threads = (0..<4).map { _ in
            LoopThread.spawn("adder") {
                for _ in 0..<10_000 {
                    counter.add()
                    gauge.add(.red, 2)
                    gauge.add(.red, -2)
                }
            }
        }
        for thread in threads { thread.join() }
        #expect(counter.value == 40_000)
        #expect(gauge.value(.red) == 0)
        gauge.add(.green, -3)
        #expect(gauge.value(.green) == -3)
        gauge.set(.green, 7)
        #expect(gauge.value(.green) == 7)
    }

    @Test func histogramBucketsAreCumulativeAndInSeconds() {
        let registry = Registry()
        let times = registry.histogram(
            "martlet_wait_seconds", "Time spent waiting.", unit: .seconds, bounds: [1_000_000, 2_500_000_000])
        times.observe(1_000_000)
        times.observe(1_000_001)
        times.observe(seconds: 3)
        let text = String(decoding: registry.exposition(), as: UTF8.self)
        #expect(text.contains("martlet_wait_seconds_bucket{le=\"0.001\"} 1\n"))
        #expect(text.contains("martlet_wait_seconds_bucket{le=\"2.5\"} 2\n"))
        #expect(text.contains("martlet_wait_seconds_bucket{le=\"+Inf\"} 3\n"))
        #expect(text.contains("martlet_wait_seconds_sum 3.002000001\n"))
        #expect(text.contains("martlet_wait_seconds_count 3\n"))
    }

    @Test func serverFamiliesAreWellFormed() {
        let registry = Registry()
        let metrics = ServerMetrics(registry)
        ServerMetrics.define(registry, version: "1\"2", log: Log(), readings: .init())
        metrics.commands.add(.other, ReplyClass(5))
        let text = String(decoding: registry.exposition(), as: UTF8.self)
        #expect(text.contains("martlet_smtp_commands_total{verb=\"other\",class=\"5xx\"} 1\n"))
        #expect(text.contains("martlet_build_info{version=\"1\\\"2\"} 1\n"))
        let names = registry.families.map(\.name)
        #expect(Set(names).count == names.count)
    }

    private func render(_ format: LogFormat, _ fields: (inout LogLine) -> Void) -> String {
        var line = LogLine(format, .info, "received", microseconds: 1_795_395_723_456_789)
        fields(&line)
        return String(decoding: line.finish(), as: UTF8.self)
    }

    @Test func oneEventTwoRenderings() {
        let fields: (inout LogLine) -> Void = { line in
            line.add("id", "abc" as StaticString)
            line.add("size", -120)
            line.add("tls", true)
            line.add("took", seconds: 0.001234)
        }
        #expect(
            render(.text, fields)
                == "2026-11-23T01:02:03.456Z info received id=abc size=-120 tls=true took=0.001234\n")
        #expect(
            render(.json, fields)
                == #"{"ts":"2026-11-23T01:02:03.456Z","level":"info","event":"received","id":"abc","#
                + #""size":-120,"tls":true,"took":0.001234}"# + "\n")
    }

    @Test(arguments: [
        ([0x61, 0x0D, 0x0A, 0x62] as [UInt8], #"v="a\x0d\x0ab""#, #""v":"a\u000d\u000ab""#),
        ([0x1B, 0x5B, 0x41], #"v="\x1b[A""#, #""v":"\u001b[A""#),
        ([0x22, 0x5C], #"v="\"\\""#, #""v":"\"\\""#),
        ([0xC3, 0xA9], #"v="\xc3\xa9""#, "\"v\":\"\u{E9}\""),
        ([0xFF, 0x41], #"v="\xffA""#, #""v":"\\xffA""#),
        ([], #"v="""#, #""v":"""#),
        (Array("a=b c".utf8), #"v="a=b c""#, #""v":"a=b c""#),
    ])
    func peerBytesAreEscaped(_ value: [UInt8], _ text: String, _ json: String) {
        #expect(render(.text) { $0.add("v", value) }.hasSuffix(" " + text + "\n"))
        let line = render(.json) { $0.add("v", value) }
        #expect(line.hasSuffix("," + json + "}\n"))
        #expect((try? JSONSerialization.jsonObject(with: Data(line.utf8))) != nil)
    }

    @Test func secretsStaySecretAndValuesAreBounded() {
        #expect(render(.text) { $0.add("password", Secret(Array("hunter2".utf8))) }.hasSuffix(" password=***\n"))
        let line = render(.text) { line in
            for _ in 0..<100 { line.add("v", [UInt8](repeating: 0x61, count: 5_000)) }
        }
        #expect(line.utf8.count < 10_000)
    }

    @Test func aFullRingDropsAndCounts() {
        let log = Log(capacity: 4)
        for _ in 0..<10 { log.info("line") }
        #expect(log.dropped == 6)
    }

    @Test func levelsFilterBeforeFieldsAreBuilt() {
        let log = Log(level: .warning)
        log.notice("quiet") { _ in Issue.record("fields were built") }
        log.level = .debug
        var built = false
        log.debug("loud") { _ in built = true }
        #expect(built)
    }

    @Test func theThreadWritesEverythingBeforeItStops() throws {
        let pipe = Pipe()
        let log = Log()
        let thread = LogThread.start(log, descriptor: pipe.fileHandleForWriting.fileDescriptor)
        for i in 0..<500 { log.info("line") { $0.add("i", i) } }
        thread.stop()
        try pipe.fileHandleForWriting.close()
        let written = pipe.fileHandleForReading.readDataToEndOfFile()
        let lines = String(decoding: written, as: UTF8.self).split(separator: "\n")
        #expect(lines.count == 500)
        #expect(lines.last?.hasSuffix("line i=499") == true)
    }
}
