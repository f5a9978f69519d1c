//! Numbers in an exposition: values and timestamps.
//!
//! Here: the spellings that Prometheus accepts, which are Go's without hexadecimal and underscores; and how it writes
//! bounds.
//!
//! Invariant: a NaN that comes out is always the ordinary one, never the staleness marker.

/// The ordinary NaN, Prometheus' bits.
const NORMAL_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// Digits that always fit an `f64` exactly.
const EXACT_DIGITS: usize = 15;

/// The value, or the ordinary NaN for one of whatever bits.
pub(crate) fn with_plain_nan(value: f64) -> f64 {
    if value.is_nan() { f64::from_bits(NORMAL_NAN_BITS) } else { value }
}

/// A bound of a bucket or a quantile as a label's value: Go's shortest digits, with an exponent below 1e-4 and from 1e6 on,
/// and `.0` where that leaves a whole number.
pub(crate) fn bound_text(bound: f64) -> String {
    if bound.is_nan() {
        return "NaN".to_owned();
    }
    if bound.is_infinite() {
        return if bound > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    if bound == 0.0 {
        return "0.0".to_owned();
    }
    let scientific = format!("{bound:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    match (-4..6).contains(&exponent) {
        true if bound.fract() == 0.0 => format!("{bound}.0"),
        true => bound.to_string(),
        false => format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs()),
    }
}

/// The same of a bound as a text page spells it; `None` if it stands so already, or is no number.
pub(crate) fn bound_text_of(word: &str) -> Option<String> {
    let text = bound_text(parse_value(word).ok()?);
    (text != word).then_some(text)
}

/// A sample's value; the error is the reason in words.
pub(crate) fn parse_value(word: &str) -> Result<f64, &'static str> {
    // Most values are short integers: exact without the general algorithm.
    if word.len() <= EXACT_DIGITS && !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()) {
        let int = word.bytes().fold(0u64, |n, b| n * 10 + u64::from(b - b'0'));
        return Ok(int as f64);
    }
    let value: f64 = word.parse().map_err(|_| "not a number")?;
    if value.is_nan() {
        // Go knows no sign before NaN.
        let is_bare = !word.starts_with(['+', '-']);
        return if is_bare { Ok(f64::from_bits(NORMAL_NAN_BITS)) } else { Err("NaN takes no sign") };
    }
    if value.is_infinite() && word.bytes().any(|b| b.is_ascii_digit()) {
        return Err("out of the range of a 64-bit float");
    }
    Ok(value)
}

/// A text-format timestamp: milliseconds since the epoch.
pub(crate) fn parse_timestamp_ms(word: &str) -> Result<i64, &'static str> {
    if word.starts_with('+') {
        return Err("not a whole number of milliseconds");
    }
    word.parse().map_err(|_| "not a whole number of milliseconds")
}

/// An OpenMetrics timestamp: seconds since the epoch with a fraction; cut to milliseconds as Prometheus does.
pub(crate) fn parse_timestamp_seconds(word: &str) -> Result<i64, &'static str> {
    let ms = parse_value(word)? * 1000.0;
    // 2^63 as a float: the first value that does not fit.
    if !ms.is_finite() || ms.abs() >= 9_223_372_036_854_775_808.0 {
        return Err("not a time in seconds");
    }
    Ok(ms as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, expected: Option<f64>) {
        assert_eq!(parse_value(word).ok().map(f64::to_bits), expected.map(f64::to_bits), "{word}");
    }

    #[test]
    fn values_are_spelled_as_in_go() {
        check("0", Some(0.0));
        check("-0", Some(-0.0));
        check("+1", Some(1.0));
        check("1.", Some(1.0));
        check(".5", Some(0.5));
        check("1e3", Some(1000.0));
        check("1E-3", Some(0.001));
        check("999999999999999", Some(999_999_999_999_999.0));
        check("12345678901234567890", Some(12_345_678_901_234_567_890.0));
        check("Inf", Some(f64::INFINITY));
        check("+inf", Some(f64::INFINITY));
        check("-INFINITY", Some(f64::NEG_INFINITY));
        for nan in ["NaN", "nan", "NAN"] {
            check(nan, Some(f64::from_bits(NORMAL_NAN_BITS)));
        }
        for bad in ["", "+NaN", "-nan", "NaN(1)", "0x1p3", "0x10", "1_000", "1,5", "1e999", "e5", ".", "--1", "½"] {
            check(bad, None);
        }
    }

    #[test]
    fn bounds_look_as_in_prometheus() {
        let cases = [
            (1.0, "1.0"),
            (0.0, "0.0"),
            (-0.0, "0.0"),
            (-1.0, "-1.0"),
            (0.005, "0.005"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (100_000.0, "100000.0"),
            (1e6, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (1e100, "1e+100"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ];
        for (bound, text) in cases {
            assert_eq!(bound_text(bound), text);
        }
        assert_eq!(bound_text_of("1").as_deref(), Some("1.0"));
        assert_eq!(bound_text_of("+inf").as_deref(), Some("+Inf"));
        assert_eq!(bound_text_of("1000000").as_deref(), Some("1e+06"));
        for same in ["1.0", "+Inf", "0.25", "x", ""] {
            assert_eq!(bound_text_of(same), None);
        }
    }

    #[test]
    fn timestamps() {
        assert_eq!(parse_timestamp_ms("-1395066363000"), Ok(-1_395_066_363_000));
        for bad in ["1.5", "+1", "", "99999999999999999999", "NaN"] {
            assert!(parse_timestamp_ms(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_timestamp_seconds("1520879607.789"), Ok(1_520_879_607_789));
        assert_eq!(parse_timestamp_seconds("-1.0015"), Ok(-1001));
        for bad in ["NaN", "Inf", "1e300", "x"] {
            assert!(parse_timestamp_seconds(bad).is_err(), "{bad}");
        }
    }
}
