package import Base

/// A civil date and time in UTC, and its RFC 5322 text.
package struct DateTime: Sendable, Hashable {
    package let year: Int
    package let month: Int
    package let day: Int
    package let hour: Int
    package let minute: Int
    package let second: Int
    /// 0 is Sunday.
    package let weekday: Int

    package init(_ time: WallTime) {
        var seconds = time.microseconds / 1_000_000
        if time.microseconds % 1_000_000 < 0 { seconds -= 1 }
        var days = seconds / 86_400
        var rest = seconds % 86_400
        if rest < 0 {
            rest += 86_400
            days -= 1
        }
        hour = Int(rest / 3_600)
        minute = Int(rest / 60 % 60)
        second = Int(rest % 60)
        weekday = Int(((days + 4) % 7 + 7) % 7)
        // Days are counted from 1 March of year 0, so that a leap day is the last of its year; eras are 400 years.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        day = Int(dayOfYear - (153 * marchMonth + 2) / 5 + 1)
        month = Int(marchMonth < 10 ? marchMonth + 3 : marchMonth - 9)
        year = Int(yearOfEra + era * 400) + (month <= 2 ? 1 : 0)
    }

    private static let weekdays = Array("SunMonTueWedThuFriSat".utf8)
    private static let months = Array("JanFebMarAprMayJunJulAugSepOctNovDec".utf8)

    /// RFC 5322 §3.3: `Thu, 01 Jan 1970 00:00:00 +0000`.
    package func append(to out: inout [UInt8]) {
        for i in weekday * 3..<weekday * 3 + 3 { out.append(Self.weekdays[i]) }
        out.append(ASCII.comma)
        out.append(ASCII.space)
        Self.appendTwo(day, to: &out)
        out.append(ASCII.space)
        for i in (month - 1) * 3..<month * 3 { out.append(Self.months[i]) }
        out.append(ASCII.space)
        out.append(decimal: year)
        out.append(ASCII.space)
        Self.appendTwo(hour, to: &out)
        out.append(ASCII.colon)
        Self.appendTwo(minute, to: &out)
        out.append(ASCII.colon)
        Self.appendTwo(second, to: &out)
        out.append(ascii: " +0000")
    }

    private static func appendTwo(_ n: Int, to out: inout [UInt8]) {
        out.append(UInt8(truncatingIfNeeded: 0x30 + n / 10 % 10))
        out.append(UInt8(truncatingIfNeeded: 0x30 + n % 10))
    }
}
