//! Series lines of a script: labels and a list of values.

use storage::{Labels, stale_nan};

use super::histograms::{Written, push_histograms};
use crate::promql::parse::parse_duration_ms;
use crate::promql::parse_selector;

/// One value of a list.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Point {
    Missing,
    Float(f64),
    Histogram(Written),
}

/// A line `series values`.
pub(super) fn parse_line(line: &str) -> Result<(Labels, Vec<Point>), String> {
    let end = series_end(line);
    let labels = parse_labels(&line[..end])?;
    let mut points = Vec::new();
    for item in items(&line[end..]) {
        push_item(item, &mut points)?;
    }
    Ok((labels, points))
}

fn parse_labels(text: &str) -> Result<Labels, String> {
    let matchers = parse_selector(text).map_err(|e| e.to_string())?;
    Labels::from_pairs(matchers.iter().map(|m| (m.name(), m.value()))).map_err(|e| e.to_string())
}

/// Where the series ends: at the first blank outside braces and quotes, unless braces follow it.
fn series_end(line: &str) -> usize {
    let (mut in_braces, mut quote, mut escaped) = (false, None, false);
    for (i, c) in line.char_indices() {
        match quote {
            Some(q) => {
                if c == q && !escaped {
                    quote = None;
                }
                escaped = c == '\\' && !escaped;
            }
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '{' => in_braces = true,
            None if c == '}' => in_braces = false,
            None if c.is_whitespace() && !in_braces => {
                let rest = line[i..].trim_start();
                if !rest.starts_with('{') || rest.starts_with("{{") || line[..i].contains('{') {
                    return i;
                }
            }
            None => {}
        }
    }
    line.len()
}

/// Items between blanks; a histogram with what is tied to it is one item.
fn items(text: &str) -> Vec<&str> {
    let (mut found, mut start, mut depth) = (Vec::new(), None, 0usize);
    for (i, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if c.is_whitespace() && depth == 0 {
            found.extend(start.take().map(|s: usize| &text[s..i]));
        } else if start.is_none() {
            start = Some(i);
        }
    }
    found.extend(start.map(|s| &text[s..]));
    found
}

/// A line `series@st offsets`: for each value of the line after it the offset of its start from its time, in milliseconds.
pub(super) fn parse_starts(line: &str) -> Result<Vec<Option<i64>>, String> {
    let mut starts = Vec::new();
    for item in items(&line[series_end(line)..]) {
        let (base, more) = match item.split_once('x') {
            Some((base, count)) => (base, Some(count.parse::<usize>().map_err(|e| format!("{item}: {e}"))?)),
            None => (item, None),
        };
        if base == "_" {
            starts.extend(std::iter::repeat_n(None, more.unwrap_or(1)));
            continue;
        }
        let (first, delta) = split_step(base);
        let (first, delta) = (offset_ms(first)?, delta.map(offset_ms).transpose()?.unwrap_or(0));
        starts.extend((0..=more.unwrap_or(0)).map(|i| Some(first + delta * i as i64)));
    }
    Ok(starts)
}

fn offset_ms(text: &str) -> Result<i64, String> {
    let (sign, duration) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    parse_duration_ms(duration).map(|ms| sign * ms).map_err(|e| format!("{text}: {e}"))
}

fn push_item(item: &str, points: &mut Vec<Point>) -> Result<(), String> {
    if item.starts_with("{{") {
        return push_histograms(item, points);
    }
    let (base, more) = match item.split_once('x') {
        Some((base, count)) => (base, Some(count.parse::<usize>().map_err(|e| format!("{item}: {e}"))?)),
        None => (item, None),
    };
    match base {
        "_" => points.extend(std::iter::repeat_n(Point::Missing, more.unwrap_or(1))),
        "stale" => points.push(Point::Float(stale_nan())),
        _ => {
            let (first, delta) = split_step(base);
            let (first, delta) = (number(first)?, delta.map(number).transpose()?.unwrap_or(0.0));
            points.extend((0..=more.unwrap_or(0)).map(|i| Point::Float(first + delta * i as f64)));
        }
    }
    Ok(())
}

/// `a+b` to `a` and `+b`; the sign of an exponent or of the first number parts nothing.
fn split_step(base: &str) -> (&str, Option<&str>) {
    let bytes = base.as_bytes();
    let sign = (1..bytes.len()).find(|&i| matches!(bytes[i], b'+' | b'-') && !matches!(bytes[i - 1], b'e' | b'E'));
    sign.map_or((base, None), |i| (&base[..i], Some(&base[i..])))
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().or_else(|_| parse_duration_ms(text).map(|ms| ms as f64 / 1000.0)).map_err(|e| format!("{text}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, labels: &str, expected: &[f64]) {
        let (found, points) = parse_line(line).unwrap();
        assert_eq!(found.to_string(), labels);
        let floats = points.iter().map(|p| if let Point::Float(v) = p { *v } else { f64::NAN });
        assert_eq!(format!("{:?}", floats.collect::<Vec<_>>()), format!("{expected:?}"));
    }

    #[test]
    fn reads_offsets_of_starts() {
        let found = parse_starts("a{b=\"c\"}@st _ _x2 -1m 0 -30s-1mx2 1msx1").unwrap();
        let expected = [-60_000, 0, -30_000, -90_000, -150_000, 1, 1].map(Some);
        assert_eq!(found, [&[None; 3][..], &expected].concat());
    }

    #[test]
    fn reads_all_kinds_of_values() {
        check("a{b=\"c d\"} 1 _ 2x2", "a{b=\"c d\"}", &[1.0, f64::NAN, 2.0, 2.0, 2.0]);
        check("a 1+2x2 3-1x1", "a", &[1.0, 3.0, 5.0, 3.0, 2.0]);
        check("{} -1e-2 1m Inf", "{}", &[-0.01, 60.0, f64::INFINITY]);
        check("{\"x.y\"} _x2", "{\"x.y\"}", &[f64::NAN, f64::NAN]);
        let points = parse_line("a {{schema:0 sum:1}}x1 1").unwrap().1;
        assert!(matches!(points[..], [Point::Histogram(_), Point::Histogram(_), Point::Float(1.0)]));
    }
}
