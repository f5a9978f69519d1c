//! Which queries may be cached: those whose value at one time depends on nothing but samples before it.
//!
//! A range query is then the same in one piece and in several, and what late samples can change is known.

use storage::{METRIC_NAME, MatchOp};

use crate::promql::ast::{BinaryOp, Expr, ExprKind, VectorSelector};

/// Functions of the query's own times, or of series that it does not name.
const NOT_CACHED: [&str; 5] = ["start", "end", "range", "step", "info"];

/// How far back, in milliseconds, the value at a time looks; `None` if the query may not be cached:
///
/// * `@`, `start()`, `end()`, `range()`, `step()` and computed durations depend on the query's own times;
/// * negative offsets and `smoothed` look at samples that may still come;
/// * a selector without a name, or one that gets a new name, may have series that clash without ever meeting: that is an
///   error of the whole query and of none of its pieces. For the same reason no subquery may be over an `or`;
/// * a query without selectors costs less than a look into the cache.
pub(in crate::query) fn look_back(expr: &Expr, lookback_ms: i64) -> Option<i64> {
    let reach = reach(expr, lookback_ms)?;
    (reach > 0).then_some(reach)
}

fn reach(expr: &Expr, lookback_ms: i64) -> Option<i64> {
    let own = match &expr.kind {
        ExprKind::Selector(selector) => lookback_ms.checked_add(offset_of(selector)?)?,
        ExprKind::Matrix(matrix) => {
            let is_plain = matrix.range_expr.is_none();
            let offset = offset_of(&matrix.selector).filter(|_| is_plain)?;
            offset.checked_add(matrix.range_ms)?
        }
        ExprKind::Subquery(subquery) => {
            let is_computed =
                subquery.range_expr.is_some() || subquery.step_expr.is_some() || subquery.offset_expr.is_some();
            if is_computed || subquery.at.is_some() || subquery.offset_ms < 0 || has_or(&subquery.expr) {
                return None;
            }
            let inner = reach(&subquery.expr, lookback_ms)?;
            return inner.checked_add(subquery.range_ms)?.checked_add(subquery.offset_ms);
        }
        ExprKind::Call(call) if NOT_CACHED.contains(&call.function.name) => return None,
        ExprKind::Call(call) if call.function.name.starts_with("label_") && names(call.args.get(1)) => return None,
        _ => 0,
    };
    expr.children().into_iter().try_fold(own, |most, child| Some(most.max(reach(child, lookback_ms)?)))
}

/// The offset of a selector that may be cached.
fn offset_of(selector: &VectorSelector) -> Option<i64> {
    let has_name = selector.matchers.iter().any(|m| m.name() == METRIC_NAME && m.op() == MatchOp::Equal);
    let is_plain = selector.at.is_none() && selector.extension.is_none() && selector.offset_expr.is_none();
    (has_name && is_plain && selector.offset_ms >= 0).then_some(selector.offset_ms)
}

fn has_or(expr: &Expr) -> bool {
    let is_or = matches!(&expr.kind, ExprKind::Binary(binary) if binary.op == BinaryOp::Or);
    is_or || expr.children().into_iter().any(has_or)
}

/// Whether the label that a function sets is the name.
fn names(target: Option<&Expr>) -> bool {
    match target.map(|target| &target.unwrap_parens().kind) {
        Some(ExprKind::String(label)) => label == METRIC_NAME,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::{ParseOptions, parse_with};

    #[track_caller]
    fn check(query: &str, expected: Option<i64>) {
        let expr = parse_with(query, ParseOptions::all()).unwrap();
        assert_eq!(look_back(&expr, 300_000), expected, "{query}");
    }

    #[test]
    fn says_how_far_a_value_looks_back() {
        check("m", Some(300_000));
        check("m offset 1m", Some(360_000));
        check("sum by (a) (rate(m[10m]))", Some(600_000));
        check("rate(m[1m]) / on(i) (n offset 1h)", Some(3_900_000));
        check("max_over_time(rate(m[5m])[1h:1m] offset 1m)", Some(3_960_000));
        check("time() - timestamp(m)", Some(300_000));
        check("label_replace(m, \"a\", \"$1\", \"b\", \"(.*)\")", Some(300_000));
        check("histogram_quantile(0.9, sum by (le) (rate(m[5m])))", Some(300_000));
        check("topk(scalar(n), m) or absent(m)", Some(300_000));
    }

    #[test]
    fn what_depends_on_more_than_the_past_is_not_cached() {
        for query in [
            "1 + 1",
            "time()",
            "m @ 5",
            "m @ start()",
            "rate(m[5m] @ end())",
            "max_over_time(m[1h:1m] @ 7)",
            "m offset -1m",
            "max_over_time(m[1h:1m] offset -1m)",
            "rate(m[5m] smoothed)",
            "rate(m[5m] anchored)",
            "rate(m[step()])",
            "rate(m[range() / 2])",
            "max_over_time(m[1h:step()])",
            "m * range()",
            "m + end()",
            "info(m)",
            "{job=\"x\"}",
            "{__name__=~\"a|b\"}",
            "m / {__name__!=\"m\", i=\"1\"}",
            "label_replace(m, \"__name__\", \"$1\", \"b\", \"(.*)\")",
            "rate((m or n)[5m:1m])",
            "topk(scalar(m @ 3), m)",
        ] {
            check(query, None);
        }
    }
}
