//! Values of number and duration literals.
//!
//! Here: Prometheus' number forms (Go's, with octal and underscores) and its durations.
//! Elsewhere: which characters belong to a literal (`lexer`).

use super::quote::quote;

/// Longest duration: what fits in nanoseconds in 63 bits, as in Prometheus.
const DURATION_MS_MAX: u64 = (i64::MAX / 1_000_000) as u64;

/// The number that `text` writes: `1_000`, `0x1F`, `017` (octal), `1e3`, `.5`, `Inf`, `NaN`.
pub(super) fn parse_number(text: &str) -> Result<f64, String> {
    if !underscores_separate_digits(text) {
        return Err(number_error(text, "invalid syntax"));
    }
    let plain: String = text.chars().filter(|&c| c != '_').collect();
    if let Some(integer) = parse_integer(&plain) {
        return Ok(integer as f64);
    }
    match plain.parse::<f64>() {
        Ok(value) if value.is_infinite() && plain.contains(|c: char| c.is_ascii_digit()) => {
            Err(number_error(text, "value out of range"))
        }
        Ok(value) => Ok(value),
        Err(_) => Err(number_error(text, "invalid syntax")),
    }
}

fn number_error(text: &str, reason: &str) -> String {
    format!("error parsing number: strconv.ParseFloat: parsing {}: {reason}", quote(text))
}

/// A leading zero means octal, but `08` is left to the float parser, as Go's two attempts have it.
fn parse_integer(plain: &str) -> Option<i64> {
    if let Some(hex) = plain.strip_prefix("0x").or_else(|| plain.strip_prefix("0X")) {
        return i64::from_str_radix(hex, 16).ok();
    }
    match plain.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => i64::from_str_radix(octal, 8).ok(),
        _ => plain.parse().ok(),
    }
}

fn underscores_separate_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_digit = |i: usize| bytes.get(i).is_some_and(|b| b.is_ascii_hexdigit() || matches!(b, b'x' | b'X'));
    (0..bytes.len()).filter(|&i| bytes[i] == b'_').all(|i| i > 0 && is_digit(i - 1) && is_digit(i + 1))
}

/// Milliseconds of a duration such as `1h30m`; units fall in size, each at most once.
pub(crate) fn parse_duration_ms(text: &str) -> Result<i64, String> {
    const UNITS: [(&str, u64); 7] = [
        ("y", 365 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    let invalid = || format!("not a valid duration string: {}", quote(text));
    match text {
        "0" => return Ok(0),
        "" => return Err("empty duration string".to_owned()),
        _ => {}
    }
    let (mut rest, mut total_ms, mut next_unit) = (text, 0u64, 0);
    while !rest.is_empty() {
        let digits_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, tail) = rest.split_at(digits_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        if digits.is_empty() || unit.is_empty() {
            return Err(invalid());
        }
        let Some(index) = UNITS.iter().position(|(name, _)| *name == unit) else {
            return Err(format!("unknown unit {} in duration {}", quote(unit), quote(text)));
        };
        if index < next_unit {
            return Err(invalid());
        }
        next_unit = index + 1;
        let part = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(UNITS[index].1));
        total_ms = part
            .and_then(|ms| total_ms.checked_add(ms))
            .filter(|&ms| ms <= DURATION_MS_MAX)
            .ok_or("duration out of range")?;
        rest = tail;
    }
    Ok(total_ms as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_number_forms() {
        let check = |text: &str, expected: f64| assert_eq!(parse_number(text), Ok(expected), "{text}");
        check("1", 1.0);
        check("017", 15.0);
        check("08", 8.0);
        check("0x1F", 31.0);
        check("0x_1f", 31.0);
        check("1_000", 1000.0);
        check("1_23.50_0_0e+1_2", 1.235e14);
        check(".5", 0.5);
        check("2.", 2.0);
        check("Inf", f64::INFINITY);
        assert!(parse_number("NaN").is_ok_and(f64::is_nan));
        assert!(parse_number("1e400").is_err_and(|e| e.ends_with("value out of range")));
        assert!(parse_number("1__0").is_err());
    }

    #[test]
    fn reads_durations() {
        let check = |text: &str, expected: Result<i64, &str>| {
            assert_eq!(parse_duration_ms(text), expected.map_err(str::to_owned), "{text}");
        };
        check("5m", Ok(300_000));
        check("1h30m", Ok(5_400_000));
        check("1y1w1d1h1m1s1ms", Ok(365 * 86_400_000 + 8 * 86_400_000 + 3_661_001));
        check("1h5000000000ms", Ok(5_003_600_000));
        check("0", Ok(0));
        check("30m1h", Err("not a valid duration string: \"30m1h\""));
        check("1hs", Err("unknown unit \"hs\" in duration \"1hs\""));
        check("300y", Err("duration out of range"));
    }
}
