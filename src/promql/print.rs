//! Queries as text again, as Prometheus prints them (the rules API shows them so).
//!
//! Here: `Display` of the tree. Elsewhere: the tree itself (`ast`).

use std::fmt::{self, Display, Formatter, Write};

use storage::{METRIC_NAME, MatchOp, Matcher};

use super::ast::{
    AggregateExpr, At, BinaryExpr, Cardinality, Expr, ExprKind, NumberLiteral, SubqueryExpr, VectorSelector,
};
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
                write_times(f, selector.at, selector.offset_ms)
            }
            ExprKind::Matrix(matrix) => {
                write_selector(f, &matrix.selector)?;
                write!(f, "[{}]", duration_text(matrix.range_ms))?;
                write_times(f, matrix.selector.at, matrix.selector.offset_ms)
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
    value.to_string()
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
        write!(f, "{} {}{}", self.lhs, self.op.as_str(), if self.return_bool { " bool" } else { "" })?;
        if let Some(matching) = &self.matching {
            let grouped = match matching.card {
                Cardinality::ManyToOne => Some("left"),
                Cardinality::OneToMany => Some("right"),
                Cardinality::OneToOne | Cardinality::ManyToMany => None,
            };
            if !matching.labels.is_empty() || matching.on || grouped.is_some() {
                write!(f, " {} (", if matching.on { "on" } else { "ignoring" })?;
                write_labels(f, &matching.labels)?;
                f.write_char(')')?;
            }
            if let Some(side) = grouped {
                write!(f, " group_{side} (")?;
                write_labels(f, &matching.include)?;
                f.write_char(')')?;
            }
        }
        write!(f, " {}", self.rhs)
    }
}

impl Display for AggregateExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.op.as_str())?;
        if self.without || !self.grouping.is_empty() {
            write!(f, " {} (", if self.without { "without" } else { "by" })?;
            write_labels(f, &self.grouping)?;
            f.write_str(") ")?;
        }
        f.write_char('(')?;
        if let Some(param) = &self.param {
            write!(f, "{param}, ")?;
        }
        write!(f, "{})", self.expr)
    }
}

impl Display for SubqueryExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let step = self.step_ms.map(duration_text).unwrap_or_default();
        write!(f, "{}[{}:{step}]", self.expr, duration_text(self.range_ms))?;
        write_times(f, self.at, self.offset_ms)
    }
}

fn write_times(f: &mut Formatter<'_>, at: Option<At>, offset_ms: i64) -> fmt::Result {
    match at {
        Some(At::Time(ms)) => write!(f, " @ {:.3}", ms as f64 / 1000.0)?,
        Some(At::Start) => f.write_str(" @ start()")?,
        Some(At::End) => f.write_str(" @ end()")?,
        None => {}
    }
    if offset_ms != 0 { write!(f, " offset {}", duration_text(offset_ms)) } else { Ok(()) }
}

fn write_selector(f: &mut Formatter<'_>, selector: &VectorSelector) -> fmt::Result {
    f.write_str(&selector.name)?;
    let is_name = |m: &Matcher| m.name() == METRIC_NAME && m.op() == MatchOp::Equal && m.value() == selector.name;
    let mut texts: Vec<String> =
        selector.matchers.iter().filter(|m| !is_name(m) || m.value().is_empty()).map(matcher_text).collect();
    if texts.is_empty() {
        return Ok(());
    }
    texts.sort();
    write!(f, "{{{}}}", texts.join(","))
}

fn matcher_text(matcher: &Matcher) -> String {
    format!("{}{}{}", label_text(matcher.name()), matcher.op().as_str(), quote(matcher.value()))
}

fn write_labels(f: &mut Formatter<'_>, labels: &[String]) -> fmt::Result {
    let texts: Vec<String> = labels.iter().map(|l| label_text(l)).collect();
    f.write_str(&texts.join(", "))
}

/// A label's name, quoted unless it is an identifier.
fn label_text(name: &str) -> String {
    let is_identifier = name.bytes().enumerate().all(|(i, b)| match b {
        b'0'..=b'9' => i > 0,
        _ => b == b'_' || b.is_ascii_alphabetic(),
    });
    if is_identifier && !name.is_empty() { name.to_owned() } else { quote(name) }
}
