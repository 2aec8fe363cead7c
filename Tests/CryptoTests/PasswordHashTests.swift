import Base
import Crypto
import Testing

@Suite struct PasswordHashTests {
    @Test func roundTrip() throws {
        var random = SystemRandom()
        let hash = try #require(PasswordHash.make(Secret(Array("correct horse".utf8)), using: &random))
        #expect(hash.starts(with: Array("$y$".utf8)))
        #expect(PasswordHash.verify(Secret(Array("correct horse".utf8)), hash))
        #expect(!PasswordHash.verify(Secret(Array("correct horsf".utf8)), hash))
        #expect(!PasswordHash.verify(Secret([]), hash))
        #expect(!PasswordHash.needsRehash(hash))
        #expect(PasswordHash.make(Secret(Array("correct horse".utf8)), using: &random) != hash)
    }

    /// Hashes of other systems verify too, and are to be replaced.
    @Test func sha512crypt() {
        let hash = Array(
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1".utf8)
        #expect(PasswordHash.verify(Secret(Array("Hello world!".utf8)), hash))
        #expect(PasswordHash.needsRehash(hash))
    }

    @Test(arguments: ["", "*", "*0", "x", "$y$", "plain", "$y$j9T$\0", "$6$$"])
    func malformedHashesNeverVerify(_ hash: String) {
        #expect(!PasswordHash.verify(Secret(Array("plain".utf8)), Array(hash.utf8)))
    }

    @Test func passwordsWithNULAreRefused() {
        var random = SystemRandom()
        #expect(PasswordHash.make(Secret([0x61, 0, 0x62]), using: &random) == nil)
        #expect(PasswordHash.make(Secret([UInt8](repeating: 0x61, count: 5_000)), using: &random) == nil)
    }

    @Test func decoyVerifiesNothing() {
        #expect(!PasswordHash.decoy.isEmpty)
        #expect(!PasswordHash.verify(Secret([]), PasswordHash.decoy))
    }

    struct Counting: RandomSource {
        var next: UInt8 = 0
        mutating func bytes(_ count: Int) -> [UInt8] {
            (0..<count).map { _ in
                next &+= 7
                return next
            }
        }
    }

    @Test func generatedPasswords() {
        var random = Counting()
        let password = random.password()
        #expect(password.utf8.count == 24)
        #expect(password.split(separator: "-").map(\.count) == [4, 4, 4, 4, 4])
        #expect(random.token(24).count == 24)
        #expect(SystemRandom().bytes(300).count == 300)
        #expect(SystemRandom().bytes(16) != SystemRandom().bytes(16))
    }
}
