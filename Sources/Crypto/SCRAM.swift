package import Base

/// What the store keeps of a password for SCRAM-SHA-256; the password cannot be read back from it.
package struct SCRAMCredentials: Sendable, Equatable {
    package let salt: [UInt8]
    package let iterations: Int
    /// 32 bytes.
    package let storedKey: [UInt8]
    /// 32 bytes.
    package let serverKey: [UInt8]

    package init(salt: [UInt8], iterations: Int, storedKey: [UInt8], serverKey: [UInt8]) {
        self.salt = salt
        self.iterations = iterations
        self.storedKey = storedKey
        self.serverKey = serverKey
    }

    // RFC 7677 §4: at least 4096; more costs only at login of clients, and here when a password is set.
    package static let iterationsDefault = 15_000

    /// Derives the keys of a new password: tens of milliseconds, never on a reactor thread.
    ///
    /// The password's octets are used as they come: SASLprep of anything but ASCII is left to the client, and an ASCII
    /// password is its own preparation.
    package static func derive(
        _ password: Secret, salt: [UInt8], iterations: Int = iterationsDefault
    ) -> SCRAMCredentials? {
        // RFC 5802 §3
        guard
            let salted = Digest.pbkdf2(password.bytes, salt: salt, iterations: iterations, byteCount: 32, .sha256)
        else { return nil }
        let clientKey = Digest.hmac(Array("Client Key".utf8), key: salted, .sha256)
        return SCRAMCredentials(
            salt: salt, iterations: iterations, storedKey: Digest.sha256(clientKey),
            serverKey: Digest.hmac(Array("Server Key".utf8), key: salted, .sha256))
    }

    /// For an account that is not there: a salt that is always the same for one name and one server, so that probing
    /// twice tells nothing, and keys no proof fits.
    package static func decoy(user: [UInt8], serverSecret: [UInt8]) -> SCRAMCredentials {
        let seed = Digest.hmac(user, key: serverSecret, .sha256)
        return SCRAMCredentials(
            salt: Array(seed[..<16]), iterations: iterationsDefault,
            storedKey: Digest.hmac(seed, key: serverSecret, .sha256), serverKey: Digest.sha256(seed))
    }
}

