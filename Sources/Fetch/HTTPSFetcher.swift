import Base
import CCurl
import Protocols

/// Blocking HTTPS GET through libcurl, for threads that may block. One request, one connection, nothing kept: no
/// redirects, no proxy, no cookies, no cache; certificate and name are verified; only the given addresses are used.
package enum HTTPSFetcher {
    /// libcurl wants this once, before any thread uses it.
    private static let isReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

    /// The body, or why there is none.
    package static func fetch(_ request: FetchRequest) -> Result<[UInt8], FetchProblem> {
        guard !request.addresses.isEmpty else { return .failure(.noAddress) }
        let addresses = request.addresses.filter { request.access.allowsLocalAddresses || $0.isGlobal }
        guard !addresses.isEmpty else { return .failure(.forbiddenAddress) }
        guard isSafe(request), isReady, let handle = curl_easy_init() else {
            return .failure(.malformed("the request could not be made"))
        }
        defer { curl_easy_cleanup(handle) }
        let transfer = FetchTransfer(handle, octetsMax: request.limits.octets)
        return transfer.run(request, addresses)
    }

    /// Names come from strangers: nothing that could end a URL part or a list entry goes in.
    private static func isSafe(_ request: FetchRequest) -> Bool {
        let isHost = request.host.allSatisfy {
            ASCII.isAlphanumeric($0) || $0 == ASCII.hyphen || $0 == ASCII.dot || $0 == 0x5F
        }
        let isPath = request.path.first == ASCII.slash && request.path.allSatisfy { (0x21..<0x7F).contains($0) }
        return isHost && isPath && !request.host.isEmpty && request.host.count <= 253
    }
}
