/// The scheduler's bounds. The defaults are polite to one destination and enough for thousands of messages a second.
package struct SchedulerConfiguration: Sendable, Hashable {
    /// Jobs in memory, at workers or waiting for one. Bounds memory: a job has at most the octets a body may have in a row.
    package var slotsMax = 8_192
    /// Jobs at workers at once, all destinations together.
    package var inFlightMax = 4_096
    /// `delivery.max_connections_per_destination`.
    package var windowMax = 20
    /// What a destination begins with.
    package var windowStart = 20
    /// Messages a minute to one destination; 0: no limit.
    package var ratePerMinute = 0
    /// Jobs of one destination in memory beyond those at workers; above half of it new mail goes through the queue.
    package var readyMax = 1_024
    /// First and longest pause of a destination that no host answers for.
    package var pauseSecondsMin = 15.0
    package var pauseSecondsMax = 1_800.0
    /// Whole failures in a row, in units of the window, after which a destination is paused.
    package var cohortsMax = 1.0
    /// Rows leased for one destination, and destinations in one write.
    package var leaseRowsMax = 256
    package var leaseSitesMax = 64
    /// Outcomes settled in one write.
    package var settleMax = 512
    /// After this a lease is no longer extended: the worker is believed lost.
    package var jobSecondsMax = 7_200.0

    package init() {}
}
