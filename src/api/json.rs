//! The JSON of numbers, times, samples, histograms and labels, as Prometheus writes it.
//!
//! Elsewhere: envelopes (`answer`), answers too large for one piece (`stream`).

use storage::Labels;

use crate::promql::histogram::{Bucket, FloatHistogram};

/// Labels as a JSON object, in their order.
pub(super) fn push_labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (index, (name, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_text(out, name);
        out.push(':');
        push_text(out, value);
    }
    out.push('}');
}

pub(super) fn push_list<T>(out: &mut String, items: &[T], push: impl FnMut(&mut String, &T)) {
    out.push('[');
    push_items(out, items, push);
    out.push(']');
}

/// A list without its brackets.
pub(super) fn push_items<T>(out: &mut String, items: &[T], mut push: impl FnMut(&mut String, &T)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push(out, item);
    }
}

pub(super) fn push_sample(out: &mut String, t: i64, v: f64) {
    out.push('[');
    push_time(out, t);
    out.push_str(",\"");
    push_float(out, v);
    out.push_str("\"]");
}

/// `[t,{"count":…,"sum":…,"buckets":[[rule,lower,upper,count],…]}]`. The rule says which bounds belong to the bucket:
/// 0 the upper, 1 the lower, 2 none, 3 both.
pub(super) fn push_histogram(out: &mut String, t: i64, histogram: &FloatHistogram) {
    use std::fmt::Write as _;
    out.push('[');
    push_time(out, t);
    // Writing into a String cannot fail.
    let (count, sum) = (format_float(histogram.count), format_float(histogram.sum));
    let _ = write!(out, r#",{{"count":"{count}","sum":"{sum}""#);
    let buckets: Vec<Bucket> = histogram.buckets().filter(|bucket| bucket.count != 0.0).collect();
    if !buckets.is_empty() {
        out.push_str(r#","buckets":"#);
        push_list(out, &buckets, |out, bucket| {
            let rule = match (bucket.has_lower, bucket.has_upper) {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            };
            let [lower, upper, count] = [bucket.lower, bucket.upper, bucket.count].map(format_float);
            let _ = write!(out, r#"[{rule},"{lower}","{upper}","{count}"]"#);
        });
    }
    out.push_str("}]");
}

/// Seconds with at most three decimals: `1.5` s is `1.500`, as Prometheus writes it.
pub(super) fn push_time(out: &mut String, t: i64) {
    if t < 0 {
        out.push('-');
    }
    let (whole, fraction) = (t.unsigned_abs() / 1000, t.unsigned_abs() % 1000);
    push_digits(out, whole);
    if fraction > 0 {
        out.push('.');
        // Three digits, zeros first.
        (0..3).rev().for_each(|place| out.push(char::from(b'0' + (fraction / 10_u64.pow(place) % 10) as u8)));
    }
}

fn push_digits(out: &mut String, number: u64) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// The shortest decimal that reads back equal, with an exponent below 1e-6 and from 1e21 on, as Prometheus and browsers write
/// numbers; `NaN`, `+Inf`, `-Inf`.
pub(super) fn push_float(out: &mut String, v: f64) {
    use std::fmt::Write as _;
    const WHOLE_MAX: f64 = 1e15;
    /// Below, `zmij` writes an exponent where Prometheus does not yet.
    const FRACTION_MIN: f64 = 1e-5;
    match v {
        v if v.is_nan() => out.push_str("NaN"),
        f64::INFINITY => out.push_str("+Inf"),
        f64::NEG_INFINITY => out.push_str("-Inf"),
        // Counts, mostly: no search for the shortest digits is needed.
        v if v.trunc() == v && v.abs() < WHOLE_MAX => {
            if v.is_sign_negative() {
                out.push('-');
            }
            push_digits(out, v.abs() as u64);
        }
        v if (FRACTION_MIN..WHOLE_MAX).contains(&v.abs()) => out.push_str(zmij::Buffer::new().format_finite(v)),
        v if !(1e-6..1e21).contains(&v.abs()) => out.push_str(&format_scientific(v)),
        // Writing into a String cannot fail.
        v => drop(write!(out, "{v}")),
    }
}

pub(super) fn format_float(v: f64) -> String {
    let mut out = String::new();
    push_float(&mut out, v);
    out
}

/// With an exponent of at least two digits, as Go writes it: `1e+00`.
pub(super) fn format_scientific(v: f64) -> String {
    if !v.is_finite() {
        return format_float(v);
    }
    let text = format!("{v:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// A JSON string.
pub(super) fn push_text(out: &mut String, text: &str) {
    let plain = text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\');
    if plain {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_prometheus_does() {
        let cases = [
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.5e300, "-1.5e+300"),
            (0.000001, "0.000001"),
            (1.25e-7, "1.25e-07"),
            (-0.0, "-0"),
            (0.0, "0"),
            (-1234567.0, "-1234567"),
            (999_999_999_999_999.0, "999999999999999"),
            (1e15, "1000000000000000"),
            (0.1 + 0.2, "0.30000000000000004"),
            (0.00001, "0.00001"),
            (-0.000012345678901234567, "-0.000012345678901234568"),
            (0.000009999999999999997, "0.000009999999999999997"),
            (999_999_999_999_999.9, "999999999999999.9"),
            (562949953421312.0 + 1.25, "562949953421313.2"),
            (123456.5, "123456.5"),
            (f64::NEG_INFINITY, "-Inf"),
        ];
        for (v, expected) in cases {
            assert_eq!(format_float(v), expected);
        }
    }

    #[test]
    fn values_of_alerts_have_an_exponent() {
        for (v, expected) in
            [(0.0, "0e+00"), (1.0, "1e+00"), (-12.5, "-1.25e+01"), (1e-7, "1e-07"), (f64::INFINITY, "+Inf")]
        {
            assert_eq!(format_scientific(v), expected);
        }
    }
}
