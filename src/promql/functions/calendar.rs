//! Dates: seconds since the epoch to a number of the calendar, in UTC.
//!
//! Every 64-bit number of seconds has a date, as in Go, far beyond the years that calendars for people know; what is no
//! such number (NaN, infinities) counts as the smallest one, as Prometheus' machine does it.

const DAY_S: u64 = 86_400;
/// Days of 400 years.
const ERA_DAYS: u64 = 146_097;
/// Go counts from the first of March of this year before year 0.
const YEARS_BEFORE: i128 = 292_277_022_400;
/// Seconds from there to 1970.
const BEFORE_EPOCH_S: i128 = (YEARS_BEFORE / 400 * 146_097 + 719_468) * 86_400;

/// The calendar function of this name.
pub(crate) fn find(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "minute" => |t| (Date::new(t).second_of_day / 60 % 60) as f64,
        "hour" => |t| (Date::new(t).second_of_day / 3600) as f64,
        "day_of_week" => |t| Date::new(t).weekday as f64,
        "day_of_month" => |t| Date::new(t).day as f64,
        "day_of_year" => |t| Date::new(t).day_of_year() as f64,
        "days_in_month" => |t| Date::new(t).days_in_month() as f64,
        "month" => |t| Date::new(t).month as f64,
        "year" => |t| Date::new(t).year as f64,
        _ => return None,
    })
}

struct Date {
    year: i128,
    /// 1 to 12
    month: u64,
    /// 1 to 31
    day: u64,
    /// Sunday is 0.
    weekday: u64,
    second_of_day: u64,
}

impl Date {
    fn new(seconds: f64) -> Self {
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        let seconds = if (-LIMIT..LIMIT).contains(&seconds) { seconds as i64 } else { i64::MIN };
        // Wraps around, as 64 bits do.
        let absolute = (i128::from(seconds) + BEFORE_EPOCH_S) as u64;
        let days = absolute / DAY_S;
        let (era, day_of_era) = (days / ERA_DAYS, days % ERA_DAYS);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        // Years begin in March here, so that the leap day is the last one.
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = i128::from(era * 400 + year_of_era) - YEARS_BEFORE + i128::from(month <= 2);
        // The day that counting begins with is a Wednesday.
        Date { year, month, day, weekday: (days + 3) % 7, second_of_day: absolute % DAY_S }
    }

    fn is_leap_year(&self) -> bool {
        self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0)
    }

    fn days_in_month(&self) -> u64 {
        match self.month {
            2 => 28 + u64::from(self.is_leap_year()),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    fn day_of_year(&self) -> u64 {
        const BEFORE_MONTH: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let before = BEFORE_MONTH[(self.month - 1) as usize];
        before + self.day + u64::from(self.month > 2 && self.is_leap_year())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, seconds: f64) -> f64 {
        find(name).unwrap()(seconds)
    }

    #[test]
    fn reads_the_calendar_in_utc() {
        // 2024-02-29T23:59:30Z, a Thursday.
        let check = |name: &str, expected: f64| assert_eq!(of(name, 1_709_251_170.9), expected, "{name}");
        check("minute", 59.0);
        check("hour", 23.0);
        check("day_of_week", 4.0);
        check("day_of_month", 29.0);
        check("day_of_year", 60.0);
        check("days_in_month", 29.0);
        check("month", 2.0);
        check("year", 2024.0);
    }

    #[test]
    fn agrees_with_another_calendar() {
        for k in -4000..4000_i64 {
            let seconds = k * 7_654_321;
            let date = jiff::Timestamp::from_second(seconds).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
            let found =
                ["year", "month", "day_of_month", "day_of_year", "days_in_month", "hour", "minute", "day_of_week"]
                    .map(|name| of(name, seconds as f64) as i64);
            let expected = [
                i64::from(date.year()),
                i64::from(date.month()),
                i64::from(date.day()),
                i64::from(date.day_of_year()),
                i64::from(date.days_in_month()),
                i64::from(date.hour()),
                i64::from(date.minute()),
                i64::from(date.weekday().to_sunday_zero_offset()),
            ];
            assert_eq!(found, expected, "{seconds}");
        }
    }

    #[test]
    fn has_a_date_for_every_number() {
        assert_eq!(of("hour", f64::INFINITY), 15.0);
        assert_eq!(of("day_of_week", f64::NAN), 0.0);
        assert_eq!(of("year", 1e15), 31_690_708.0);
    }
}
