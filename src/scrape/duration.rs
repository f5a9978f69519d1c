//! Durations as Prometheus writes them, `1m30s`: in the labels `__scrape_interval__` and `__scrape_timeout__`.
//!
//! Elsewhere: durations of the configuration file (`config`), of queries (`promql`).

use std::time::Duration;

/// Units from large to small, in milliseconds; the first two are printed only where nothing remains.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// `None` if the text is not a duration: units must fall, each at most once; a bare `0` is one.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut ms, mut next_unit) = (text, 0u64, 0);
    while !rest.is_empty() || next_unit == 0 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_lowercase).count();
        let unit = UNITS.iter().position(|&(name, _)| name == &rest[..letters]).filter(|&u| u >= next_unit)?;
        ms = ms.checked_add(count.checked_mul(UNITS[unit].1)?)?;
        rest = &rest[letters..];
        next_unit = unit + 1;
    }
    Some(Duration::from_millis(ms))
}

/// As Prometheus prints it: `1m30s`, `90d`, `0s`.
pub fn format(duration: Duration) -> String {
    let mut ms = duration.as_millis() as u64;
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, unit_ms) in UNITS {
        let only_exact = matches!(name, "y" | "w");
        if ms / unit_ms > 0 && (!only_exact || ms.is_multiple_of(unit_ms)) {
            text.push_str(&format!("{}{name}", ms / unit_ms));
            ms %= unit_ms;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for (text, ms, printed) in [
            ("15s", 15_000, "15s"),
            ("1m30s", 90_000, "1m30s"),
            ("90s", 90_000, "1m30s"),
            ("500ms", 500, "500ms"),
            ("0", 0, "0s"),
            ("2w", 14 * 86_400_000, "2w"),
            ("90d", 90 * 86_400_000, "90d"),
            ("1y", 365 * 86_400_000, "1y"),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(ms)), "{text}");
            assert_eq!(format(Duration::from_millis(ms)), printed);
        }
        for bad in ["", "5", "s", "1s1m", "1s1s", "1.5s", "-1s", "1 s", "99999999999999999999s", "9999999999999y"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