/// The server side of SCRAM-SHA-256 (RFC 5802, RFC 7677) as functions over bytes, without channel binding. The nonce
/// comes from the caller. Bounded: messages over `messageMax` octets are refused.
package enum SCRAM {
    package static let messageMax = 4_096

    package enum Failure: Error, Sendable, Equatable {
        /// The message does not follow the grammar.
        case malformed
        /// The client asks for channel binding or an extension we do not have.
        case unsupported
        /// The proof does not fit: wrong password.
        case wrongProof
    }

    /// RFC 5802 §7 `client-first-message`, taken apart.
    package struct ClientFirst: Sendable, Equatable {
        /// The account's address, `=2C` and `=3D` undone.
        package let user: [UInt8]
        /// The identity to act as; empty: the same.
        package let authorization: [UInt8]
        package let nonce: [UInt8]
        /// The gs2 header, which the client repeats in its second message.
        let header: [UInt8]
        /// The part after the header, which goes into the proof.
        let bare: [UInt8]
    }

    /// The exchange after our first message: what the client's second one is checked against.
    package struct Exchange: Sendable, Equatable {
        let client: ClientFirst
        let credentials: SCRAMCredentials
        let nonce: [UInt8]
        /// To send (before base64).
        package let serverFirst: [UInt8]
    }

    package static func clientFirst(_ message: [UInt8]) throws(Failure) -> ClientFirst {
        guard message.count <= messageMax else { throw .malformed }
        let parts = message.split(separator: ASCII.comma, omittingEmptySubsequences: false).map { Array($0) }
        guard parts.count >= 4 else { throw .malformed }
        // RFC 5802 §6: "y" says the client could bind and thinks we cannot. It is right: we offer no -PLUS.
        if parts[0].starts(with: [0x70, ASCII.equals]) { throw .unsupported }
        guard parts[0] == [0x6E] || parts[0] == [0x79] else { throw .malformed }
        var authorization: [UInt8] = []
        if !parts[1].isEmpty { authorization = try name(parts[1], letter: 0x61) }
        // RFC 5802 §5.1: a reserved mandatory extension must be refused.
        if parts[2].starts(with: [0x6D, ASCII.equals]) { throw .unsupported }
        let user = try name(parts[2], letter: 0x6E)
        guard let nonce = attribute(parts[3], 0x72), isNonce(nonce), !user.isEmpty else { throw .malformed }
        let header = parts[0] + [ASCII.comma] + parts[1] + [ASCII.comma]
        return ClientFirst(
            user: user, authorization: authorization, nonce: nonce, header: header,
            bare: Array(message[header.count...]))
    }

    /// `nonce` is fresh and printable without a comma (`RandomSource.token(24)`).
    package static func begin(
        _ client: ClientFirst, _ credentials: SCRAMCredentials, nonce: [UInt8]
    ) -> Exchange {
        let whole = client.nonce + nonce
        var message: [UInt8] = []
        message.append(ascii: "r=")
        message += whole
        message.append(ascii: ",s=")
        message += Base64.encode(credentials.salt)
        message.append(ascii: ",i=")
        message.append(decimal: credentials.iterations)
        return Exchange(client: client, credentials: credentials, nonce: whole, serverFirst: message)
    }

    /// The server's last message (before base64) when the proof fits.
    package static func finish(_ exchange: Exchange, _ message: [UInt8]) throws(Failure) -> [UInt8] {
        guard message.count <= messageMax else { throw .malformed }
        let parts = message.split(separator: ASCII.comma, omittingEmptySubsequences: false).map { Array($0) }
        guard parts.count >= 3, let last = parts.last, let encodedProof = attribute(last, 0x70),
            let binding = attribute(parts[0], 0x63), let nonce = attribute(parts[1], 0x72),
            let proof = Base64.decode(encodedProof.span), proof.count == 32
        else { throw .malformed }
        guard Base64.decode(binding.span) == exchange.client.header, nonce == exchange.nonce else { throw .malformed }
        let comma: [UInt8] = [ASCII.comma]
        let withoutProof = Array(message[..<(message.count - last.count - 1)])
        let signed = exchange.client.bare + comma + exchange.serverFirst + comma + withoutProof
        // RFC 5802 §3: ClientKey := ClientProof XOR ClientSignature
        let signature = Digest.hmac(signed, key: exchange.credentials.storedKey, .sha256)
        let clientKey = zip(proof, signature).map { $0 ^ $1 }
        guard Digest.equalInConstantTime(Digest.sha256(clientKey), exchange.credentials.storedKey) else {
            throw .wrongProof
        }
        let server = Digest.hmac(signed, key: exchange.credentials.serverKey, .sha256)
        return [0x76, ASCII.equals] + Base64.encode(server)
    }

    /// The bytes after `letter=`, or nil.
    private static func attribute(_ part: [UInt8], _ letter: UInt8) -> [UInt8]? {
        part.count >= 2 && part[0] == letter && part[1] == ASCII.equals ? Array(part[2...]) : nil
    }

    /// RFC 5802 §5.1: a `=` that is neither `=2C` nor `=3D` must fail.
    private static func name(_ part: [UInt8], letter: UInt8) throws(Failure) -> [UInt8] {
        guard let text = attribute(part, letter), !text.contains(0) else { throw .malformed }
        var out: [UInt8] = []
        var i = 0
        while i < text.count {
            if text[i] != ASCII.equals {
                out.append(text[i])
                i += 1
                continue
            }
            guard i + 2 < text.count else { throw .malformed }
            switch (text[i + 1], text[i + 2]) {
            case (0x32, 0x43): out.append(ASCII.comma)
            case (0x33, 0x44): out.append(ASCII.equals)
            default: throw .malformed
            }
            i += 3
        }
        return out
    }

    private static func isNonce(_ bytes: [UInt8]) -> Bool {
        !bytes.isEmpty && bytes.count <= 512 && bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != ASCII.comma }
    }
}
