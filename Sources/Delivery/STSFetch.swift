package import Fetch
package import MailAuth
package import Protocols

/// From the addresses of a policy host to a policy, or to what TLS reports call its absence. Blocking.
package enum STSFetch {
    package struct Success: Sendable, Hashable {
        package let policy: MTASTSPolicy
        /// As it came.
        package let file: [UInt8]
    }

    package struct Failure: Error, Sendable, Hashable {
        package let result: TLSResultType
        package let detail: [UInt8]
    }

    // RFC 8461 §3.2 and §3.3
    package static func fetch(
        _ domain: [UInt8], _ addresses: [IPAddress], access: FetchAccess
    ) -> Result<Success, Failure> {
        var request = FetchRequest(
            host: MTASTSDiscovery.policyHost(domain), path: Array("/.well-known/mta-sts.txt".utf8),
            addresses: addresses)
        request.mediaType = Array("text/plain".utf8)
        request.access = access
        switch HTTPSFetcher.fetch(request) {
        case .failure(let problem):
            return .failure(Failure(result: result(problem), detail: Array(problem.text.utf8)))
        case .success(let file):
            do throws(MTASTSPolicy.Problem) {
                return .success(Success(policy: try MTASTSPolicy(file), file: file))
            } catch {
                return .failure(Failure(result: .stsPolicyInvalid, detail: Array(error.rawValue.utf8)))
            }
        }
    }

    // RFC 8460 §4.3.2.2
    private static func result(_ problem: FetchProblem) -> TLSResultType {
        switch problem {
        case .certificate, .tls: .stsWebPKIInvalid
        case .tooLarge, .mediaType: .stsPolicyInvalid
        case .noAddress, .forbiddenAddress, .connection, .timeout, .status, .malformed: .stsPolicyFetchError
        }
    }
}
