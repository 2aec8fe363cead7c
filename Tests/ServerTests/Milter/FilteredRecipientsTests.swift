import Policy
import Protocols
import Testing

@testable import Server

/// What becomes of the recipients that filters take away and add.
@Suite struct FilteredRecipientsTests {
    private static func address(_ text: String) -> MailAddress {
        let (local, domain) = (text.split(separator: "@")[0], text.split(separator: "@").dropFirst().first ?? "")
        return MailAddress(localpart: Array(local.utf8), domain: Array(domain.utf8))
    }

    private static let directory: DirectorySnapshot = {
        func account(_ id: Int64, _ name: String, isDisabled: Bool = false, quota: Int? = nil) -> AccountEntry {
            AccountEntry(
                id: AccountID(rawValue: id), address: Array((name + "@y.example").utf8), isAdmin: id == 1,
                isDisabled: isDisabled, quotaOctets: quota, usage: MailboxUsage(octets: 1_000))
        }
        var strict = DomainPolicy()
        strict.quotaRefusal = .permanent
        return DirectorySnapshot(
            version: 1,
            domains: [Array("y.example".utf8): DomainPolicy(), Array("strict.example".utf8): strict],
            accounts: [
                account(1, "b"), account(2, "spam"), account(3, "off", isDisabled: true),
                account(4, "full", quota: 500), account(5, "nearly", quota: 1_500),
            ],
            aliases: [
                Array("away@y.example".utf8): [Array("x@far.example".utf8)],
                Array("ring@y.example".utf8): [Array("gnir@y.example".utf8)],
                Array("gnir@y.example".utf8): [Array("ring@y.example".utf8)],
                Array("full@strict.example".utf8): [Array("full@y.example".utf8)],
            ])
    }()

    private func made(
        add: [MilterRecipient] = [], remove: [String] = [], to: [EnvelopeRecipient]? = nil, isFrontEnd: Bool = false
    ) -> FilteredRecipients {
        var changes = MilterModifications()
        changes.addedRecipients = add
        changes.removedRecipients = remove.map(Self.address)
        let envelope = to ?? [EnvelopeRecipient(address: Self.address("b@y.example"))]
        var out = FilteredRecipients(
            envelope, envelope.map { _ in ResolvedRecipient(accounts: [AccountID(rawValue: 1)]) })
        out.apply(changes, Self.directory, isFrontEnd: isFrontEnd, size: 1_000)
        return out
    }

    private func names(_ made: FilteredRecipients) -> [String] {
        made.envelope.map { String(decoding: $0.address.wire, as: UTF8.self) }
    }

    /// Whether or not somebody else is left, the message must not be taken.
    @Test(
        arguments: [
            ("nobody@y.example", 550), ("off@y.example", 550), ("full@y.example", 452), ("full@strict.example", 552),
            ("ring@y.example", 451),
        ], [true, false])
    func whatCannotBeHadIsAFailure(_ target: (String, Int), _ isRedirected: Bool) throws {
        let made = made(
            add: [MilterRecipient(Self.address(target.0))], remove: isRedirected ? ["b@y.example"] : [])
        let failure = try #require(made.failure)
        #expect(Int(failure.reply.code) == target.1)
        #expect(failure.reply.enhanced?.category == (target.1 < 500 ? 4 : 5))
        #expect(failure.address == Array(target.0.utf8))
    }

    @Test func aRedirectedMessageGoesWhereItIsSent() {
        let here = made(add: [MilterRecipient(Self.address("spam@y.example"))], remove: ["b@y.example"])
        #expect(names(here) == ["spam@y.example"])
        #expect(here.resolved.map(\.accounts) == [[AccountID(rawValue: 2)]] && here.failure == nil)
        let far = made(add: [MilterRecipient(Self.address("s@far.example"))], remove: ["b@y.example"])
        #expect(names(far) == ["s@far.example"] && far.resolved.map(\.isRemote) == [true] && far.failure == nil)
        let nobody = made(remove: ["b@y.example"])
        #expect(nobody.envelope.isEmpty && nobody.resolved.isEmpty && nobody.failure == nil)
    }

    /// A front end has no queue, and knows what came.
    @Test(arguments: [
        ("s@far.example", 550), ("away@y.example", 550), ("nearly@y.example", 452), ("spam@y.example", 0),
    ])
    func frontEndsSendNothingOn(_ target: (String, Int)) {
        let made = made(add: [MilterRecipient(Self.address(target.0))], isFrontEnd: true)
        #expect(made.failure.map { Int($0.reply.code) } ?? 0 == target.1)
    }

    @Test func whoIsThereAlreadyIsThereOnce() {
        let never = EnvelopeRecipient(address: Self.address("b@y.example"), notify: .never)
        // With new parameters, spelled in another way, and in its place.
        var wish = MilterRecipient(Self.address("B@y.example"))
        wish.recipient.notify = .success
        let other = EnvelopeRecipient(address: Self.address("spam@y.example"))
        for remove in [[], ["b@Y.example"]] {
            let out = made(add: [wish], remove: remove, to: [never, other])
            #expect(names(out) == ["b@y.example", "spam@y.example"])
            #expect(out.envelope.map(\.notify) == [.success, []] && out.resolved.count == 2)
        }
        // Without any: as they were, or none when it was removed first.
        let plain = [MilterRecipient(Self.address("b@y.example"))]
        #expect(made(add: plain, to: [never]).envelope.map(\.notify) == [.never])
        #expect(made(add: plain, remove: ["b@y.example"], to: [never]).envelope.map(\.notify) == [[]])
    }

    @Test func caseDoesNotCountWhenRemoving() {
        #expect(made(remove: ["B@y.example"]).envelope.isEmpty)
        let postmaster = EnvelopeRecipient(address: Self.address("postmaster"))
        #expect(made(remove: ["Postmaster"], to: [postmaster]).envelope.isEmpty)
    }
}
