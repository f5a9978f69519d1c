//! Queries as text again, as Prometheus prints them (the rules API shows them so).
//!
//! Here: `Display` of the tree. Elsewhere: the tree itself (`ast`).

use std::fmt::{self, Display, Formatter, Write};

use storage::{METRIC_NAME, MatchOp, Matcher};

use super::ast::{
    AggregateExpr, At, BinaryExpr, Cardinality, Expr, ExprKind, Extension, Fill, NumberLiteral, SubqueryExpr,
    VectorSelector,
};
use super::duration::{DurationExpr, DurationKind, DurationOp};
use super::eval::short_float;
use super::parse::quote;

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(number) => number.fmt(f),
            ExprKind::String(text) => f.write_str(&quote(text)),
            ExprKind::Paren(inner) => write!(f, "({inner})"),
            ExprKind::Unary(unary) => write!(f, "{}{}", if unary.is_minus { "-" } else { "+" }, unary.expr),
            ExprKind::Binary(binary) => binary.fmt(f),
            ExprKind::Aggregate(aggregate) => aggregate.fmt(f),
            ExprKind::Call(call) => {
                write!(f, "{}(", call.function.name)?;
                for (i, arg) in call.args.iter().enumerate() {
                    write!(f, "{}{arg}", if i > 0 { ", " } else { "" })?;
                }
                f.write_char(')')
            }
            ExprKind::Selector(selector) => {
                write_selector(f, selector)?;
                f.write_str(&at_text(selector.at))?;
                f.write_str(&extension_text(selector.extension))?;
                f.write_str(&offset_text(selector.offset_ms, &selector.offset_expr))
            }
            ExprKind::Matrix(matrix) => {
                let selector = &matrix.selector;
                write_selector(f, selector)?;
                write!(f, "[{}]", computed_text(matrix.range_ms, &matrix.range_expr))?;
                // A window's modifier comes before the `@`, an instant selector's after it.
                f.write_str(&extension_text(selector.extension))?;
                f.write_str(&at_text(selector.at))?;
                f.write_str(&offset_text(selector.offset_ms, &selector.offset_expr))
            }
            ExprKind::Subquery(subquery) => subquery.fmt(f),
        }
    }
}

impl Display for NumberLiteral {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_duration {
            let sign = if self.value < 0.0 { "-" } else { "" };
            return write!(f, "{sign}{}", duration_text((self.value.abs() * 1000.0).round() as i64));
        }
        f.write_str(&float_text(self.value))
    }
}

/// A float in the shortest decimal form without exponent: `0.1`, `+Inf`, `NaN`.
pub(crate) fn float_text(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = value.to_string();
    even_of_two(value, &text).unwrap_or(text)
}

/// Where the value lies in the middle between two shortest texts, Go takes the one with the even digit, Rust the upper one.
fn even_of_two(value: f64, text: &str) -> Option<String> {
    let place = text.rfind(|c: char| c.is_ascii_digit() && c != '0')?;
    let digit = text.as_bytes()[place] - b'0';
    // Shorter texts are exact, or far from the next.
    if digit.is_multiple_of(2) || place < 14 {
        return None;
    }
    let lower = format!("{}{}", &text[..place], digit - 1);
    let (head, fraction) = (lower.len() + 1, text.find('.').map_or(0, |point| text.len() - point - 1));
    let exact = if fraction > 0 { format!("{value:.*}", fraction + 30) } else { format!("{value:.0}") };
    let is_middle = exact.starts_with(&format!("{lower}5")) && exact[head..].bytes().all(|c| c == b'0');
    let even = lower + &text[place + 1..];
    (is_middle && even.parse() == Ok(value)).then_some(even)
}

/// A duration as Prometheus writes it: `1h30m`, `0s`; years and weeks only where they divide evenly.
pub(crate) fn duration_text(ms: i64) -> String {
    const UNITS: [(&str, u64, bool); 7] = [
        ("y", 365 * 86_400_000, true),
        ("w", 7 * 86_400_000, true),
        ("d", 86_400_000, false),
        ("h", 3_600_000, false),
        ("m", 60_000, false),
        ("s", 1000, false),
        ("ms", 1, false),
    ];
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::from(if ms < 0 { "-" } else { "" });
    let mut rest = ms.unsigned_abs();
    for (unit, length, only_exact) in UNITS {
        let count = rest / length;
        if count > 0 && (!only_exact || rest.is_multiple_of(length)) {
            out.push_str(&format!("{count}{unit}"));
            rest -= count * length;
        }
    }
    out
}

impl Display for BinaryExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.lhs, operator_text(self), self.rhs)
    }
}

/// The operator with its modifiers: `* on (a) group_left (b)`.
pub(super) fn operator_text(binary: &BinaryExpr) -> String {
    let mut text = format!("{}{}", binary.op.as_str(), if binary.return_bool { " bool" } else { "" });
    let Some(matching) = &binary.matching else { return text };
    let grouped = match matching.card {
        Cardinality::ManyToOne => Some("left"),
        Cardinality::OneToMany => Some("right"),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    };
    if !matching.labels.is_empty() || matching.on || grouped.is_some() {
        text += &format!(" {} ({})", if matching.on { "on" } else { "ignoring" }, labels_text(&matching.labels));
    }
    if let Some(side) = grouped {
        text += &format!(" group_{side} ({})", labels_text(&matching.include));
    }
    text + &fill_text(matching.fill)
}

