//! The functions that Prometheus adds to Go's templates.
//!
//! Here: humanizing, string work, query results, links. Elsewhere: Go's own functions (`functions`).
//!
//! Invariant: each prints what Prometheus 3 prints for the same argument.

use std::net::IpAddr;
use std::sync::Arc;

use regex::Regex;

use super::exec::numbered;
use super::format::float_g;
use super::functions::{Function, text};
use super::value::{QuerySample, Value};

/// Largest compiled regular expression of `match` and `reReplaceAll`.
const REGEX_BYTES_MAX: usize = 1 << 20;

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("query", 1, 1, |env, a| {
        (env.query)(text(&a[0])?).map(|found| Value::Samples(Arc::new(found.into_iter().map(Arc::new).collect())))
    }),
    Function::new("first", 1, 1, |_, a| {
        samples(&a[0])?
            .first()
            .cloned()
            .map(Value::Sample)
            .ok_or_else(|| "first() called on vector with no elements".to_owned())
    }),
    Function::new("label", 2, 2, |_, a| label(&a[1], text(&a[0])?)),
    Function::new("strvalue", 1, 1, |_, a| label(&a[0], "__value__")),
    Function::new("value", 1, 1, |_, a| sample(&a[0]).map(|s| Value::Float(s.value))),
    Function::new("sortByLabel", 2, 2, |_, a| sort_by_label(text(&a[0])?, samples(&a[1])?)),
    Function::new("args", 0, usize::MAX, |_, a| Ok(numbered(a))),
    Function::new("reReplaceAll", 3, 3, |_, a| {
        let (re, with, subject) = (regex(text(&a[0])?)?, text(&a[1])?, text(&a[2])?);
        Ok(Value::Str(re.replace_all(subject, with).into_owned()))
    }),
    Function::new("match", 2, 2, |_, a| Ok(Value::Bool(regex(text(&a[0])?)?.is_match(text(&a[1])?)))),
    Function::new("safeHtml", 1, 1, |_, a| Ok(Value::str(text(&a[0])?))),
    Function::new("title", 1, 1, |_, a| Ok(Value::Str(title(text(&a[0])?)))),
    Function::new("toUpper", 1, 1, |_, a| Ok(Value::Str(text(&a[0])?.to_uppercase()))),
    Function::new("toLower", 1, 1, |_, a| Ok(Value::Str(text(&a[0])?.to_lowercase()))),
    Function::new("graphLink", 1, 1, |_, a| Ok(Value::Str(graph_link(text(&a[0])?)))),
    Function::new("tableLink", 1, 1, |_, a| Ok(Value::Str(table_link(text(&a[0])?)))),
    Function::new("stripPort", 1, 1, |_, a| Ok(Value::str(strip_port(text(&a[0])?)))),
    Function::new("stripDomain", 1, 1, |_, a| Ok(Value::Str(strip_domain(text(&a[0])?)))),
    Function::new("humanize", 1, 1, |_, a| Ok(Value::Str(humanize(number(&a[0])?)))),
    Function::new("humanize1024", 1, 1, |_, a| Ok(Value::Str(humanize1024(number(&a[0])?)))),
    Function::new("humanizeDuration", 1, 1, |_, a| Ok(Value::Str(humanize_duration(number(&a[0])?)))),
    Function::new("humanizePercentage", 1, 1, |_, a| Ok(Value::Str(float_g(number(&a[0])? * 100.0, Some(4)) + "%"))),
    Function::new("humanizeTimestamp", 1, 1, |_, a| match number(&a[0])? {
        v if !v.is_finite() => Ok(Value::Str(float_g(v, Some(4)))),
        v => Ok(Value::Str(super::format::display(&Value::Time(time(v)?)))),
    }),
    Function::new("toTime", 1, 1, |_, a| time(number(&a[0])?).map(Value::Time)),
    Function::new("toDuration", 1, 1, |_, a| Ok(Value::Duration((number(&a[0])? * 1e9) as i64))),
    Function::new("now", 0, 0, |env, _| Ok(Value::Float(env.now_ms as f64 / 1000.0))),
    Function::new("pathPrefix", 0, 0, |env, _| Ok(Value::Str(url_path(env.external_url)))),
    Function::new("externalURL", 0, 0, |env, _| Ok(Value::str(env.external_url))),
    Function::new("parseDuration", 1, 1, |_, a| {
        crate::config::parse_duration(text(&a[0])?).map(|d| Value::Float(d.as_secs_f64()))
    }),
    Function::new("urlQueryEscape", 1, 1, |_, a| Ok(Value::Str(query_escape(text(&a[0])?)))),
];

fn samples(value: &Value) -> Result<&Arc<Vec<Arc<QuerySample>>>, String> {
    match value {
        Value::Samples(s) => Ok(s),
        other => Err(format!("wrong type for value; expected template.queryResult; got {}", other.type_name())),
    }
}

fn sample(value: &Value) -> Result<&QuerySample, String> {
    match value {
        Value::Sample(s) => Ok(s),
        other => Err(format!("wrong type for value; expected *template.sample; got {}", other.type_name())),
    }
}

fn label(value: &Value, name: &str) -> Result<Value, String> {
    Ok(Value::Str(sample(value)?.labels.get(name).cloned().unwrap_or_default()))
}

fn sort_by_label(name: &str, samples: &[Arc<QuerySample>]) -> Result<Value, String> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(|a, b| {
        a.labels.get(name).map_or("", String::as_str).cmp(b.labels.get(name).map_or("", String::as_str))
    });
    Ok(Value::Samples(Arc::new(sorted)))
}

