import Base
import CEpoll
import Foundation
import Handoff
import Testing

@testable import Server

/// The mapped file: what threads write is what the next start reads.
@Suite(.serialized) struct InProgressTableTests {
    private let path = NSTemporaryDirectory() + "in-progress-\(UUID().uuidString.prefix(8))"

    @Test func onlyWhoDiedIsRead() throws {
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(InProgressTable.deaths(path).isEmpty)
        let fd = mt_open(path, O_RDWR | O_CREAT, 0o600)
        #expect(fd >= 0 && mt_slots_map(fd, Int32(InProgressTable.slots)) == 0)
        defer { mt_slots_unmap() }
        _ = mt_close(fd)
        let file = path
        let print = Fingerprint(Array("the message".utf8))
        let busy = LoopThread.spawn("culprit") {
            InProgress.begin(.inbound, Fingerprint([1]), label: [])
            InProgress.end()
            InProgress.begin(.delivery, print, label: Array(String(repeating: "long", count: 40).utf8))
            #expect(InProgressTable.deaths(file).isEmpty, "who works is not dead")
            mt_note_death(SIGILL)
            let found = InProgressTable.deaths(file)
            #expect(found.count == 1)
            #expect(found.first?.kind == .delivery && found.first?.fingerprint == print)
            #expect(found.first?.signal == SIGILL)
            #expect(found.first?.thread == Array("culprit".utf8))
            #expect(found.first?.label.count == 47)
            // Between two messages a signal blames none.
            InProgress.end()
            #expect(InProgressTable.deaths(file).isEmpty)
            mt_note_death(SIGILL)
            #expect(InProgressTable.deaths(file).isEmpty)
        }
        busy.join()
    }

    @Test func threadsThatEndGiveTheirSlotsBack() {
        defer { try? FileManager.default.removeItem(atPath: path) }
        let fd = mt_open(path, O_RDWR | O_CREAT, 0o600)
        #expect(mt_slots_map(fd, 2) == 0)
        defer { mt_slots_unmap() }
        _ = mt_close(fd)
        for _ in 0..<10 { LoopThread.spawn("short") { #expect(mt_slot_claim() == 1) }.join() }
    }

    @Test func anyOctetsAreRead() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            let bytes = (0..<Int.random(in: 0...700, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random) & (Bool.random(using: &random) ? 0x07 : 0xFF)
            }
            for death in InProgressTable.decode(bytes) { #expect((1...64).contains(death.signal)) }
        }
        #expect(InProgressTable.decode(Array(repeating: 0, count: 1_280)).isEmpty)
        #expect(MemoryLayout<mt_slot>.size == 128)
    }
}
