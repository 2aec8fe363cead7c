import Base
import Foundation
import Protocols
import TestKit
import Testing

@Suite struct DowngradeTests {
    private static func wire(_ text: String) -> [UInt8] { Array(text.replacing("\n", with: "\r\n").utf8) }

    private static func sevenBit(_ text: String) -> String? {
        Downgrade.sevenBit(wire(text)).map { String(decoding: $0, as: UTF8.self).replacing("\r\n", with: "\n") }
    }

    @Test func sevenBitMailIsNotTouched() {
        let text = "Subject: x\nContent-Type: text/plain\n\nbody\n"
        #expect(Self.sevenBit(text) == text)
        #expect(Downgrade.sevenBit([]) == [])
    }

    @Test func aTextBecomesQuotedPrintable() {
        #expect(
            Self.sevenBit(
                "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\nTo: a@b\n\nGrüße\n.\n"
            )
                == "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nTo: a@b\nContent-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe\n=2E\n"
        )
    }

    @Test func mailWithoutMIMEGetsIt() {
        #expect(
            Self.sevenBit("To: a@b\n\naé\n")
                == "To: a@b\nMIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\nContent-Transfer-Encoding: quoted-printable\n\na=C3=A9\n"
        )
    }

    @Test func whatIsMostlyNot7BitBecomesBase64() throws {
        let body = String(repeating: "Привет, мир. ", count: 20) + "\n"
        let out = try #require(
            Self.sevenBit("MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n\(body)"))
        #expect(out.contains("Content-Transfer-Encoding: base64\n\n"))
        let text = try #require(out.split(separator: "\n\n", maxSplits: 1).last)
        let decoded = Data(base64Encoded: String(text).replacing("\n", with: ""))
        #expect(decoded.map { Array($0) } == Self.wire(body))
    }

    @Test func onlyTheLeavesThatNeedItAndTheLabelsChange() {
        let text = """
            MIME-Version: 1.0
            Content-Type: multipart/mixed; boundary="o"
            Content-Transfer-Encoding: 8bit

            preamble
            --o
            Content-Type: text/plain

            plain
            --o
            Content-Type: multipart/alternative; boundary=i
            Content-Transfer-Encoding: 8bit

            --i
            Content-Type: text/html; charset=utf-8
            Content-Transfer-Encoding: 8bit

            <p>é
            --i

            --i--
            --o
            Content-Type: message/rfc822
            Content-Transfer-Encoding: 8bit

            Subject: inner
            Content-Transfer-Encoding: binary

            é
            --o--
            epilogue é

            """
        #expect(
            Self.sevenBit(text) == """
                MIME-Version: 1.0
                Content-Type: multipart/mixed; boundary="o"
                Content-Transfer-Encoding: 7bit

                preamble
                --o
                Content-Type: text/plain

                plain
                --o
                Content-Type: multipart/alternative; boundary=i
                Content-Transfer-Encoding: 7bit

                --i
                Content-Type: text/html; charset=utf-8
                Content-Transfer-Encoding: quoted-printable

                <p>=C3=A9
                --i

                --i--
                --o
                Content-Type: message/rfc822
                Content-Transfer-Encoding: 7bit

                Subject: inner
                Content-Type: text/plain; charset=unknown-8bit
                Content-Transfer-Encoding: quoted-printable

                =C3=A9
                --o--

                """)
    }

    @Test func aSignedPartIsNotBroken() {
        func signed(_ body: String) -> String {
            """
            MIME-Version: 1.0
            Content-Type: multipart/mixed; boundary=o

            --o

            é
            --o
            Content-Type: multipart/signed; protocol="application/pgp-signature"; boundary=s

            --s

            \(body)
            --s
            Content-Type: application/pgp-signature

            x
            --s--
            --o--

            """
        }
        #expect(Self.sevenBit(signed("é")) == nil)
        #expect(Self.sevenBit(signed("plain text")).map { $0.contains("\nplain text\n") } == true)
    }

    @Test(arguments: [
        "Subject: é\n\nbody\n",
        "Content-Type: multipart/mixed\n\n--x\n\né\n--x--\n",
        "Content-Type: multipart/mixed; boundary=x\nContent-Transfer-Encoding: base64\n\n--x\n\né\n--x--\n",
        "Content-Type: message/delivery-status\n\nStatus: é\n",
        "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\né\n",
        "Content-Type: text/plain\nContent-Transfer-Encoding: x-uuencode\n\né\n",
    ])
    func cannotBeConverted(text: String) { #expect(Self.sevenBit(text) == nil) }

    @Test func depthAndPartsAreBounded() {
        var deep = "é\n"
        for i in 0..<40 { deep = "Content-Type: multipart/mixed; boundary=b\(i)\n\n--b\(i)\n\(deep)\n--b\(i)--\n" }
        #expect(Self.sevenBit(deep) == nil)
        let wide = "Content-Type: multipart/mixed; boundary=b\n\n" + String(repeating: "--b\n\né\n", count: 1_001)
        #expect(Self.sevenBit(wide) == nil)
    }

    @Test func binaryAndLongLinesGoToo() throws {
        let long = String(repeating: "x", count: 1_200)
        let text = try #require(Self.sevenBit("Content-Type: text/plain\n\n\(long)\n"))
        #expect(text.contains("quoted-printable"))
        var binary = Self.wire("Content-Type: image/png\nContent-Transfer-Encoding: binary\n\n")
        let bytes: [UInt8] = [0, 10, 13, 255, 13, 10, 1]
        binary += bytes
        let out = try #require(Downgrade.sevenBit(binary))
        #expect(
            String(decoding: out, as: UTF8.self).hasSuffix("base64\r\n\r\n\(Data(bytes).base64EncodedString())\r\n"))
    }

    /// Whatever is made is 7-bit lines that a second conversion leaves alone.
    @Test func noiseMakesCleanMailOrNone() {
        var random = SeededRandom(seed: 11)
        let good = Self.wire(
            "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=o\nContent-Transfer-Encoding: 8bit\n\n--o\nContent-Type: text/plain\nContent-Transfer-Encoding: 8bit\n\né=\n--o\nContent-Type: message/rfc822\n\nTo: a\n\né\n--o--\n"
        )
        var made = 0
        for _ in 0..<3_000 {
            var bytes = good
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                let i = Int.random(in: 0..<bytes.count, using: &random)
                if Bool.random(using: &random) {
                    bytes.remove(at: i)
                } else {
                    bytes[i] = .random(in: 0...255, using: &random)
                }
            }
            guard let out = Downgrade.sevenBit(bytes) else { continue }
            made += 1
            #expect(!out.contains { $0 >= 0x80 })
            #expect(Downgrade.sevenBit(out) == out)
        }
        #expect(made > 1_000)
    }
}
