//! Queries laid out over several lines, as `/api/v1/format_query` and the editor show them.
//!
//! Here: the layout, Prometheus': what is longer than a line is split at its operator or arguments, two blanks a level.
//! Elsewhere: the text of what fits on a line (`print`).

use std::fmt::{self, Write};

use super::ast::{Expr, ExprKind};
use super::print::{aggregate_head, operator_text, subquery_suffix};

/// What is longer than this is split.
const LINE_BYTES_MAX: usize = 100;

/// A query as Prometheus lays it out.
pub fn layout(expr: &Expr) -> String {
    pretty(expr, 0)
}

fn pretty(expr: &Expr, level: usize) -> String {
    let indent = "  ".repeat(level);
    match &expr.kind {
        ExprKind::Unary(unary) => {
            let sign = if unary.is_minus { "-" } else { "+" };
            format!("{indent}{sign}{}", pretty(&unary.expr, level).trim())
        }
        ExprKind::Subquery(s) if fits(expr) => format!("{}{}", s.expr, subquery_suffix(s)),
        ExprKind::Subquery(s) => format!("{}{}", pretty(&s.expr, level), subquery_suffix(s)),
        _ if fits(expr) => format!("{indent}{expr}"),
        ExprKind::Binary(b) => {
            let (lhs, rhs) = (pretty(&b.lhs, level + 1), pretty(&b.rhs, level + 1));
            format!("{lhs}\n{indent}{}\n{rhs}", operator_text(b))
        }
        ExprKind::Paren(inner) => format!("{indent}(\n{}\n{indent})", pretty(inner, level + 1)),
        ExprKind::Aggregate(a) => {
            let param = a.param.as_ref().map(|p| pretty(p, level + 1) + ",\n").unwrap_or_default();
            format!("{indent}{}(\n{param}{}\n{indent})", aggregate_head(a), pretty(&a.expr, level + 1))
        }
        ExprKind::Call(call) => {
            let args: Vec<String> = call.args.iter().map(|arg| pretty(arg, level + 1)).collect();
            format!("{indent}{}(\n{}\n{indent})", call.function.name, args.join(",\n"))
        }
        ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Selector(_) | ExprKind::Matrix(_) => {
            format!("{indent}{expr}")
        }
    }
}

/// Whether the expression fits on a line. Printing stops where it does not, so deep trees cost no more than flat ones.
fn fits(expr: &Expr) -> bool {
    struct Line(usize);
    impl Write for Line {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0 += text.len();
            if self.0 > LINE_BYTES_MAX { Err(fmt::Error) } else { Ok(()) }
        }
    }
    write!(Line(0), "{expr}").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::parse;

    #[track_caller]
    fn check(query: &str, expected: &str) {
        assert_eq!(layout(&parse(query).unwrap()), expected);
        assert_eq!(layout(&parse(expected).unwrap()), expected);
    }

    #[test]
    fn short_queries_stay_on_one_line() {
        check("sum( rate(x[5m]) )by(a)", "sum by (a) (rate(x[5m]))");
        check("max_over_time((-x)[5m:])", "max_over_time((-x)[5m:])");
    }

    #[test]
    fn long_queries_are_split_at_operators_and_arguments() {
        let long = "a_metric_with_quite_a_long_name{instance=\"somewhere\",job=\"something\"}";
        check(
            &format!("sum by (job) (rate({long}[5m])) / (topk(3, {long}) + -{long})"),
            &format!("  sum by (job) (rate({long}[5m]))\n/\n  (\n      topk(3, {long})\n    +\n      -{long}\n  )"),
        );
        check(
            &format!("avg without (x) (rate({long}[5m]) * rate({long}[5m]))"),
            &format!("avg without (x) (\n    rate({long}[5m])\n  *\n    rate({long}[5m])\n)"),
        );
    }
}
