package import Protocols

/// A check as a plain synchronous function: it reads facts, throws what it lacks, and is run again from the start when
/// more is known. It asks nobody, waits for nothing and counts its own lookup limits, so a verdict depends on facts only.
package protocol Evaluation {
    associatedtype Verdict
    func evaluate(_ facts: Facts) throws(Missing) -> Verdict
}
