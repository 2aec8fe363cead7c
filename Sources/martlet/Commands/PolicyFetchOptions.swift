import ArgumentParser
import Delivery
import Fetch
import Protocols
import Server

/// How policy files are fetched, for closed networks: the same on `check mta-sts` and `check route`.
struct PolicyFetchOptions: ParsableArguments {
    @Option(
        name: .customLong("https-port"),
        help: ArgumentHelp("Fetch the policy from this port instead of 443.", valueName: "port"))
    var port: UInt16?

    @Option(
        name: .customLong("https-roots"),
        help: ArgumentHelp("Trust the certificates in this file instead of the system's.", valueName: "file"),
        completion: .file())
    var roots: String?

    @Option(
        name: .customLong("https-address"),
        help: ArgumentHelp(
            "Connect here, whatever DNS says; addresses of this network are allowed.", valueName: "address"))
    var address: String?

    @Flag(
        name: .customLong("https-local"),
        help: "Allow addresses that are not public.")
    var allowsLocal = false

    func validate() throws {
        if let address, IPAddress(address) == nil {
            throw ValidationError("--https-address \(address): not an IP address")
        }
    }

    var access: FetchAccess {
        var access = FetchAccess()
        if let port { access.port = port }
        access.rootsFile = roots
        access.allowsLocalAddresses = allowsLocal || address != nil
        return access
    }

    /// The policy that `announced` speaks of, fetched now.
    func fetch(_ domain: [UInt8], _ announced: [IPAddress]) -> Result<STSFetch.Success, STSFetch.Failure> {
        let addresses = address.flatMap { IPAddress($0) }.map { [$0] } ?? announced
        return STSFetch.fetch(domain, addresses, access: access)
    }
}
