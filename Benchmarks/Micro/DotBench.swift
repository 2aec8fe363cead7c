import Base
import Protocols

/// Dot-stuffing, and the sink's search for the end, over text of 78-byte lines.
enum DotBench {
    static func run(_ seconds: Double) -> [MicroResult] {
        let line = Array((String(repeating: "x", count: 76) + "\r\n").utf8)
        var text: [UInt8] = []
        for i in 0..<800 { text += i % 16 == 0 ? [ASCII.dot] + line.dropFirst() : line }
        var wire: [UInt8] = []
        var stuffer = DotStuffer()
        stuffer.append(text.span, to: &wire)
        stuffer.finish(to: &wire)
        var output: [UInt8] = []
        let stuff = MicroResult.measure("stuff", "GB", seconds) {
            output.removeAll(keepingCapacity: true)
            var stuffer = DotStuffer()
            stuffer.append(text.span, to: &output)
            stuffer.finish(to: &output)
            return Double(text.count) / 1e9
        }
        let scan = MicroResult.measure("sink", "GB", seconds) {
            var body = SinkBody(keeping: 0)
            let n = body.feed(wire.span)
            precondition(n == wire.count && body.isComplete && body.count == text.count, "the end was not found")
            return Double(text.count) / 1e9
        }
        return [stuff, scan]
    }
}
