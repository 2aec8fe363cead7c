import Delivery
import Store
import Telemetry

/// MTA-STS policies in the store. Called on the policy service's threads, which may wait.
struct StoredPolicies: STSPolicyStorage {
    let gateway: StoreGateway
    let log: Log

    func load() -> [STSPolicyRecord] {
        let answer = StoreAwait<[STSPolicyRecord]>()
        let asked = gateway.read { (session) throws(StoreError) in
            try session.stsPolicies()
        } completion: {
            answer.give($0)
        }
        guard asked else { return [] }
        switch answer.wait() {
        case .success(let records): return records
        case .failure(let error):
            // Without them the domains are asked again; what an attacker hides meanwhile is hidden.
            log.error("mta_sts_policies_unread") { $0.add("error", "\(error)") }
            return []
        }
    }

    func save(_ record: STSPolicyRecord) {
        write("mta_sts_policy_unsaved", record.domain) { (session) throws(StoreError) in
            try session.saveSTSPolicy(record)
        }
    }

    func remove(domain: [UInt8]) {
        write("mta_sts_policy_unremoved", domain) { (session) throws(StoreError) in
            try session.removeSTSPolicy(domain: domain)
        }
    }

    private func write(
        _ event: StaticString, _ domain: [UInt8],
        _ job: @escaping @Sendable (any StoreWriterSession) throws(StoreError) -> Void
    ) {
        let log = log
        let asked = gateway.write(job) { result in
            guard case .failure(let error) = result else { return }
            log.error(event) {
                $0.add("domain", domain)
                $0.add("error", "\(error)")
            }
        }
        if !asked { log.error(event) { $0.add("domain", domain) } }
    }
}
