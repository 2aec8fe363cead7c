import Base
import Foundation
import Testing

@testable import Protocols

@Suite struct HTTPSessionTests {
    /// What a stream of bytes led to, whatever way it was split.
    private struct Outcome: Equatable {
        var requests: [HTTPRequest] = []
        var output: [UInt8] = []
        var isFinished = false
    }

    /// Feeds `bytes` in pieces of the sizes `sizes` gives, answering each request with its own path.
    private func run(_ bytes: [UInt8], limits: HTTPLimits = HTTPLimits(), sizes: () -> Int) -> Outcome {
        var session = HTTPSession(limits: limits)
        var outcome = Outcome()
        var offset = 0
        while true {
            while let request = session.next() {
                outcome.requests.append(request)
                session.respond(HTTPResponse(status: 200, contentType: "text/plain", body: request.path))
            }
            if offset == bytes.count || session.isFinished { break }
            let end = min(offset + max(1, sizes()), bytes.count)
            offset += session.receive(bytes.span.extracting(offset..<end))
        }
        session.inputEnded()
        _ = session.next()
        outcome.output = session.takeOutput()
        outcome.isFinished = session.isFinished
        return outcome
    }

    private func whole(_ text: String, limits: HTTPLimits = HTTPLimits()) -> Outcome {
        run(Array(text.utf8), limits: limits) { .max }
    }

    private func status(_ outcome: Outcome) -> String {
        String(decoding: outcome.output.prefix(12).suffix(3), as: UTF8.self)
    }

    @Test func readsARequest() throws {
        let outcome = whole("GET /metrics?x=1 HTTP/1.1\r\nHost: a.example:8080\r\nX-Two:  b c \t\r\n\r\n")
        let request = try #require(outcome.requests.first)
        #expect(request.method == .get)
        #expect(request.isPath("/metrics"))
        #expect(request.query == Array("x=1".utf8))
        #expect(request.host == Array("a.example:8080".utf8))
        #expect(request.value("x-two") == Array("b c".utf8))
        #expect(request.keepAlive)
        #expect(
            String(decoding: outcome.output, as: UTF8.self)
                == "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 8\r\n\r\n/metrics")
    }

    // RFC 9112 §9.3.2
    @Test func answersPipelinedRequestsInOrder() {
        let outcome = whole(
            "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: x\r\n\r\n"
                + "HEAD /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(outcome.requests.map { String(decoding: $0.path, as: UTF8.self) } == ["/a", "/b", "/c"])
        #expect(outcome.requests[0].body == Array("abc".utf8))
        #expect(outcome.isFinished)
        #expect(String(decoding: outcome.output, as: UTF8.self).hasSuffix("connection: close\r\n\r\n"))
    }

    // RFC 9110 §10.1.1
    @Test func sendsContinueOnce() {
        let outcome = whole("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok")
        #expect(outcome.requests.count == 1)
        #expect(
            String(decoding: outcome.output, as: UTF8.self).hasPrefix(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"))
    }

    // RFC 9112 §3.2.2
    @Test func absoluteTargetReplacesHost() throws {
        let request = try #require(whole("GET http://B.example/p HTTP/1.1\r\nHost: a\r\n\r\n").requests.first)
        #expect(request.host == Array("B.example".utf8))
        #expect(request.isPath("/p"))
    }

    @Test func version10ClosesByItself() {
        let outcome = whole("GET / HTTP/1.0\r\n\r\n")
        #expect(outcome.requests.count == 1)
        #expect(outcome.isFinished)
    }

    @Test func endsAfterTheLastRequestAllowed() {
        var limits = HTTPLimits()
        limits.requestsMaximum = 2
        let outcome = whole(String(repeating: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", count: 5), limits: limits)
        #expect(outcome.requests.count == 2)
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\nHost: x\n\n", "400"),
        ("GET / HTTP/1.1\rHost: x\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost : x\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: x\r\nA: \u{0}\r\n\r\n", "400"),
        ("GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ("GET / HTTP/1.1 \r\nHost: x\r\n\r\n", "400"),
        ("GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ("GET a HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ("GET * HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ("G(T / HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ("GET /\u{7F} HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", "400"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\na", "400"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na", "400"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\na", "400"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "501"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n", "413"),
        ("POST / HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\n\r\n", "417"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
    ])
    func refuses(_ text: String, _ expected: String) {
        let outcome = whole(text)
        #expect(status(outcome) == expected)
        #expect(outcome.requests.isEmpty)
        #expect(outcome.isFinished)
    }

    @Test func boundsTargetHeadAndFields() {
        let path = String(repeating: "a", count: 9_000)
        #expect(status(whole("GET /\(path) HTTP/1.1\r\nHost: x\r\n\r\n")) == "414")
        let long = String(repeating: "b", count: 33_000)
        #expect(status(whole("GET / HTTP/1.1\r\nHost: x\r\nA: \(long)\r\n\r\n")) == "431")
        let many = String(repeating: "A: b\r\n", count: 100)
        #expect(status(whole("GET / HTTP/1.1\r\nHost: x\r\n\(many)\r\n")) == "431")
        let most = String(repeating: "A: b\r\n", count: 99)
        #expect(status(whole("GET / HTTP/1.1\r\nHost: x\r\n\(most)\r\n")) == "200")
    }

    @Test func answersCannotCarryAForgedField() {
        var response = HTTPResponse(status: 303)
        response.add("location", Array("/a\r\nset-cookie: b".utf8))
        let text = String(decoding: response.encoded(isHead: false, close: false), as: UTF8.self)
        #expect(text == "HTTP/1.1 303 See Other\r\nlocation: /a  set-cookie: b\r\ncontent-length: 0\r\n\r\n")
    }

    static let streams: [String] = [
        "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: y\r\nContent-Length: 5\r\n\r\n\r\n\r\n.GET /",
        "\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n\r\nGET /b?c HTTP/1.1\r\nHost: x\r\nConnection: a, Close\r\n\r\nrest",
        "PUT /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\rA: b\r\n\r\n",
        "GET /" + String(repeating: "a", count: 8_300) + "\rb HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /a HTTP/1.1\r\nHost: x\r\nA: " + String(repeating: "b", count: 32_700) + "\r\nB: c\r\n\r\n",
    ]

    @Test(arguments: streams)
    func splitsDoNotMatter(_ text: String) {
        let bytes = Array(text.utf8)
        let expected = run(bytes) { .max }
        #expect(run(bytes) { 1 } == expected)
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        for _ in 0..<50 {
            let split = run(bytes) {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Int(state >> 33) % (state >> 60 == 0 ? 4_000 : 12)
            }
            #expect(split == expected)
        }
    }
}
