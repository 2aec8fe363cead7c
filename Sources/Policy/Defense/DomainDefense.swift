/// How one receiving domain defends itself: part of `DomainPolicy`. Seconds are whole.
package struct DomainDefense: Sendable, Hashable {
    package var greylist = Greylist()
    package var tarpit = Tarpit()
    package var score = Score()
    /// Which filters of the listener look at mail for the domain.
    package var milters = Milters.all

    package init() {}

    package struct Greylist: Sendable, Hashable {
        package var isOn = false
        /// How long a new triplet waits; 5 to 480 minutes.
        package var delaySeconds = 15 * 60
        /// A triplet that does not come back within this time since it was first seen starts anew.
        package var windowSeconds = 48 * 3_600
        /// A known triplet is forgotten this long after its last mail; 0: never.
        package var expirySeconds = 36 * 86_400
        package var earlyReply = EarlyReply.later
        /// Sender domains that are never greylisted, when proven by SPF.
        package var skipDomains: [[UInt8]] = []
        /// Clients whose score is at most this are not greylisted; nil: all are.
        package var skipScore: Int? = -1

        package init() {}

        package enum EarlyReply: String, Sendable, CaseIterable {
            /// 450 4.7.1, and the session goes on.
            case later = "450"
            /// 421 4.7.1, and the connection is closed.
            case close = "421"
        }
    }

    package struct Tarpit: Sendable, Hashable {
        package var isOn = false
        /// The longest delay of one reply; 1 to 30 s.
        package var maxSeconds = 8
        package var allow: [AddressBlock] = []

        package init() {}
    }

    /// Evidence about a client adds up; nothing of it decides alone unless its weight reaches a threshold.
    package struct Score: Sendable, Hashable {
        /// Block lists have positive weights, welcome lists negative ones.
        package var lists: [DNSList] = []
        /// No reverse name that leads back to the address.
        package var reverseWeight = 1
        /// HELO is no name at all, or our own, or another address.
        package var heloWeight = 1
        /// The client spoke before the banner.
        package var earlyTalkerWeight = 3
        /// 550 from here on; 0: never.
        package var rejectAt = 8
        /// Junk from here on; 0: never.
        package var quarantineAt = 6

        package init() {}

        /// The most that can come together: what cannot reach a threshold need not be asked.
        package var highest: Int {
            lists.reduce(max(0, reverseWeight) + max(0, heloWeight) + max(0, earlyTalkerWeight)) {
                $0 + max(0, $1.weight)
            }
        }
    }

    /// One list in DNS (RFC 5782) as `zone=weight` or `zone:2-11,127.0.0.x…=weight`.
    package struct DNSList: Sendable, Hashable {
        /// Lower case, without a trailing dot.
        package var zone: [UInt8]
        package var weight: Int
        /// The last octets of 127.0.0.x that count; empty: every answer in 127.0.0.0/8 does.
        package var codes: [ClosedRange<UInt8>] = []

        package init(zone: [UInt8], weight: Int, codes: [ClosedRange<UInt8>] = []) {
            self.zone = zone
            self.weight = weight
            self.codes = codes
        }
    }

    package enum Milters: Sendable, Hashable {
        case all
        case off
        case named([[UInt8]])
    }
}
