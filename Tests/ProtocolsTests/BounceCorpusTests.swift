import Base
import Foundation
import Protocols
import Testing

/// Bounces met in the wild (two public collections), read here and by Python's email package.
@Suite(.enabled(if: BounceCorpus.exists, "no conformance folder, or no python3")) struct BounceCorpusTests {
    @Test func theSameRecipientsAsPythonFinds() throws {
        let files = BounceCorpus.files
        #expect(files.count > 150)
        let expected = try BounceCorpus.read(files)
        var reports = 0
        for file in files {
            var bytes = Array(try Data(contentsOf: file))
            // An mbox separator is no part of the message.
            if bytes.starts(with: Array("From ".utf8)), let lf = bytes.firstIndex(of: ASCII.lf) {
                bytes.removeSubrange(...lf)
            }
            let found = ReceivedReport(bytes)?.recipients.map { String(decoding: $0.address, as: UTF8.self) } ?? []
            if !found.isEmpty { reports += 1 }
            #expect(found == expected[file.path] ?? [], "\(file.path)")
        }
        #expect(reports > 50)
    }
}

enum BounceCorpus {
    private static let folder = URL(
        filePath: ProcessInfo.processInfo.environment["MARTLET_CONFORMANCE"]
            ?? URL(filePath: #filePath).appending(path: "../../../../shared/conformance").standardizedFileURL.path
    ).appending(path: "dsn")

    static var exists: Bool {
        FileManager.default.fileExists(atPath: folder.path)
            && FileManager.default.fileExists(atPath: "/usr/bin/python3")
    }

    static var files: [URL] {
        ["bounceparser-corpus", "flufl-bounce-data"].flatMap { name in
            (try? FileManager.default.contentsOfDirectory(
                at: folder.appending(path: name), includingPropertiesForKeys: nil)) ?? []
        }.sorted { $0.path < $1.path }
    }

    /// By path, the Final-Recipient (else Original-Recipient) addresses of reports.
    static func read(_ files: [URL]) throws -> [String: [String]] {
        let script = """
            import sys, json, email
            out = {}
            for name in sys.stdin.read().split('\\n'):
                m = email.message_from_bytes(open(name, 'rb').read())
                if m.get_content_type() != 'multipart/report': continue
                if (m.get_param('report-type') or '').lower() != 'delivery-status': continue
                parts = m.get_payload()
                if not isinstance(parts, list): continue
                for p in parts:
                    if p.get_content_type() not in ('message/delivery-status', 'message/global-delivery-status'): continue
                    found = []
                    for g in p.get_payload():
                        if g.get('Final-Recipient') is None: continue
                        v = ''.join(g['Final-Recipient'].split('\\n')).partition(';')[2].strip(' \\t')
                        if v: found.append(v)
                    out[name] = found
                    break
            print(json.dumps(out))
            """
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/python3")
        process.arguments = ["-c", script]
        let input = Pipe()
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        input.fileHandleForWriting.write(Data(files.map(\.path).joined(separator: "\n").utf8))
        try input.fileHandleForWriting.close()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return try JSONDecoder().decode([String: [String]].self, from: data)
    }
}
