import Policy
import Protocols
import Testing

@Suite struct DomainDefenseFieldTests {
    private func field(_ name: String) throws -> DomainPolicyField { try #require(DomainPolicyField.named(name)) }

    /// What is written reads back in one form, and that form means the same.
    @Test(arguments: [
        ("greylist", "true", "true"), ("greylist_delay", "15", "15m"), ("greylist_delay", "5m", "5m"),
        ("greylist_delay", "480", "8h"), ("greylist_delay", "301s", "301s"), ("greylist_window", "48", "2d"),
        ("greylist_window", "12h", "12h"), ("greylist_window", "4w", "28d"), ("greylist_expiry", "36", "36d"),
        ("greylist_expiry", "0", "0"), ("greylist_expiry", "0d", "0"), ("greylist_expiry", "24h", "1d"),
        ("greylist_early_retry_reply", "421", "421"),
        ("greylist_skip_domains", "B.example, a.example", "b.example,a.example"),
        ("greylist_skip_domains", "none", "none"), ("greylist_skip_score", "none", "none"),
        ("greylist_skip_score", "-100", "-100"), ("greylist_skip_score", "+3", "3"), ("tarpit", "true", "true"),
        ("tarpit_max_delay", "30", "30s"), ("tarpit_max_delay", "1s", "1s"),
        ("tarpit_allow", "192.0.2.0/24, 2001:DB8::/32,192.0.2.0/24", "192.0.2.0/24,2001:db8::/32"),
        ("tarpit_allow", "::ffff:192.0.2.1", "192.0.2.1"), ("tarpit_allow", "none", "none"),
        ("lists", "Zen.example=5", "zen.example=5"), ("lists", "none", "none"),
        (
            "lists", "zen.example:2-3,127.0.0.10,127.0.0.11-127.0.0.12=4, wl.example:1-3=-5",
            "zen.example:2-3,10,11-12=4,wl.example:1-3=-5"
        ),
        ("lists", "zen.example:2=4,zen.example:4=3", "zen.example:2=4,zen.example:4=3"),
        ("score_reverse", "0", "0"), ("score_helo", "-3", "-3"), ("score_early_talker", "100", "100"),
        ("score_reject", "0", "0"), ("score_quarantine", "1000", "1000"), ("milters", "all", "all"),
        ("milters", "none", "none"), ("milters", "rspamd, dkim-1.a", "rspamd,dkim-1.a"),
    ])
    func roundTrips(_ name: String, _ given: String, _ want: String) throws {
        let field = try field(name)
        var policy = DomainPolicy()
        #expect(field.write(&policy, given))
        #expect(field.read(policy) == want)
        var again = DomainPolicy()
        #expect(field.write(&again, want))
        #expect(again == policy)
    }

    @Test(arguments: [
        ("greylist", "yes"), ("greylist", ""), ("greylist_delay", "4"), ("greylist_delay", "481"),
        ("greylist_delay", "299s"), ("greylist_delay", "-15"), ("greylist_delay", "15 m"), ("greylist_delay", "m"),
        ("greylist_delay", "99999999999999999999"), ("greylist_delay", "1M"), ("greylist_window", "11"),
        ("greylist_window", "31d"), ("greylist_window", "0"), ("greylist_expiry", "1h"), ("greylist_expiry", "3651"),
        ("greylist_expiry", "-1"), ("greylist_early_retry_reply", "451"), ("greylist_skip_domains", "a..b"),
        ("greylist_skip_domains", ""), ("greylist_skip_domains", "NONE"), ("greylist_skip_score", "101"),
        ("greylist_skip_score", "--1"),
        ("greylist_skip_score", "1.5"), ("tarpit_max_delay", "0"), ("tarpit_max_delay", "31"),
        ("tarpit_max_delay", "1m"), ("tarpit_allow", "192.0.2.1/24"), ("tarpit_allow", "192.0.2.0/33"),
        ("tarpit_allow", "host.example"), ("tarpit_allow", ""), ("lists", ""), ("lists", "zen.example"),
        ("lists", "zen.example="), ("lists", "zen.example=0"), ("lists", "zen.example=101"),
        ("lists", "zen.example=5,"), ("lists", ",zen.example=5"), ("lists", "zen.example:=5"),
        ("lists", "zen.example:256=5"), ("lists", "zen.example:5-2=5"), ("lists", "zen.example:2"),
        ("lists", "zen.example:2,3"), ("lists", "zen.example=5,zen.example=4"), ("lists", "zen example=5=6"),
        ("lists", "zen lab=4"), ("greylist_skip_domains", "a .example"), ("milters", "a b"),
        ("tarpit_allow", "192.0. 2.1"),
        ("lists", "zen.example.=5"), ("lists", "zen.example:10.0.0.2=5"), ("score_reverse", "101"),
        ("score_reject", "-1"), ("score_reject", "1001"), ("score_reject", ""), ("milters", ""),
        ("milters", "a,all"), ("milters", "a,,b"), ("milters", "a b/c"),
    ])
    func refuses(_ name: String, _ given: String) throws {
        var policy = DomainPolicy()
        #expect(try !field(name).write(&policy, given))
        #expect(policy == DomainPolicy(), "a refused text changed something")
    }

    @Test func defaultsAreAsDocumented() throws {
        for field in DomainPolicyField.all {
            #expect(field.read(DomainPolicy()) == field.defaultText, "\(field.name)")
            var policy = DomainPolicy()
            #expect(field.write(&policy, field.defaultText), "\(field.name)")
            #expect(policy == DomainPolicy(), "\(field.name)")
        }
        #expect(try field("greylist_delay").defaultText == "15m")
        #expect(try field("tarpit_max_delay").defaultText == "8s")
    }

    /// Together they are as large as they may be, and still one value.
    @Test func listsAreBounded() throws {
        let lists = try field("lists")
        var policy = DomainPolicy()
        let entries = (0..<DomainDefense.DNSList.countMax).map { "l\($0).example=1" }
        #expect(lists.write(&policy, entries.joined(separator: ",")))
        #expect(policy.defense.score.lists.count == DomainDefense.DNSList.countMax)
        #expect(!lists.write(&policy, (entries + ["x.example=1"]).joined(separator: ",")))
        let zone = (0..<4).map { _ in String(repeating: "a", count: 44) }.joined(separator: ".")
        #expect(lists.write(&policy, zone + "=1"))
        #expect(!lists.write(&policy, zone + "aa=1"))
        let codes = (1...DomainDefense.DNSList.codesMax).map(String.init).joined(separator: ",")
        #expect(lists.write(&policy, "z.example:\(codes)=1"))
        #expect(!lists.write(&policy, "z.example:\(codes),99=1"))
        let names = (0..<DomainDefense.Milters.namesMax).map { "m\($0)" }.joined(separator: ",")
        let milters = try field("milters")
        #expect(milters.write(&policy, names))
        #expect(!milters.write(&policy, names + ",x"))
        #expect(!milters.write(&policy, String(repeating: "m", count: 65)))
    }

    @Test func whatOneFieldSetsTheOthersKeep() throws {
        var policy = DomainPolicy()
        for (name, text) in [
            ("greylist", "true"), ("greylist_delay", "5"), ("tarpit", "true"), ("lists", "a.example=2"),
            ("milters", "none"),
        ] {
            #expect(try field(name).write(&policy, text))
        }
        #expect(policy.defense.greylist.isOn && policy.defense.greylist.delaySeconds == 300)
        #expect(policy.defense.tarpit.isOn && policy.defense.tarpit.maxSeconds == 8)
        #expect(policy.defense.score.lists == [DomainDefense.DNSList(zone: Array("a.example".utf8), weight: 2)])
        #expect(policy.defense.milters == .off)
    }

    /// Each fault is named with the part that has it.
    @Test(arguments: [
        ("zen.example", "\"zen.example\" has no weight"), ("a.example=5,zen lab=4", "\"zen lab=4\": the zone"),
        ("zen.example=0", "the weight"), ("zen.example=x", "the weight"), ("zen.example:300=5", "\"300\" is no code"),
        ("zen.example:2", "has no weight: write zone:codes=5"), ("zen.example=5,zen.example=4", "twice"),
        ("=5", "the zone"),
    ])
    func faultsOfListsAreNamed(_ given: String, _ want: String) throws {
        let complaint = try field("lists").complaint(given)
        #expect(complaint.contains(want), "\(complaint)")
    }

    @Test func manyListsAreToldApartFromWrongOnes() throws {
        let many = (0...DomainDefense.DNSList.countMax).map { "z\($0).example=1" }.joined(separator: ",")
        #expect(try field("lists").complaint(many).contains("more than \(DomainDefense.DNSList.countMax) lists"))
        #expect(try field("greylist_delay").complaint("x") == field("greylist_delay").summary)
    }
}
