/// What commands exit with; sysexits(3) where it has a word for it.
package enum ExitStatus {
    package static let success: Int32 = 0
    package static let failure: Int32 = 1
    /// A check ran and found problems.
    package static let problemsFound: Int32 = 2
    package static let usage: Int32 = 64
    package static let data: Int32 = 65
    /// No daemon is running.
    package static let unavailable: Int32 = 69
    /// What was to be said could not be written.
    package static let inputOutput: Int32 = 74
    package static let temporary: Int32 = 75
    package static let permission: Int32 = 77
    package static let configuration: Int32 = 78
}
