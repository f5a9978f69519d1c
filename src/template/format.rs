//! Go's `fmt`: `%v` and `printf`.
//!
//! Here: verbs, flags, widths; shortest floats as Go prints them; times. Elsewhere: who prints (`exec`, `functions`).
//!
//! Invariant: bad verbs and missing arguments are printed as Go prints them (`%!d(string=x)`), never refused.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::value::Value;

/// Widest field and largest precision that are honoured.
const WIDTH_MAX: usize = 1_000;

/// What an action writes: `%v`, but `<no value>` for nil.
pub(super) fn printed(value: &Value) -> String {
    match value {
        Value::Nil => "<no value>".to_owned(),
        other => display(other),
    }
}

/// `%v`
pub(super) fn display(value: &Value) -> String {
    match value {
        Value::Nil => "<nil>".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Float(f) => float_g(*f, None),
        Value::Str(s) => s.clone(),
        Value::Labels(m) => format!("map[{}]", join(m.iter().map(|(k, v)| format!("{k}:{v}")))),
        Value::Map(m) => format!("map[{}]", join(m.iter().map(|(k, v)| format!("{k}:{}", display(v))))),
        Value::List(l) => format!("[{}]", join(l.iter().map(display))),
        Value::Samples(l) => format!("[{}]", join(l.iter().map(|s| display(&Value::Sample(s.clone()))))),
        Value::Sample(s) => format!("{{{} {}}}", display(&Value::Labels(s.labels.clone())), float_g(s.value, None)),
        Value::Struct(fields) => format!("{{{}}}", join(fields.iter().map(|(_, v)| display(v)))),
        Value::Time(t) => time_layout(*t, "2006-01-02 15:04:05.999999999 -0700 MST"),
        Value::Duration(ns) => duration(*ns),
    }
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(" ")
}

