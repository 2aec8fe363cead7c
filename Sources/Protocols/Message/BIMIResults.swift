extension AuthResults {
    /// Brand Indicators for Message Identification (draft-brand-indicators-for-message-identification): whether the
    /// author domain publishes an indicator for its mail, and where. Neither indicator nor evidence has been fetched.
    package struct BIMI: Sendable, Hashable {
        package var result: Result
        /// Where the record was found, without selector and `_bimi.`; where it was looked for, when there is none.
        package var domain: [UInt8]
        /// `default`, or what the message's BIMI-Selector says.
        package var selector: [UInt8]
        /// l=: the https URI of the indicator.
        package var location: [UInt8] = []
        /// a=: the https URI of the evidence; often empty.
        package var authority: [UInt8] = []
        package var reason: [UInt8] = []
        package var isSecure = false

        package init(result: Result, domain: [UInt8] = [], selector: [UInt8] = []) {
            self.result = result
            self.domain = domain
            self.selector = selector
        }

        package enum Result: String, Sendable, Hashable, CaseIterable {
            /// A record with a usable location.
            case pass
            /// No record.
            case absent = "none"
            /// A record that cannot be used.
            case fail
            /// The record could not be looked up now.
            case temperror
            /// The domain says that it takes no part (an empty l=).
            case declined
            /// Not looked for: DMARC did not pass, or its policy is not strong enough.
            case skipped
        }
    }
}
