//! What a query will do, without doing it: its tree with types, and what each selector reads.
//!
//! Here: [`plan`]. Elsewhere: how it is shown (`cli`), how many series there are (whoever has them).
//!
//! Invariant: a selector reads exactly the samples in its [`Reads::range`] (the evaluator may look at more than one selector
//! needs when several share what was read).

use storage::TimeRange;

use super::ast::{At, Expr, ExprKind, Extension, SubqueryExpr, ValueType, VectorSelector};
use super::duration::{QueryTimes, resolved};
use super::print::{aggregate_head, matcher_text, operator_text, subquery_suffix};
use super::types::{EngineOptions, QueryError};

/// One node of a query.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The operator, function or selector, as written.
    pub what: String,
    /// The type of its value.
    pub value_type: ValueType,
    /// What it reads, if it is a selector.
    pub reads: Option<Reads>,
    /// Its operands and arguments.
    pub parts: Vec<Plan>,
}

/// What a selector reads.
#[derive(Debug, Clone)]
pub struct Reads {
    /// All conditions on the series, as in the braces of a selector.
    pub matchers: Vec<String>,
    /// Samples in this range.
    pub range: TimeRange,
}

/// The times of evaluation that an expression sees.
#[derive(Debug, Clone, Copy)]
struct Times {
    first: i64,
    last: i64,
}

struct Planner<'o> {
    /// Of the whole query, for `@ start()` and `@ end()`.
    query: Times,
    options: &'o EngineOptions,
}

/// The plan of `expr` at `start`, `start + step`, … up to `end`; an instant query has `start == end` and step 0.
pub fn plan(expr: &Expr, (start, end, step): (i64, i64, i64), options: &EngineOptions) -> Result<Plan, QueryError> {
    let expr = resolved(expr, QueryTimes { step, range: end.saturating_sub(start) })?;
    // `@ end()` is the end as asked for, the last step may lie before it.
    let last = if step > 0 { end.saturating_sub(end.saturating_sub(start) % step) } else { end };
    let planner = Planner { query: Times { first: start, last: end }, options };
    Ok(planner.node(&expr, Times { first: start, last }))
}

impl Planner<'_> {
    fn node(&self, expr: &Expr, times: Times) -> Plan {
        let expr = expr.unwrap_parens();
        let what = match &expr.kind {
            ExprKind::Unary(unary) => if unary.is_minus { "-" } else { "+" }.to_owned(),
            ExprKind::Binary(binary) => operator_text(binary),
            ExprKind::Aggregate(aggregate) => aggregate_head(aggregate).trim_end().to_owned(),
            ExprKind::Call(call) => call.function.name.to_owned(),
            ExprKind::Subquery(subquery) => format!("subquery {}", subquery_suffix(subquery).trim()),
            _ => expr.to_string(),
        };
        let (inside, reads) = match &expr.kind {
            ExprKind::Selector(selector) => (times, Some(self.instant(selector, times))),
            ExprKind::Matrix(matrix) => (times, Some(self.window(&matrix.selector, matrix.range_ms, times))),
            ExprKind::Subquery(subquery) => (self.inside(subquery, times), None),
            _ => (times, None),
        };
        let parts = expr.children().into_iter().map(|part| self.node(part, inside)).collect();
        Plan { what, value_type: expr.value_type(), reads, parts }
    }

    fn seen(&self, at: Option<At>, offset_ms: i64, times: Times) -> Times {
        let Times { first, last } = match at {
            None => times,
            Some(At::Time(t)) => Times { first: t, last: t },
            Some(At::Start) => Times { first: self.query.first, last: self.query.first },
            Some(At::End) => Times { first: self.query.last, last: self.query.last },
        };
        Times { first: first.saturating_sub(offset_ms), last: last.saturating_sub(offset_ms) }
    }

    fn lookback_ms(&self) -> i64 {
        i64::try_from(self.options.lookback.as_millis()).unwrap_or(i64::MAX)
    }

    fn instant(&self, selector: &VectorSelector, times: Times) -> Reads {
        let seen = self.seen(selector.at, selector.offset_ms, times);
        let after = if selector.extension == Some(Extension::Smoothed) { self.lookback_ms() } else { 0 };
        reads(selector, seen.first.saturating_sub(self.lookback_ms()), seen.last.saturating_add(after))
    }

    fn window(&self, selector: &VectorSelector, range_ms: i64, times: Times) -> Reads {
        let seen = self.seen(selector.at, selector.offset_ms, times);
        let (before, after) = match selector.extension {
            None => (0, 0),
            Some(Extension::Anchored) => (self.lookback_ms(), 0),
            Some(Extension::Smoothed) => (self.lookback_ms(), self.lookback_ms()),
        };
        let start = seen.first.saturating_sub(range_ms).saturating_sub(before);
        reads(selector, start, seen.last.saturating_add(after))
    }

    /// The steps of a subquery are multiples of its step, the first one inside the first window.
    fn inside(&self, subquery: &SubqueryExpr, times: Times) -> Times {
        let seen = self.seen(subquery.at, subquery.offset_ms, times);
        let default = i64::try_from(self.options.subquery_step.as_millis()).unwrap_or(i64::MAX);
        let step = subquery.step_ms.unwrap_or(default).max(1);
        let before = seen.first.saturating_sub(subquery.range_ms);
        let first = before.div_euclid(step).saturating_add(1).saturating_mul(step);
        Times { first, last: seen.last.div_euclid(step).saturating_mul(step).max(first) }
    }
}

