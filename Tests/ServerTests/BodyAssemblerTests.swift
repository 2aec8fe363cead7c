import Store
import Testing

@testable import Server

@Suite struct BodyAssemblerTests {
    private func assembler(_ gateway: StoreGateway) -> BodyAssembler {
        BodyAssembler(gateway: gateway, inlineMax: 6 << 10) {}
    }

    private func append(_ count: Int, to body: inout BodyAssembler) {
        body.append([UInt8](repeating: 0x61, count: count).span)
    }

    @Test func aSmallBodyIsHandedOnWhole() {
        var body = assembler(StoreGateway())
        body.begin()
        append(5_000, to: &body)
        guard case .body(.inline(let bytes)) = body.take() else {
            Issue.record("not inline")
            return
        }
        #expect(bytes.count == 5_000)
    }

    /// The disk was full when the first chunk was to be written, and no longer at the end: what is left fits into a row, and
    /// is not the message.
    @Test(arguments: [66_000, 3 * 65_536 + 1, 65_536])
    func aBodyThatLostAChunkIsNotTaken(octets: Int) {
        let gateway = StoreGateway()
        var body = assembler(gateway)
        body.begin()
        gateway.setDiskLow(true)
        append(octets, to: &body)
        append(1, to: &body)
        gateway.setDiskLow(false)
        guard case .unavailable = body.take() else {
            Issue.record("a part was taken for the whole")
            return
        }
        // The next message has nothing of it.
        body.begin()
        append(10, to: &body)
        guard case .body(.inline(let bytes)) = body.take() else {
            Issue.record("the next one was not taken")
            return
        }
        #expect(bytes.count == 10)
    }
}
