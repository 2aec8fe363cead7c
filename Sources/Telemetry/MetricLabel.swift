/// A closed set of values one label may take. Cases count up from 0 in order, so a case is an array index.
///
/// Conformers are `enum X: Int, MetricLabel` declared in the `…Metrics.swift` of the layer that counts.
package protocol MetricLabel: CaseIterable, RawRepresentable, Sendable where RawValue == Int {
    /// The label's name in the exposition.
    static var label: String { get }
    /// The value's text in the exposition; the case name unless given.
    var text: String { get }
}

extension MetricLabel {
    package var text: String { "\(self)" }

    package static var values: LabelSet { LabelSet(name: label, values: allCases.map(\.text)) }
}

/// A label's name and every value it can have.
package struct LabelSet: Sendable {
    package let name: String
    package let values: [String]
}
