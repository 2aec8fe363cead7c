import Base
import MailAuth
import Testing

@Suite struct HeaderIndexTests {
    /// Few fields are walked through, many are in a dictionary: nobody can tell.
    @Test(arguments: [1, 63, 64, 65, 200]) func placesAreTheSameHoweverManyFields(count: Int) {
        let names = ["From", "received", "X-Test", "RECEIVED"]
        let text = (0..<count).map { "\(names[$0 % names.count]): \($0)\r\n" }.joined() + "\r\nbody"
        let index = HeaderIndex(Array(text.utf8))
        #expect(index.fields.count == count)
        for name in ["from", "received", "x-test", "to", "x-tes", ""] {
            let expected = (0..<count).filter { names[$0 % names.count].lowercased() == name }
            #expect(index.places(of: Array(name.utf8)) == expected)
        }
        #expect(index.bodyStart == text.utf8.count - 4)
    }

    @Test func nothingBehindTheLastFieldIsKept() {
        let index = HeaderIndex(Array("A: 1\r\n\r\nB: 2\r\n".utf8))
        #expect(index.bytes == Array("A: 1\r\n".utf8))
        #expect(HeaderIndex(Array("A: 1\r\n".utf8)).bytes == Array("A: 1\r\n".utf8))
    }
}
