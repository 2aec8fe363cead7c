import Testing

@testable import Server

@Suite struct AdmissionTests {
    @Test func countsInAllAndByAddress() {
        let admission = Admission(maximum: 3, perPeer: 2)
        let a: [UInt8] = [127, 0, 0, 1]
        let b: [UInt8] = [127, 0, 0, 2]
        #expect(admission.enter(a) == .admitted)
        #expect(admission.enter(a) == .admitted)
        #expect(admission.enter(a) == .fullForPeer)
        #expect(admission.enter(b) == .admitted)
        #expect(admission.enter(b) == .full)
        admission.leave(a)
        #expect(admission.enter(a) == .admitted)
        #expect(admission.count == 3)
        for peer in [a, a, b] { admission.leave(peer) }
        #expect(admission.isEmpty)
    }
}