/// `%g` with this precision; without one, the shortest digits that read back as `v`, with an exponent from `1e+06` on.
pub(super) fn float_g(v: f64, precision: Option<usize>) -> String {
    if let Some(special) = not_finite(v) {
        return special.to_owned();
    }
    let (scientific, threshold) = match precision {
        None => (format!("{v:e}"), 6),
        Some(p) => (format!("{v:.*e}", p.clamp(1, WIDTH_MAX) - 1), p.clamp(1, WIDTH_MAX) as i32),
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = Some(digits.trim_end_matches('0')).filter(|d| !d.is_empty()).unwrap_or("0");
    let sign = if mantissa.starts_with('-') { "-" } else { "" };
    if exponent >= -4 && exponent < threshold {
        return format!("{sign}{}", plain(digits, exponent));
    }
    let (first, rest) = digits.split_at(1);
    let dot = if rest.is_empty() { "" } else { "." };
    format!("{sign}{first}{dot}{rest}{}", exponent_text(exponent))
}

/// `0.00123` or `1230`: `digits` with the point after the first one moved by `exponent`.
fn plain(digits: &str, exponent: i32) -> String {
    if exponent < 0 {
        return format!("0.{}{digits}", "0".repeat((-exponent - 1) as usize));
    }
    let whole = exponent as usize + 1;
    if digits.len() <= whole {
        return format!("{digits}{}", "0".repeat(whole - digits.len()));
    }
    format!("{}.{}", &digits[..whole], &digits[whole..])
}

/// At least two digits, always a sign.
fn exponent_text(exponent: i32) -> String {
    format!("e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn not_finite(v: f64) -> Option<&'static str> {
    match v {
        v if v.is_nan() => Some("NaN"),
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    }
}

/// `%e`
fn float_e(v: f64, precision: usize) -> String {
    if let Some(special) = not_finite(v) {
        return special.to_owned();
    }
    let scientific = format!("{v:.precision$e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    format!("{mantissa}{}", exponent_text(exponent.parse().unwrap_or(0)))
}

/// `1h2m3.5s`
fn duration(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    let decimal = |value: u64, unit: u64, name: &str| {
        let fraction = format!("{:0width$}", value % unit, width = unit.ilog10() as usize);
        let fraction = fraction.trim_end_matches('0');
        let dot = if fraction.is_empty() || unit == 1 { "" } else { "." };
        format!("{}{dot}{}{name}", value / unit, if unit == 1 { "" } else { fraction })
    };
    let body = match ns {
        0 => "0s".to_owned(),
        1..1_000 => format!("{ns}ns"),
        1_000..1_000_000 => decimal(ns, 1_000, "µs"),
        1_000_000..1_000_000_000 => decimal(ns, 1_000_000, "ms"),
        _ => {
            let minutes = ns / 60_000_000_000;
            let seconds = decimal(ns % 60_000_000_000, 1_000_000_000, "s");
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, m) => format!("{m}m{seconds}"),
                (h, m) => format!("{h}h{m}m{seconds}"),
            }
        }
    };
    format!("{sign}{body}")
}

/// `t` (milliseconds, UTC) in one of Go's layouts, which show how the second of January 2006, 15:04:05 would be written.
pub(super) fn time_layout(t: i64, layout: &str) -> String {
    let Ok(stamp) = Timestamp::from_millisecond(t) else { return format!("%!v(time out of range: {t} ms)") };
    let zoned = stamp.to_zoned(TimeZone::UTC);
    const PARTS: [(&str, &str); 27] = [
        ("January", "%B"),
        ("Jan", "%b"),
        ("Monday", "%A"),
        ("Mon", "%a"),
        ("MST", "UTC"),
        ("2006", "%Y"),
        ("Z07:00", "Z"),
        ("Z0700", "Z"),
        ("-07:00", "+00:00"),
        ("-0700", "+0000"),
        ("-07", "+00"),
        ("002", "%j"),
        ("01", "%m"),
        ("02", "%d"),
        ("03", "%I"),
        ("04", "%M"),
        ("05", "%S"),
        ("06", "%y"),
        ("15", "%H"),
        ("PM", "%p"),
        ("pm", "%P"),
        ("_2", "%e"),
        ("1", "%-m"),
        ("2", "%-d"),
        ("3", "%-I"),
        ("4", "%-M"),
        ("5", "%-S"),
    ];
    let mut out = String::new();
    let mut rest = layout;
    'next: while let Some(c) = rest.chars().next() {
        if let Some((text, len)) = fraction(rest, t) {
            out.push_str(&text);
            rest = &rest[len..];
            continue;
        }
        for (part, directive) in PARTS {
            if let Some(left) = rest.strip_prefix(part) {
                // A formatting directive of ours is valid by construction.
                out.push_str(&jiff::fmt::strtime::format(directive, &zoned).unwrap_or_default());
                rest = left;
                continue 'next;
            }
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// `.000` or `.999` of a layout: that many digits of the second, for nines without trailing zeros.
fn fraction(layout: &str, t: i64) -> Option<(String, usize)> {
    let digit = layout.strip_prefix(['.', ',']).and_then(|l| l.chars().next()).filter(|c| matches!(c, '0' | '9'))?;
    let count = layout[1..].chars().take_while(|&c| c == digit).count();
    if layout[1 + count..].starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = format!("{:03}{}", t.rem_euclid(1000), "0".repeat(count.saturating_sub(3)));
    let digits = &digits[..count.min(digits.len())];
    let kept = if digit == '9' { digits.trim_end_matches('0') } else { digits };
    let text = if kept.is_empty() { String::new() } else { format!("{}{kept}", &layout[..1]) };
    Some((text, count + 1))
}

#[derive(Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `printf`
pub(super) fn sprintf(format: &str, arguments: &[Value]) -> String {
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    let mut left = arguments.iter();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let flags = flags(&mut chars, &mut left);
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match left.next() {
                None => out.push_str(&format!("%!{verb}(MISSING)")),
                Some(value) => out.push_str(&formatted(verb, &flags, value)),
            },
        }
    }
    let extra: Vec<String> = left.map(|v| format!("{}={}", v.type_name(), display(v))).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

fn flags<'v>(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    left: &mut impl Iterator<Item = &'v Value>,
) -> Flags {
    let mut flags = Flags::default();
    while let Some(&c) = chars.peek() {
        match c {
            '+' => flags.plus = true,
            '-' => flags.minus = true,
            '#' => flags.sharp = true,
            ' ' => flags.space = true,
            '0' => flags.zero = true,
            _ => break,
        }
        chars.next();
    }
    flags.width = count(chars, left);
    if chars.next_if_eq(&'.').is_some() {
        flags.precision = Some(count(chars, left).unwrap_or(0));
    }
    flags
}

fn count<'v>(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    left: &mut impl Iterator<Item = &'v Value>,
) -> Option<usize> {
    if chars.next_if_eq(&'*').is_some() {
        return match left.next() {
            Some(Value::Int(n)) => usize::try_from(*n).ok().map(|n| n.min(WIDTH_MAX)),
            _ => None,
        };
    }
    let mut number = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        number = Some((number.unwrap_or(0) * 10 + digit as usize).min(WIDTH_MAX));
        chars.next();
    }
    number
}