fn regex(pattern: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build().map_err(|e| {
        let words = e.to_string();
        let reason = words.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("unknown").trim().to_owned();
        format!("error parsing regexp {pattern:?}: {}", reason.trim_start_matches("error: "))
    })
}

fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(f) => Ok(*f),
        Value::Int(n) => Ok(*n as f64),
        Value::Duration(ns) => Ok(*ns as f64 / 1e9),
        Value::Str(s) => match s.to_ascii_lowercase().as_str() {
            "inf" | "+inf" | "infinity" | "+infinity" => Ok(f64::INFINITY),
            "-inf" | "-infinity" => Ok(f64::NEG_INFINITY),
            _ => s
                .parse()
                .map_err(|_| format!("strconv.ParseFloat: parsing {}: invalid syntax", super::format::quoted(s))),
        },
        other => Err(format!("can't convert {} to float", other.type_name())),
    }
}

fn time(seconds: f64) -> Result<i64, String> {
    if !seconds.is_finite() {
        return Err(format!("value is NaN or Inf: {}", float_g(seconds, Some(4))));
    }
    let ns = seconds * 1e9;
    if ns > i64::MAX as f64 || ns < i64::MIN as f64 {
        return Err(format!(
            "{} cannot be represented as a nanoseconds timestamp since it overflows int64",
            float_g(seconds, None)
        ));
    }
    Ok((ns as i64) / 1_000_000)
}

fn humanize(v: f64) -> String {
    if v == 0.0 || !v.is_finite() {
        return float_g(v, Some(4));
    }
    if v.abs() >= 1.0 { large(v, 1000.0, ["", "k", "M", "G", "T", "P", "E", "Z", "Y"]) } else { small(v) }
}

fn humanize1024(v: f64) -> String {
    if v.abs() <= 1.0 || !v.is_finite() {
        return float_g(v, Some(4));
    }
    large(v, 1024.0, ["", "ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"])
}

fn large(mut v: f64, base: f64, prefixes: [&str; 9]) -> String {
    let mut prefix = prefixes[0];
    for next in &prefixes[1..] {
        if v.abs() < base {
            break;
        }
        prefix = next;
        v /= base;
    }
    float_g(v, Some(4)) + prefix
}

/// Milli and below, for 0 < |v| < 1.
fn small(mut v: f64) -> String {
    let mut prefix = "";
    for next in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if v.abs() >= 1.0 {
            break;
        }
        prefix = next;
        v *= 1000.0;
    }
    float_g(v, Some(4)) + prefix
}

/// Seconds as people write them: `1d 2h 3m 4s`, `12.34s`, `5ms`.
pub fn humanize_duration(v: f64) -> String {
    if !v.is_finite() {
        return float_g(v, Some(4));
    }
    if v == 0.0 {
        return float_g(v, Some(4)) + "s";
    }
    if v.abs() < 1.0 {
        return small(v) + "s";
    }
    let (sign, v) = if v < 0.0 { ("-", -v) } else { ("", v) };
    let whole = v as i64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60, whole % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", float_g(v, Some(4))),
        (0, 0, m) => format!("{sign}{m}m {seconds}s"),
        (0, h, m) => format!("{sign}{h}h {m}m {seconds}s"),
        (d, h, m) => format!("{sign}{d}d {h}h {m}m {seconds}s"),
    }
}

/// First letter of each word in upper case, the rest as it is.
fn title(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    let mut in_word = false;
    let mut chars = s.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_alphabetic() && !in_word {
            in_word = true;
            out.extend(c.to_uppercase());
            continue;
        }
        // Unicode's word boundaries: an apostrophe or a full stop between letters does not end a word, `_` never does.
        let joins = matches!(c, '\'' | '’' | '.' | ':' | '·') && chars.peek().is_some_and(|n| n.is_alphabetic());
        in_word = in_word && (c.is_alphanumeric() || c == '_' || joins);
        out.push(c);
    }
    out
}

/// Path and query of the page that draws `expr`, relative to the external URL.
pub fn graph_link(expr: &str) -> String {
    format!("/graph?g0.expr={}&g0.tab=0", query_escape(expr))
}

/// Path and query of the page that lists what `expr` evaluates to, relative to the external URL.
pub fn table_link(expr: &str) -> String {
    format!("/graph?g0.expr={}&g0.tab=1", query_escape(expr))
}

/// Go's `url.QueryEscape`.
pub(super) fn query_escape(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    for b in s.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(b)),
            b' ' => out.push('+'),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

fn url_path(url: &str) -> String {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after_scheme.find('/').map_or("", |i| &after_scheme[i..]);
    path.split(['?', '#']).next().unwrap_or("").to_owned()
}

/// `host` and `port` of `host:port`, `[host]:port`; `None` where Go's `SplitHostPort` errs.
fn split_host_port(s: &str) -> Option<(&str, &str)> {
    let (host, port) = s.rsplit_once(':')?;
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']')?;
        return (!inner.contains(['[', ']'])).then_some((inner, port));
    }
    (!host.contains([':', '[', ']']) && !port.contains(['[', ']'])).then_some((host, port))
}

fn strip_port(s: &str) -> &str {
    split_host_port(s).map_or(s, |(host, _)| host)
}

fn strip_domain(s: &str) -> String {
    let (host, port) = split_host_port(s).unwrap_or((s, ""));
    if host.parse::<IpAddr>().is_ok() {
        return s.to_owned();
    }
    let short = host.split('.').next().unwrap_or("");
    match port {
        "" => short.to_owned(),
        port => format!("{short}:{port}"),
    }
}