fn fill_text(fill: Fill) -> String {
    match (fill.left, fill.right) {
        (Some(left), Some(right)) if left == right => format!(" fill ({})", short_float(left)),
        (left, right) => {
            let side = |name: &str, value: Option<f64>| {
                value.map(|v| format!(" fill_{name} ({})", short_float(v))).unwrap_or_default()
            };
            side("left", left) + &side("right", right)
        }
    }
}

impl Display for AggregateExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", aggregate_head(self))?;
        if let Some(param) = &self.param {
            write!(f, "{param}, ")?;
        }
        write!(f, "{})", self.expr)
    }
}

/// The operator with its grouping: `sum by (a) `.
pub(super) fn aggregate_head(aggregate: &AggregateExpr) -> String {
    let op = aggregate.op.as_str();
    if !aggregate.without && aggregate.grouping.is_empty() {
        return op.to_owned();
    }
    let word = if aggregate.without { "without" } else { "by" };
    format!("{op} {word} ({}) ", labels_text(&aggregate.grouping))
}

impl Display for SubqueryExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.expr, subquery_suffix(self))
    }
}

/// What follows the inner expression: `[1h:5m] offset 1d`.
pub(super) fn subquery_suffix(subquery: &SubqueryExpr) -> String {
    let step = match (&subquery.step_expr, subquery.step_ms) {
        (Some(step), _) => step.to_string(),
        (None, step) => step.map(duration_text).unwrap_or_default(),
    };
    let range = computed_text(subquery.range_ms, &subquery.range_expr);
    let times = at_text(subquery.at) + &offset_text(subquery.offset_ms, &subquery.offset_expr);
    format!("[{range}:{step}]{times}")
}

fn at_text(at: Option<At>) -> String {
    match at {
        Some(At::Time(ms)) => format!(" @ {:.3}", ms as f64 / 1000.0),
        Some(At::Start) => " @ start()".to_owned(),
        Some(At::End) => " @ end()".to_owned(),
        None => String::new(),
    }
}

fn offset_text(ms: i64, expr: &Option<DurationExpr>) -> String {
    match ms {
        0 if expr.is_none() => String::new(),
        _ => format!(" offset {}", computed_text(ms, expr)),
    }
}

fn extension_text(extension: Option<Extension>) -> String {
    extension.map(|e| format!(" {}", e.as_str())).unwrap_or_default()
}

fn computed_text(ms: i64, expr: &Option<DurationExpr>) -> String {
    expr.as_ref().map_or_else(|| duration_text(ms), DurationExpr::to_string)
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.wrapped {
            f.write_char('(')?;
        }
        match &self.kind {
            DurationKind::Number(number) => number.fmt(f)?,
            DurationKind::Step => f.write_str("step()")?,
            DurationKind::Range => f.write_str("range()")?,
            DurationKind::Unary { is_minus, operand } => write!(f, "{}{operand}", if *is_minus { "-" } else { "" })?,
            DurationKind::Binary { op: op @ (DurationOp::MinOf | DurationOp::MaxOf), lhs, rhs } => {
                write!(f, "{}({lhs}, {rhs})", op.as_str())?;
            }
            DurationKind::Binary { op, lhs, rhs } => write!(f, "{lhs} {} {rhs}", op.as_str())?,
        }
        if self.wrapped { f.write_char(')') } else { Ok(()) }
    }
}

fn write_selector(f: &mut Formatter<'_>, selector: &VectorSelector) -> fmt::Result {
    f.write_str(&selector.name)?;
    let is_name = |m: &Matcher| m.name() == METRIC_NAME && m.op() == MatchOp::Equal && m.value() == selector.name;
    let mut texts: Vec<String> =
        selector.matchers.iter().filter(|m| !is_name(m) || m.value().is_empty()).map(matcher_text).collect();
    if texts.is_empty() && !selector.name.is_empty() {
        return Ok(());
    }
    // Nothing at all is what `info` may be given.
    texts.sort();
    write!(f, "{{{}}}", texts.join(","))
}

pub(super) fn matcher_text(matcher: &Matcher) -> String {
    format!("{}{}{}", label_text(matcher.name()), matcher.op().as_str(), quote(matcher.value()))
}

fn labels_text(labels: &[String]) -> String {
    let texts: Vec<String> = labels.iter().map(|l| label_text(l)).collect();
    texts.join(", ")
}

/// A label's name, quoted unless it is an identifier.
fn label_text(name: &str) -> String {
    let is_identifier = name.bytes().enumerate().all(|(i, b)| match b {
        b'0'..=b'9' => i > 0,
        _ => b == b'_' || b.is_ascii_alphabetic(),
    });
    if is_identifier && !name.is_empty() { name.to_owned() } else { quote(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_in_the_middle_of_two_texts_are_as_go_writes_them() {
        let large = 22_874_923_173_017.0;
        for (value, text) in [
            (large + 0.5625, "22874923173017.562"),
            (large + 0.6875, "22874923173017.688"),
            (-large - 0.5625, "-22874923173017.562"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (0.1, "0.1"),
            (1e300, &format!("1{}", "0".repeat(300))),
            (1_152_921_504_606_846_976.0, "1152921504606847000"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(float_text(value), text);
        }
    }
}
