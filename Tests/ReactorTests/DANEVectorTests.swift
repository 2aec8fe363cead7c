import COpenSSL
import Foundation
import Testing

@testable import Reactor

/// OpenSSL's own DANE chains (`danetest.in`), judged by what `TLSCheck` puts on a session. The chains come without keys,
/// so no handshake is made.
@Suite struct DANEVectorTests {
    struct Vector: Decodable {
        var id: Int
        var tlsa: [[Field]]
        var want_error: Int
        var chain: [String]
    }
    enum Field: Decodable {
        case number(UInt8), hex(String)
        init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            if let n = try? value.decode(UInt8.self) {
                self = .number(n)
            } else {
                self = .hex(try value.decode(String.self))
            }
        }
    }
    struct File: Decodable { var base_name: String, cases: [Vector] }

    static let folder = URL(
        filePath: ProcessInfo.processInfo.environment["MARTLET_CONFORMANCE"]
            ?? URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../../shared/conformance").standardizedFileURL.path
    ).appending(path: "dane/openssl")

    private func record(_ fields: [Field]) -> DANERecord? {
        guard fields.count == 4, case .number(let usage) = fields[0], case .number(let selector) = fields[1],
            case .number(let matching) = fields[2], case .hex(let text) = fields[3]
        else { return nil }
        let digits = text.compactMap { $0.hexDigitValue.map(UInt8.init) }
        let data = stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
        return DANERecord(usage: usage, selector: selector, matching: matching, data: data)
    }

    private func certificate(_ pem: String) -> OpaquePointer? {
        let bytes = Array(pem.utf8)
        guard let bio = BIO_new_mem_buf(bytes, Int32(bytes.count)) else { return nil }
        defer { BIO_free(bio) }
        return PEM_read_bio_X509(bio, nil, nil, nil)
    }

    /// OpenSSL's verdict on the chain, nil when no record was usable.
    private func judge(_ vector: Vector, _ name: String, _ context: TLSContext) throws -> Int? {
        let ssl = try #require(SSL_new(context.pointer))
        defer { SSL_free(ssl) }
        let records = try vector.tlsa.map { try #require(record($0)) }
        let check = TLSCheck(ssl, .dane(records: records, names: [name]), observing: nil)
        guard check.isEnforced else { return nil }
        let chain = try #require(mt_x509_stack())
        defer { mt_x509_free_all(chain) }
        for pem in vector.chain {
            let one: OpaquePointer = try #require(certificate(pem))
            mt_x509_push(chain, one)
        }
        let store = try #require(X509_STORE_CTX_new())
        defer { X509_STORE_CTX_free(store) }
        let leaf = try #require(certificate(vector.chain[0]))
        defer { X509_free(leaf) }
        try #require(X509_STORE_CTX_init(store, SSL_CTX_get_cert_store(context.pointer), leaf, chain) == 1)
        mt_store_ctx_ssl(store, ssl)
        X509_STORE_CTX_set_default(store, "ssl_server")
        X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(store), SSL_get0_param(ssl))
        X509_STORE_CTX_set0_dane(store, SSL_get0_dane(ssl))
        let passes = X509_verify_cert(store) == 1
        let code = Int(X509_STORE_CTX_get_error(store))
        #expect(passes == (code == 0))
        return code
    }

    @Test func everyChainIsJudgedAsPublished() throws {
        guard let data = try? Data(contentsOf: Self.folder.appending(path: "danetest.json")) else {
            print("*** SKIPPED: \(Self.folder.path) is not there; set MARTLET_CONFORMANCE to run it ***")
            return
        }
        let file = try JSONDecoder().decode(File.self, from: data)
        let context = try TLSContext(client: .outbound(rootsPath: Self.folder.appending(path: "danetest.pem").path))
        var judged = 0
        for vector in file.cases {
            let usages = vector.tlsa.map { if case .number(let n)? = $0.first { n } else { UInt8(255) } }
            let verdict = try judge(vector, file.base_name, context)
            if usages.allSatisfy({ $0 < 2 }) {
                // RFC 7672 §3.1.3: usages 0 and 1 are unusable for SMTP.
                #expect(verdict == nil, "case \(vector.id)")
            } else {
                // RFC 7672 §3.1.1: the vectors that want usage 3 to check names are not ours.
                let isNameOfEndEntity = usages == [3] && vector.want_error == 62
                #expect(verdict == (isNameOfEndEntity ? 0 : vector.want_error), "case \(vector.id)")
                judged += 1
            }
        }
        #expect(judged > 30)
    }
}
