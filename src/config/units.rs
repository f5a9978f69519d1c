//! Durations and sizes in Prometheus' notation.
//!
//! Here: `1m30s`, `15d`, `512MB`, both ways where it is needed. Elsewhere: which setting has which unit.

use std::fmt;
use std::time::Duration;

use super::Retention;

/// Units of a duration in milliseconds, largest first: the order in which they must stand.
const DURATION_UNITS: [(&str, u64); 7] = [
    ("y", 31_536_000_000),
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads `1h30m`, `15s`, `0`: whole numbers, each unit at most once, from years down to milliseconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err("empty duration string".to_owned());
    }
    let invalid = || format!("not a valid duration string: {text:?}");
    let (mut rest, mut units, mut total_ms) = (text, DURATION_UNITS.iter(), 0u64);
    while !rest.is_empty() {
        let (digits, after) = split_number(rest);
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_end);
        let (_, unit_ms) = units.find(|(name, _)| *name == unit).filter(|_| !digits.is_empty()).ok_or_else(invalid)?;
        let part_ms = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(*unit_ms));
        let sum = part_ms.and_then(|ms| total_ms.checked_add(ms)).filter(|&ms| ms <= i64::MAX as u64 / 1_000_000);
        total_ms = sum.ok_or("duration out of range")?;
        rest = next;
    }
    Ok(Duration::from_millis(total_ms))
}

/// Writes a duration as Prometheus does: `1m30s`, `15d`, `0s`. Years and weeks only where they fit without a rest.
pub fn format_duration(duration: Duration) -> String {
    let mut left_ms = duration.as_millis() as u64;
    if left_ms == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, unit_ms) in DURATION_UNITS {
        let only_whole = matches!(unit, "y" | "w");
        if left_ms >= unit_ms && (!only_whole || left_ms.is_multiple_of(unit_ms)) {
            text += &format!("{}{unit}", left_ms / unit_ms);
            left_ms %= unit_ms;
        }
    }
    text
}

/// Reads `10GB`, `1.5GiB`, and bare bytes (`512`, which Prometheus refuses): with or without the `i`, a unit is a power
/// of 1024, as in Prometheus.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let invalid = || format!("not a valid size: {text:?}; write it like 512MB or 10GB");
    let number_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(number_end);
    let number: f64 = number.parse().map_err(|_| invalid())?;
    let power = match unit {
        "" | "B" => 0,
        "KB" | "KiB" => 1,
        "MB" | "MiB" => 2,
        "GB" | "GiB" => 3,
        "TB" | "TiB" => 4,
        "PB" | "PiB" => 5,
        "EB" | "EiB" => 6,
        _ => return Err(invalid()),
    };
    let bytes = number * 1024f64.powi(power);
    if bytes > i64::MAX as f64 { Err(format!("size out of range: {text:?}")) } else { Ok(bytes as u64) }
}

/// As Prometheus shows it: `15d`, `10GiB`, `30d or 10GiB`.
impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [self.time.map(format_duration), self.size_bytes.map(format_size)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(if parts.is_empty() { "unlimited" } else { "" })?;
        f.write_str(&parts.join(" or "))
    }
}

/// Writes bytes in the largest binary unit that fits without a rest: `10GiB`, `1536MiB`.
fn format_size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let power = (bytes.max(1).trailing_zeros() / 10).min(6);
    format!("{}{}", bytes >> (10 * power), units[power as usize])
}

fn split_number(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn duration(text: &str, expected_ms: u64) {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(expected_ms)), "{text}");
    }

    #[track_caller]
    fn refused_duration(text: &str, expected: &str) {
        assert_eq!(parse_duration(text), Err(expected.to_owned()));
    }

    #[test]
    fn durations_are_read() {
        duration("0", 0);
        duration("0s", 0);
        duration("5s", 5_000);
        duration("1m30s", 90_000);
        duration("100ms", 100);
        duration("1m500ms", 60_500);
        duration("15d", 15 * 86_400_000);
        duration(
            "1y2w3d4h5m6s7ms",
            31_536_000_000 + 2 * 604_800_000 + 3 * 86_400_000 + 4 * 3_600_000 + 5 * 60_000 + 6_007,
        );
        refused_duration("", "empty duration string");
        for text in ["5", "-5s", "s", "1s1m", "1s1s", "1.5h", "5 s", "5S", "1µs", "1m "] {
            refused_duration(text, &format!("not a valid duration string: {text:?}"));
        }
        refused_duration("99999999999999999999s", "duration out of range");
        refused_duration("300y", "duration out of range");
    }

    #[test]
    fn durations_are_written() {
        for text in ["0s", "5s", "1m30s", "15d", "1h", "1w", "1y", "8d", "1d1h", "1s500ms"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
        assert_eq!(format_duration(Duration::from_secs(60 * 60 * 24 * 14)), "2w");
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [("0", 0), ("17", 17), ("1B", 1), ("1KB", 1024), ("512MB", 512 << 20), ("10GB", 10 << 30)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse_size("1.5GiB"), Ok(3 << 29));
        assert_eq!(parse_size("2TB"), Ok(2 << 40));
        for text in ["", "GB", "1gb", "1XB", "-1GB", "1 GB", "1.2.3MB", "1iB", "10M"] {
            assert_eq!(
                parse_size(text),
                Err(format!("not a valid size: {text:?}; write it like 512MB or 10GB")),
                "{text}"
            );
        }
        assert_eq!(parse_size("9999EB"), Err("size out of range: \"9999EB\"".to_owned()));
    }

    #[test]
    fn retention_is_shown_as_prometheus_does() {
        let show = |days: Option<u64>, size_bytes| {
            Retention { time: days.map(|d| Duration::from_secs(d * 86_400)), size_bytes }.to_string()
        };
        assert_eq!(show(Some(15), None), "15d");
        assert_eq!(show(Some(30), Some(10 << 30)), "30d or 10GiB");
        assert_eq!(show(None, Some(1536 << 20)), "1536MiB");
        assert_eq!(show(None, None), "unlimited");
    }
}