fn formatted(verb: char, flags: &Flags, value: &Value) -> String {
    let text = match (verb, value) {
        ('v', Value::Float(f)) => signed(flags, float_g(*f, flags.precision)),
        ('v', Value::Int(n)) => signed(flags, n.to_string()),
        ('v', v) => display(v),
        ('T', v) => v.type_name().to_owned(),
        ('e', Value::Float(f)) => signed(flags, float_e(*f, flags.precision.unwrap_or(6))),
        ('E', Value::Float(f)) => signed(flags, float_e(*f, flags.precision.unwrap_or(6)).replace('e', "E")),
        ('f' | 'F', Value::Float(f)) => signed(flags, float_f(*f, flags.precision.unwrap_or(6))),
        ('g', Value::Float(f)) => signed(flags, float_g(*f, flags.precision)),
        ('G', Value::Float(f)) => signed(flags, float_g(*f, flags.precision).replace('e', "E")),
        ('d', Value::Int(n) | Value::Duration(n)) => signed(flags, n.to_string()),
        ('b', Value::Int(n)) => signed(flags, radix(*n, |n| format!("{n:b}"))),
        ('o', Value::Int(n)) => signed(flags, radix(*n, |n| format!("{n:o}"))),
        ('x', Value::Int(n)) => signed(flags, radix(*n, |n| format!("{}{n:x}", if flags.sharp { "0x" } else { "" }))),
        ('X', Value::Int(n)) => signed(flags, radix(*n, |n| format!("{}{n:X}", if flags.sharp { "0X" } else { "" }))),
        ('c', Value::Int(n)) => u32::try_from(*n).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').to_string(),
        ('q', Value::Str(s)) => quoted(s),
        ('x', Value::Str(s)) => s.bytes().map(|b| format!("{b:02x}")).collect(),
        ('X', Value::Str(s)) => s.bytes().map(|b| format!("{b:02X}")).collect(),
        ('t', Value::Bool(b)) => b.to_string(),
        ('s', Value::Str(s)) => match flags.precision {
            Some(p) => s.chars().take(p).collect(),
            None => s.clone(),
        },
        // These have a String method in Go, or are made of strings.
        ('s', Value::Time(_) | Value::Duration(_) | Value::Labels(_)) => display(value),
        ('s', Value::List(l)) if l.iter().all(|v| matches!(v, Value::Str(_))) => display(value),
        (verb, Value::Nil) => format!("%!{verb}(<nil>)"),
        (verb, v) => format!("%!{verb}({}={})", v.type_name(), display(v)),
    };
    padded(flags, verb, value, text)
}

fn signed(flags: &Flags, text: String) -> String {
    match text.starts_with(['-', '+']) || text == "NaN" {
        true if text == "+Inf" && flags.space && !flags.plus => " Inf".to_owned(),
        true => text,
        false if flags.plus => format!("+{text}"),
        false if flags.space => format!(" {text}"),
        false => text,
    }
}

fn float_f(v: f64, precision: usize) -> String {
    not_finite(v).map_or_else(|| format!("{v:.precision$}"), str::to_owned)
}

fn radix(n: i64, digits: impl Fn(u64) -> String) -> String {
    format!("{}{}", if n < 0 { "-" } else { "" }, digits(n.unsigned_abs()))
}

fn padded(flags: &Flags, verb: char, value: &Value, text: String) -> String {
    let missing = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
    if missing == 0 {
        return text;
    }
    let finite = !matches!(value, Value::Float(f) if !f.is_finite());
    let numeric = matches!(value, Value::Float(_) | Value::Int(_)) && verb != 'c' && finite;
    if flags.minus {
        format!("{text}{}", " ".repeat(missing))
    } else if flags.zero && numeric {
        let sign = usize::from(text.starts_with(['-', '+', ' ']));
        format!("{}{}{}", &text[..sign], "0".repeat(missing), &text[sign..])
    } else {
        let fill = if flags.zero && finite { "0" } else { " " };
        format!("{}{text}", fill.repeat(missing))
    }
}

/// A Go string literal.
pub fn quoted(s: &str) -> String {
    let mut out = String::from("\"");
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\x0b' => out.push_str("\\v"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
