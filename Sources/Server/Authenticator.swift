import Base
import Crypto
import Store

/// What checking a client's credentials came to.
enum AuthOutcome: Sendable {
    case authenticated(address: [UInt8])
    case rejected
    /// The store or the hashing threads could not say: try again later.
    case unavailable
}

/// Checks passwords and begins SCRAM exchanges: the record comes from a store reader, the hashing runs on worker threads,
/// the answer comes to the completion on whichever thread had the last word.
///
/// Shareable: everything it holds is.
final class Authenticator: Sendable {
    private let gateway: StoreGateway
    private let workers: WorkerPool
    /// Makes the salt of an account that does not exist look like any other's.
    private let secret: [UInt8]

    init(gateway: StoreGateway, workers: WorkerPool) {
        self.gateway = gateway
        self.workers = workers
        secret = SystemRandom().bytes(32)
    }

    func check(user: [UInt8], password: Secret, completion: @escaping @Sendable (AuthOutcome) -> Void) {
        let address = ASCII.lowercased(user)
        lookUp(address) { [workers] result in
            guard case .success(let record) = result else { return completion(.unavailable) }
            // An unknown account costs as much time as a known one.
            let hash = record?.credentials.passwordHash ?? PasswordHash.decoy
            let usable = record.map { !$0.isDisabled && $0.credentials.passwordHash != nil } ?? false
            let taken = workers.run {
                let matches = PasswordHash.verify(password, hash)
                completion(matches && usable ? .authenticated(address: address) : .rejected)
            }
            if !taken { completion(.unavailable) }
        }
    }

    /// nil in the completion: the store could not say.
    func beginSCRAM(
        _ client: SCRAM.ClientFirst, completion: @escaping @Sendable (SCRAM.Exchange?) -> Void
    ) {
        let user = ASCII.lowercased(client.user)
        lookUp(user) { [secret] result in
            guard case .success(let record) = result else { return completion(nil) }
            var random = SystemRandom()
            completion(SCRAM.begin(client, Self.keys(record, user, secret), nonce: random.token(24)))
        }
    }

    private static func keys(_ record: CredentialRecord?, _ user: [UInt8], _ secret: [UInt8]) -> SCRAMCredentials {
        guard let record, !record.isDisabled, let scram = record.credentials.scram else {
            return .decoy(user: user, serverSecret: secret)
        }
        return SCRAMCredentials(
            salt: scram.salt, iterations: scram.iterations, storedKey: scram.storedKey, serverKey: scram.serverKey)
    }

    private func lookUp(
        _ address: [UInt8], completion: @escaping @Sendable (Result<CredentialRecord?, StoreError>) -> Void
    ) {
        let asked = gateway.read(
            { (session: any StoreReaderSession) throws(StoreError) -> CredentialRecord? in
                try session.credentials(of: address)
            }, completion: completion)
        if !asked { completion(.failure(.unavailable(.busy))) }
    }
}
