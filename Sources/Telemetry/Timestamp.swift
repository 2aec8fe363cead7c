import Base

/// Numbers and UTC times as ASCII, without temporary storage.
enum Timestamp {
    /// `2026-11-23T01:02:03.456Z`
    static func append(_ microseconds: Int64, to out: inout [UInt8]) {
        let us = max(microseconds, 0)
        let seconds = us / 1_000_000
        let (year, month, day) = civil(days: seconds / 86_400)
        let ofDay = seconds % 86_400
        append(year, digits: 4, to: &out)
        out.append(ASCII.hyphen)
        append(month, digits: 2, to: &out)
        out.append(ASCII.hyphen)
        append(day, digits: 2, to: &out)
        out.append(0x54)
        append(ofDay / 3_600, digits: 2, to: &out)
        out.append(ASCII.colon)
        append(ofDay / 60 % 60, digits: 2, to: &out)
        out.append(ASCII.colon)
        append(ofDay % 60, digits: 2, to: &out)
        out.append(ASCII.dot)
        append(us / 1_000 % 1_000, digits: 3, to: &out)
        out.append(0x5A)
    }

    /// The lowest `digits` digits of `value`, padded with zeros.
    static func append(_ value: Int64, digits: Int, to out: inout [UInt8]) {
        var divisor: Int64 = 1
        for _ in 1..<max(digits, 1) { divisor *= 10 }
        while divisor > 0 {
            out.append(0x30 + UInt8(value / divisor % 10))
            divisor /= 10
        }
    }

    static func append(decimal value: Int, to out: inout [UInt8]) {
        if value < 0 { out.append(ASCII.hyphen) }
        var divisor: UInt = 1
        let rest = value.magnitude
        while rest / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            out.append(0x30 + UInt8(rest / divisor % 10))
            divisor /= 10
        }
    }

    /// The Gregorian date of a count of days since 1970-01-01; years start in March here so leap days come last.
    static func civil(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }
}
