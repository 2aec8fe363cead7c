/// What is signed for the domain.
extension DomainPolicyField {
    static let signing: [DomainPolicyField] = [
        choice(
            "dkim_sign", \.dkimSigning,
            summary: "Whether mail of the domain is signed with its active DKIM keys: true or false."),
        choice(
            "arc_seal", \.arcSealing,
            summary: "Whether mail for the domain that is forwarded gets an ARC seal: true or false."),
    ]
}

extension DomainPolicy {
    fileprivate var dkimSigning: Switch {
        get { dkimSign ? .on : .off }
        set { dkimSign = newValue == .on }
    }

    fileprivate var arcSealing: Switch {
        get { arcSeal ? .on : .off }
        set { arcSeal = newValue == .on }
    }
}