/// Samples in `(after, last]`.
fn reads(selector: &VectorSelector, after: i64, last: i64) -> Reads {
    let range = TimeRange::new(after.saturating_add(1), last.saturating_add(1));
    Reads { matchers: selector.matchers.iter().map(matcher_text).collect(), range }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::ParseOptions;
    use crate::promql::parse_with;

    /// Every node of the tree, indented, with what it reads in seconds, left end open.
    #[track_caller]
    fn check(query: &str, times: (i64, i64, i64), expected: &[&str]) {
        fn lines(plan: &Plan, level: usize, out: &mut Vec<String>) {
            let reads = plan.reads.as_ref().map(|reads| (reads.range.min_t - 1, reads.range.max_t - 1));
            let reads = reads.map(|(after, last)| format!(" ({}, {}]", after / 1000, last / 1000)).unwrap_or_default();
            out.push(format!("{}{} {}{reads}", " ".repeat(level), plan.what, plan.value_type.name()));
            plan.parts.iter().for_each(|part| lines(part, level + 1, out));
        }
        let expr = parse_with(query, ParseOptions::all()).unwrap();
        let mut found = Vec::new();
        lines(&plan(&expr, times, &EngineOptions::default()).unwrap(), 0, &mut found);
        assert_eq!(found, expected);
    }

    #[test]
    fn says_what_selectors_read() {
        check("up", (1_000_000, 1_000_000, 0), &["up vector (700, 1000]"]);
        check(
            "sum by (job) (rate(up[1m] offset 10s)) > (2)",
            (1_000_000, 2_000_000, 60_000),
            &[
                "> vector",
                " sum by (job) vector",
                "  rate vector",
                "   up[1m] offset 10s matrix (930, 1950]",
                " 2 scalar",
            ],
        );
        check(
            "max_over_time((up @ end())[10m:7s] @ 500)",
            (1_000_000, 2_000_000, 60_000),
            &["max_over_time vector", " subquery [10m:7s] @ 500.000 matrix", "  up @ end() vector (1700, 2000]"],
        );
        check(
            "delta((-up)[1m:7s] offset 1m)",
            (1_000_000, 1_000_000, 0),
            &["delta vector", " subquery [1m:7s] offset 1m matrix", "  - vector", "   up vector (582, 938]"],
        );
        check(
            "rate(up[step() * 2] smoothed)",
            (1_000_000, 1_000_000, 30_000),
            &["rate vector", " up[step() * 2] smoothed matrix (640, 1300]"],
        );
    }
}
