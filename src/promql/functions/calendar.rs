//! Dates: seconds since the epoch to a number of the calendar, in UTC.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The calendar function of this name.
pub(crate) fn find(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "minute" => |t| of(t, |d| i32::from(d.minute())),
        "hour" => |t| of(t, |d| i32::from(d.hour())),
        "day_of_week" => |t| of(t, |d| i32::from(d.weekday().to_sunday_zero_offset())),
        "day_of_month" => |t| of(t, |d| i32::from(d.day())),
        "day_of_year" => |t| of(t, |d| i32::from(d.day_of_year())),
        "days_in_month" => |t| of(t, |d| i32::from(d.days_in_month())),
        "month" => |t| of(t, |d| i32::from(d.month())),
        "year" => |t| of(t, |d| i32::from(d.year())),
        _ => return None,
    })
}

/// NaN for times that no calendar of ours reaches (before the year -9999, after 9999, or not a number).
fn of(seconds: f64, part: fn(DateTime) -> i32) -> f64 {
    if seconds.is_nan() {
        return f64::NAN;
    }
    Timestamp::from_second(seconds as i64).map_or(f64::NAN, |t| f64::from(part(t.to_zoned(TimeZone::UTC).datetime())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_calendar_in_utc() {
        let check = |name: &str, expected: f64| {
            // 2024-02-29T23:59:30Z, a Thursday.
            assert_eq!(find(name).unwrap()(1_709_251_170.9), expected, "{name}");
        };
        check("minute", 59.0);
        check("hour", 23.0);
        check("day_of_week", 4.0);
        check("day_of_month", 29.0);
        check("day_of_year", 60.0);
        check("days_in_month", 29.0);
        check("month", 2.0);
        check("year", 2024.0);
        assert!(find("year").unwrap()(1e300).is_nan());
    }
}
