import Testing

@testable import Server

@Suite struct ReloadTests {
    private func load(_ sets: [String] = []) throws -> LoadedConfiguration {
        try ConfigLoadTests.load(nil, sets: sets)
    }

    /// The schema's word against what a reload hands to the parts of the server: every key, one by one.
    @Test(arguments: ConfigSchemaTests.examples)
    func aKeyIsReloadableWhenAReloadAppliesIt(_ example: String) throws {
        let key = String(example.prefix { $0 != "=" })
        let setting = try #require(ConfigSchema.setting(key))
        // What the new value wants to go with it.
        let base = key == "tls.mode" ? ["tls.acme.names=mx.example", "tls.acme.agree_to_terms=true"] : []
        let running = try load(base)
        let fresh = try load(base + [example])
        let next = try running.followed(by: fresh)
        #expect(
            (LiveSettings(next.configuration) != LiveSettings(running.configuration)) == setting.reloadable, "\(key)")
        // What only a restart applies stays as it was, and is named again by the next reload.
        #expect((setting.read(next.configuration) == setting.read(fresh.configuration)) == setting.reloadable)
        let again = next.changes(to: fresh)
        #expect(again.map(\.key) == (setting.reloadable ? [] : [key]))
        let text = try #require(ConfigRendering.explain(key, running))
        #expect(text.contains(setting.reloadable ? "by reload" : "at restart"))
    }

    /// The file may drop a listener and what it needs at once; the server keeps the listener until a restart.
    @Test func whatOnlyARestartChangesMustGoWithTheRest() throws {
        let listener = #"{"address":"127.0.0.1:2525","kind":"mx","proxy_protocol":true}"#
        let running = try load(["smtp.listeners=[\(listener)]", #"smtp.proxy_networks=["192.0.2.0/24"]"#])
        let fresh = try load([])
        let error = #expect(throws: ConfigProblems.self) { _ = try running.followed(by: fresh) }
        #expect("\(try #require(error))".contains("with what only a restart changes, "))
        #expect("\(try #require(error))".contains("smtp.listeners"))
    }

    /// A server that drains says so to whoever waits, and to whoever comes later.
    @Test func nobodyWaitsForAServerThatIsStopping() {
        let requests = ReloadRequests()
        requests.close()
        let answer = requests.hook(.text)
        #expect(answer.status == ExitStatus.temporary && answer.complaint.contains("the server is stopping"))
    }

    @Test func everyKeyHasAnExample() {
        let keys = Set(ConfigSchemaTests.examples.map { String($0.prefix { $0 != "=" }) })
        #expect(keys == Set(ConfigSchema.settings.map(\.key)))
    }

    @Test func whatTheAskerIsTold() throws {
        let running = try load()
        let fresh = try load(["delivery.max_age=2d", "smtp.reactors=3", "dmarc.mode=rfc7489"])
        let report = ReloadReport(running.changes(to: fresh))
        #expect(report.applied == ["delivery.max_age", "dmarc.mode"] && report.waiting == ["smtp.reactors"])
        let text = String(decoding: report.answer(.text).output, as: UTF8.self)
        #expect(text.contains("in force:      delivery.max_age\n") && text.contains("needs restart: smtp.reactors\n"))
        let json = String(decoding: report.answer(.json).output, as: UTF8.self)
        #expect(json == "{\"applied\":[\"delivery.max_age\",\"dmarc.mode\"],\"need_restart\":[\"smtp.reactors\"]}\n")
        var grown = report
        grown.note(filters: 2, atStart: 2)
        #expect(grown == report)
        grown.note(filters: 3, atStart: 2)
        #expect(
            String(decoding: grown.answer(.text).output, as: UTF8.self).contains(
                "note:          smtp.milters: 3 filters"))
        #expect(String(decoding: grown.answer(.json).output, as: UTF8.self).contains("\"notes\":[\"smtp.milters: 3 "))
        let nothing = ReloadReport(running.changes(to: running)).answer(.text)
        #expect(String(decoding: nothing.output, as: UTF8.self).contains("no setting has changed"))
        let refused = ReloadReport(refused: "FILE:1:2: no").answer(.text)
        #expect(refused.status == ExitStatus.configuration && refused.complaint.contains("stays in force"))
        // The values of keys may be secrets; their names are not.
        #expect(!text.contains("2d"))
    }
}
