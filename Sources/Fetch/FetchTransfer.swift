import Base
import CCurl
import Protocols

/// One transfer on one libcurl handle, on one thread.
final class FetchTransfer {
    private let handle: UnsafeMutableRawPointer
    private let octetsMax: Int
    private var body: [UInt8] = []
    private var isTooLarge = false

    init(_ handle: UnsafeMutableRawPointer, octetsMax: Int) {
        self.handle = handle
        self.octetsMax = octetsMax
    }

    func run(_ request: FetchRequest, _ addresses: [IPAddress]) -> Result<[UInt8], FetchProblem> {
        let host = String(decoding: request.host, as: UTF8.self)
        let port = request.access.port
        let pinned = curl_slist_append(nil, "\(host):\(port):\(Self.list(addresses))")
        defer { curl_slist_free_all(pinned) }
        setSecurity(request.access)
        setLimits(request.limits)
        set(CURLOPT_RESOLVE, pointer: pinned)
        set(CURLOPT_URL, "https://\(host):\(port)\(String(decoding: request.path, as: UTF8.self))")
        _ = mt_curl_set_write(handle) { bytes, size, count, context in
            guard let bytes, let context else { return 0 }
            let transfer = Unmanaged<FetchTransfer>.fromOpaque(context).takeUnretainedValue()
            return transfer.take(UnsafeRawBufferPointer(start: bytes, count: size * count))
        }
        set(CURLOPT_WRITEDATA, pointer: Unmanaged.passUnretained(self).toOpaque())
        let code = curl_easy_perform(handle)
        guard code == CURLE_OK else { return .failure(problem(code)) }
        return checked(request)
    }

    /// Bracketed and parted by commas, as CURLOPT_RESOLVE wants them.
    private static func list(_ addresses: [IPAddress]) -> String {
        addresses.prefix(8).map { $0.isIPv4 ? "\($0)" : "[\($0)]" }.joined(separator: ",")
    }

    private func setSecurity(_ access: FetchAccess) {
        set(CURLOPT_PROTOCOLS_STR, "https")
        set(CURLOPT_FOLLOWLOCATION, 0)
        // The environment may name a proxy; nobody but the host itself shall be spoken to.
        set(CURLOPT_PROXY, "")
        set(CURLOPT_SSL_VERIFYPEER, 1)
        set(CURLOPT_SSL_VERIFYHOST, 2)
        set(CURLOPT_SSLVERSION, 6)  // CURL_SSLVERSION_TLSv1_2, or above
        if let roots = access.rootsFile { set(CURLOPT_CAINFO, roots) }
        if access.rootsFile != nil { set(CURLOPT_CAPATH, pointer: nil) }
    }

    private func setLimits(_ limits: FetchLimits) {
        // Signals would reach other threads.
        set(CURLOPT_NOSIGNAL, 1)
        set(CURLOPT_TIMEOUT, limits.seconds)
        set(CURLOPT_CONNECTTIMEOUT, min(limits.seconds, 15))
        set(CURLOPT_MAXFILESIZE, limits.octets)
        set(CURLOPT_FORBID_REUSE, 1)
        // Bounds the head as well: 64 lines of it, and libcurl's own limit on their size.
        set(CURLOPT_HTTP_VERSION, 2)  // CURL_HTTP_VERSION_1_1
    }

    /// Fewer octets taken than given ends the transfer.
    private func take(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard body.count + bytes.count <= octetsMax else {
            isTooLarge = true
            return 0
        }
        body.append(contentsOf: bytes)
        return bytes.count
    }

    private func checked(_ request: FetchRequest) -> Result<[UInt8], FetchProblem> {
        var status = 0
        _ = mt_curl_get_long(handle, CURLINFO_RESPONSE_CODE, &status)
        guard status == 200 else { return .failure(.status(status)) }
        guard request.mediaType.isEmpty || mediaType == request.mediaType else {
            return .failure(.mediaType(mediaType))
        }
        return .success(body)
    }

    /// Without parameters, in lower case.
    private var mediaType: [UInt8] {
        var text: UnsafePointer<CChar>?
        _ = mt_curl_get_text(handle, CURLINFO_CONTENT_TYPE, &text)
        guard let text else { return [] }
        let type = Array(String(cString: text).utf8).prefix { $0 != ASCII.semicolon }
        return ASCII.lowercased(type.filter { $0 != ASCII.space && $0 != ASCII.tab })
    }

    private func problem(_ code: CURLcode) -> FetchProblem {
        let text = String(cString: curl_easy_strerror(code))
        switch code {
        case CURLE_OPERATION_TIMEDOUT: return .timeout
        case CURLE_FILESIZE_EXCEEDED: return .tooLarge
        case CURLE_WRITE_ERROR: return isTooLarge ? .tooLarge : .malformed(text)
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_ISSUER_ERROR: return .certificate(certificateProblem ?? text)
        case CURLE_SSL_CONNECT_ERROR, CURLE_SSL_CIPHER, CURLE_SSL_ENGINE_INITFAILED: return .tls(text)
        case CURLE_SSL_CACERT_BADFILE, CURLE_SSL_CERTPROBLEM: return .tls(text)
        case CURLE_COULDNT_CONNECT, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_GOT_NOTHING, CURLE_COULDNT_RESOLVE_HOST:
            return .connection(text)
        default: return .malformed(text)
        }
    }

    /// OpenSSL's verdict, when there is one: names what is wrong with the certificate.
    private var certificateProblem: String? {
        var result = 0
        guard mt_curl_get_long(handle, CURLINFO_SSL_VERIFYRESULT, &result) == CURLE_OK, result != 0 else { return nil }
        return switch result {
        // What libcurl starts with: the name was looked at first.
        case 1: "not for this name"
        case 10: "expired"
        case 18, 19, 20, 21: "no trusted root"
        default: "verification result \(result)"
        }
    }

    private func set(_ option: CURLoption, _ value: Int) { _ = mt_curl_set_long(handle, option, value) }
    private func set(_ option: CURLoption, _ value: String) { _ = mt_curl_set_pointer(handle, option, value) }
    private func set(_ option: CURLoption, pointer: UnsafeRawPointer?) {
        _ = mt_curl_set_pointer(handle, option, pointer)
    }
}
