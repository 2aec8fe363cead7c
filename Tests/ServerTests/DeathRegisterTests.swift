import Base
import Handoff
import Testing

@testable import Server

/// What is counted as the death of a message, and what is read back of it.
@Suite struct DeathRegisterTests {
    static let then = WallTime(seconds: 1_800_000_000)

    static func death(
        _ name: String, _ kind: InProgress.Kind = .inbound, at when: WallTime = then, signal: Int32 = 4
    ) -> WorkerDeath {
        WorkerDeath(
            kind: kind, fingerprint: Fingerprint(Array(name.utf8)), signal: signal, when: when,
            label: Array("a@b \u{e9}".utf8))
    }

    @Test func theSecondDeathMakesPoison() {
        var register = DeathRegister()
        #expect(register.note([Self.death("x")]).map(\.isPoison) == [false])
        #expect(register.note([Self.death("y")]).map(\.deaths) == [1])
        let again = register.note([Self.death("x", signal: 11)])
        #expect(again.map(\.deaths) == [2] && again.map(\.isPoison) == [true] && again.map(\.signal) == [11])
        // The same octets as another kind are another message.
        #expect(register.entry(.delivery, Fingerprint(Array("x".utf8))) == nil)
    }

    @Test func severalThreadsOfOneRunAreOneDeath() {
        var register = DeathRegister()
        #expect(register.note([Self.death("x"), Self.death("x"), Self.death("x", .delivery)]).count == 2)
        #expect(register.entries.map(\.deaths) == [1, 1])
    }

    @Test func oldOnesAreForgottenAndAClockSetBackForgetsNothing() {
        var register = DeathRegister()
        _ = register.note([Self.death("old"), Self.death("new", at: WallTime(seconds: Self.then.seconds + 5 * 86_400))])
        register.expire(now: WallTime(seconds: Self.then.seconds - 400 * 86_400))
        #expect(register.entries.count == 2)
        register.expire(now: WallTime(seconds: Self.then.seconds + 31 * 86_400))
        #expect(register.entries.map(\.fingerprint) == [Fingerprint(Array("new".utf8))])
    }

    @Test func theNewestAreKept() {
        var register = DeathRegister()
        for n in 0..<1_100 {
            _ = register.note([Self.death("m\(n)", at: WallTime(seconds: Self.then.seconds + Int64(n)))])
        }
        #expect(register.entries.count == DeathRegister.entriesMax)
        #expect(register.entry(.inbound, Fingerprint(Array("m0".utf8))) == nil)
        #expect(register.entry(.inbound, Fingerprint(Array("m1099".utf8))) != nil)
    }

    @Test func whatIsWrittenIsRead() {
        var register = DeathRegister()
        _ = register.note([Self.death("x"), Self.death("y", .report)])
        _ = register.note([Self.death("x")])
        #expect(DeathRegister(encoded: register.encoded()) == register)
        var labelless = DeathRegister()
        var death = Self.death("z")
        death.label = []
        _ = labelless.note([death])
        #expect(DeathRegister(encoded: labelless.encoded()) == labelless)
    }

    @Test func aDamagedFileLosesOnlyWhatIsDamaged() {
        var register = DeathRegister()
        _ = register.note([Self.death("x"), Self.death("y")])
        let whole = register.encoded()
        for end in 0..<whole.count {
            let read = DeathRegister(encoded: Array(whole[..<end]))
            #expect(read.entries.count <= 2)
        }
        var random = SystemRandomNumberGenerator()
        for _ in 0..<500 {
            var bytes = whole
            for _ in 0..<5 { bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255) }
            #expect(DeathRegister(encoded: bytes).entries.count <= 7)
        }
    }

    @Test func forgetTakesOneOut() {
        var register = DeathRegister()
        _ = register.note([Self.death("x"), Self.death("y")])
        let first = register.forget(.inbound, Fingerprint(Array("x".utf8)))
        let second = register.forget(.inbound, Fingerprint(Array("x".utf8)))
        #expect(first && !second)
        #expect(register.entries.count == 1)
    }

    @Test func theBookAnswersOnlyForPoison() {
        var register = DeathRegister()
        _ = register.note([Self.death("once")])
        let book = PoisonBook(register)
        #expect(book.poison(.inbound, Fingerprint(Array("once".utf8))) == nil)
        _ = register.note([Self.death("once")])
        book.replace(register)
        #expect(book.poison(.inbound, Fingerprint(Array("once".utf8)))?.deaths == 2)
        #expect(book.poison(.delivery, Fingerprint(Array("once".utf8))) == nil)
        book.replace(DeathRegister())
        #expect(book.poison(.inbound, Fingerprint(Array("once".utf8))) == nil)
    }
}
