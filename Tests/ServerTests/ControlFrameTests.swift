import Base
import Protocols
import Server
import Store
import Testing

@Suite struct ControlFrameTests {
    static let credentials = Credentials(
        passwordHash: Array("$y$x".utf8),
        scram: ScramVerifier(salt: [0, 1, 255], iterations: 4096, storedKey: [2, 3], serverKey: []))

    static let requests: [ControlRequest] = [
        .domainAdd(Array("example.org".utf8)), .domainRemove([]), .domainList, .domainShow([0xFF, 0]),
        .domainSet([1], [ControlAssignment(name: "a", value: ""), ControlAssignment(name: "ü", value: "x=y")]),
        .domainDNS([2]),
        .accountAdd(ControlAccount(address: [3], isAdmin: true, quotaOctets: nil, credentials: Self.credentials)),
        .accountAdd(ControlAccount(address: [3], isAdmin: false, quotaOctets: 0, credentials: Credentials())),
        .accountList, .accountPassword([4], Self.credentials), .accountDisable([5]), .accountEnable([6]),
        .accountRemove([7]), .aliasAdd([8], [[9], [10]]), .aliasList, .aliasRemove([11], target: nil),
        .aliasRemove([11], target: [12]), .mailboxList([13], folder: Array("Inbox".utf8), limit: 5),
        .mailboxRead([14], MessageID(rawValue: 12345), form: .raw, offset: 1 << 40),
        .storeVerify(ControlVerifyState()), .status, .reload,
    ]

    @Test(arguments: requests)
    func requestsRoundTrip(_ request: ControlRequest) throws {
        for format in [ControlFormat.text, .json] {
            let decoded = try #require(ControlRequest.decode(request.frame(format).payload))
            #expect(decoded.request == request)
            #expect(decoded.format == format)
        }
    }

    /// Frames come out the same wherever the stream is cut.
    @Test func splitAtEveryByte() throws {
        let frames = [ControlFrame(.request, []), ControlFrame(.output, [1, 2, 3]), Self.requests[6].frame(.json)]
        let stream = frames.flatMap(\.encoded)
        for cut in 0...stream.count {
            var parser = ControlFrameParser()
            var found: [ControlFrame] = []
            for piece in [Array(stream[..<cut]), Array(stream[cut...])] {
                parser.append(piece.span)
                while let frame = try parser.next() { found.append(frame) }
            }
            #expect(found == frames)
            #expect(parser.isEmpty)
        }
    }

    @Test(arguments: [
        ([0, 0, 0, 0], ControlProtocolError.frameLength), ([0, 16, 0, 1], .frameLength),
        ([0xFF, 0xFF, 0xFF, 0xFF], .frameLength), ([0, 0, 0, 1, 0], .frameKind),
        (Array("GET / HTTP".utf8), .frameLength),
    ])
    func garbage(_ bytes: [UInt8], _ error: ControlProtocolError) {
        var parser = ControlFrameParser()
        parser.append(bytes.span)
        #expect(throws: error) { try parser.next() }
    }

    @Test func damagedRequestsAreRefusedNotTrapped() {
        #expect(ControlRequest.decode([]) == nil)
        for request in Self.requests {
            let payload = request.frame(.text).payload
            for n in 0..<payload.count {
                #expect(ControlRequest.decode(Array(payload[..<n]))?.request != request)
                var changed = payload
                changed[n] ^= 0xFF
                _ = ControlRequest.decode(changed)
            }
        }
        let unknown = ControlFields.encode([Array("1".utf8), Array("text".utf8), Array("halt".utf8)])
        #expect(ControlRequest.decode(unknown) == nil)
        let future = ControlFields.encode([Array("2".utf8), Array("text".utf8), Array("status".utf8)])
        #expect(ControlRequest.decode(future) == nil)
    }

    @Test func longAnswersAreCutIntoFrames() throws {
        var answer = ControlAnswer(output: [UInt8](repeating: 7, count: 3 << 20), complaint: "hm", status: 65)
        var parser = ControlFrameParser()
        parser.append(answer.frames.span)
        var output = 0
        var last: ControlFrame?
        while let frame = try parser.next() {
            #expect(frame.payload.count < ControlFrame.bytesMax)
            if frame.kind == .output { output += frame.payload.count }
            last = frame
        }
        #expect(output == 3 << 20)
        #expect(last == ControlFrame(.end, [65]))
        answer.next = .status
        parser = ControlFrameParser()
        parser.append(answer.frames.span)
        while let frame = try parser.next() { #expect(frame.kind != .end) }
    }

    @Test func json() {
        let value = JSONValue.object([
            JSONMember("a\"b", .array([.null, .boolean(true), .integer(-5)])),
            JSONMember("t", .text("\\ü\n\u{1}\u{7F}")),
        ])
        #expect(String(decoding: value.bytes, as: UTF8.self) == #"{"a\"b":[null,true,-5],"t":"\\ü\n\u0001\u007f"}"#)
    }
}
