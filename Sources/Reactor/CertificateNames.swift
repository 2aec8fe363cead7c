import COpenSSL

/// The host names a certificate is for.
package enum CertificateNames {
    private final class List { var names: [String] = [] }

    /// Lower case, as the certificate has them (`*.example` too); none when the file has no certificate or it names none.
    package static func read(_ path: String) -> [String] {
        let list = List()
        _ = mt_certificate_dns_names(
            path,
            { bytes, length, argument in
                guard let bytes, let argument, length > 0 else { return }
                let name = String(decoding: UnsafeBufferPointer(start: bytes, count: Int(length)), as: UTF8.self)
                Unmanaged<List>.fromOpaque(argument).takeUnretainedValue().names.append(name.lowercased())
            }, Unmanaged.passUnretained(list).toOpaque())
        return list.names
    }
}
