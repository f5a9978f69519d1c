//! The tree of a query as JSON, in the shape of Prometheus' `/api/v1/parse_query`: what its tree view draws.
//!
//! Keys come in the order of the alphabet, as Go writes them.

use serde_json::{Value, json};
use storage::Matcher;

use crate::promql::ast::{At, BinaryExpr, Call, Cardinality, Expr, ExprKind, Extension, VectorSelector};
use crate::promql::duration::{DurationExpr, DurationKind};
use crate::promql::float_text;

/// `expr` as JSON.
pub(super) fn tree(expr: &Expr) -> Value {
    match &expr.kind {
        ExprKind::Number(number) => json!({ "type": "numberLiteral", "val": float_text(number.value) }),
        ExprKind::String(text) => json!({ "type": "stringLiteral", "val": text }),
        ExprKind::Paren(inner) => json!({ "expr": tree(inner), "type": "parenExpr" }),
        ExprKind::Unary(unary) => {
            json!({ "expr": tree(&unary.expr), "op": if unary.is_minus { "-" } else { "+" }, "type": "unaryExpr" })
        }
        ExprKind::Binary(binary) => binary_tree(binary),
        ExprKind::Aggregate(aggregate) => json!({
            "expr": tree(&aggregate.expr),
            "grouping": aggregate.grouping,
            "op": aggregate.op.as_str(),
            "param": aggregate.param.as_ref().map(tree),
            "type": "aggregation",
            "without": aggregate.without,
        }),
        ExprKind::Call(call) => call_tree(call),
        ExprKind::Selector(selector) => selector_tree(selector, "vectorSelector"),
        ExprKind::Matrix(matrix) => {
            let mut found = selector_tree(&matrix.selector, "matrixSelector");
            found["range"] = json!(matrix.range_ms);
            found["rangeExpr"] = duration_tree(matrix.range_expr.as_ref());
            found
        }
        ExprKind::Subquery(subquery) => json!({
            "expr": tree(&subquery.expr),
            "offset": subquery.offset_ms,
            "offsetExpr": duration_tree(subquery.offset_expr.as_ref()),
            "range": subquery.range_ms,
            "rangeExpr": duration_tree(subquery.range_expr.as_ref()),
            "startOrEnd": start_or_end(subquery.at),
            "step": subquery.step_ms.unwrap_or(0),
            "stepExpr": duration_tree(subquery.step_expr.as_ref()),
            "timestamp": timestamp(subquery.at),
            "type": "subquery",
        }),
    }
}

fn binary_tree(binary: &BinaryExpr) -> Value {
    let matching = binary.matching.as_ref().map(|m| {
        json!({
            "card": card(m.card),
            "fillValues": { "lhs": number(m.fill.left), "rhs": number(m.fill.right) },
            "include": m.include,
            "labels": m.labels,
            "on": m.on,
        })
    });
    json!({
        "bool": binary.return_bool,
        "lhs": tree(&binary.lhs),
        "matching": matching,
        "op": binary.op.as_str(),
        "rhs": tree(&binary.rhs),
        "type": "binaryExpr",
    })
}

fn card(card: Cardinality) -> &'static str {
    match card {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    }
}

/// Whole numbers without a point, as Go writes them; JSON has no word for what is not finite.
fn number(value: Option<f64>) -> Value {
    const EXACT_MAX: f64 = (1u64 << 53) as f64;
    match value {
        Some(v) if v.fract() == 0.0 && v.abs() <= EXACT_MAX => json!(v as i64),
        other => json!(other),
    }
}

fn call_tree(call: &Call) -> Value {
    let function = call.function;
    json!({
        "args": call.args.iter().map(tree).collect::<Vec<_>>(),
        "func": {
            "argTypes": function.args.iter().map(|t| t.name()).collect::<Vec<_>>(),
            "name": function.name,
            "returnType": function.returns.name(),
            "variadic": function.variadic,
        },
        "type": "call",
    })
}

fn selector_tree(selector: &VectorSelector, kind: &str) -> Value {
    json!({
        "anchored": selector.extension == Some(Extension::Anchored),
        "matchers": selector.matchers.iter().map(matcher).collect::<Vec<_>>(),
        "name": selector.name,
        "offset": selector.offset_ms,
        "offsetExpr": duration_tree(selector.offset_expr.as_ref()),
        "smoothed": selector.extension == Some(Extension::Smoothed),
        "startOrEnd": start_or_end(selector.at),
        "timestamp": timestamp(selector.at),
        "type": kind,
    })
}

fn matcher(matcher: &Matcher) -> Value {
    json!({ "name": matcher.name(), "type": matcher.op().as_str(), "value": matcher.value() })
}

fn start_or_end(at: Option<At>) -> Option<&'static str> {
    match at {
        Some(At::Start) => Some("start"),
        Some(At::End) => Some("end"),
        Some(At::Time(_)) | None => None,
    }
}

fn timestamp(at: Option<At>) -> Option<i64> {
    match at {
        Some(At::Time(t)) => Some(t),
        _ => None,
    }
}

fn duration_tree(duration: Option<&DurationExpr>) -> Value {
    let Some(duration) = duration else { return Value::Null };
    let (op, lhs, rhs) = match &duration.kind {
        DurationKind::Number(number) => {
            let val = float_text(number.value);
            return json!({ "duration": number.is_duration, "type": "numberLiteral", "val": val });
        }
        DurationKind::Step => ("step", None, None),
        DurationKind::Range => ("range", None, None),
        DurationKind::Unary { is_minus, operand } => (if *is_minus { "-" } else { "+" }, None, Some(operand)),
        DurationKind::Binary { op, lhs, rhs } => (op.as_str(), Some(lhs), Some(rhs)),
    };
    json!({
        "lhs": duration_tree(lhs.map(AsRef::as_ref)),
        "op": op,
        "rhs": duration_tree(rhs.map(AsRef::as_ref)),
        "type": "durationExpr",
        "wrapped": duration.wrapped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::{ParseOptions, parse_with};

    #[track_caller]
    fn check(query: &str, expected: Value) {
        let expr = parse_with(query, ParseOptions::all()).unwrap_or_else(|e| panic!("{query}: {e}"));
        assert_eq!(tree(&expr), expected, "{query}");
    }

    /// A selector of the metric `name` without anything else.
    fn plain(name: &str) -> Value {
        json!({
            "type": "vectorSelector", "name": name, "offset": 0, "offsetExpr": null, "timestamp": null,
            "startOrEnd": null, "anchored": false, "smoothed": false,
            "matchers": [{ "name": "__name__", "type": "=", "value": name }],
        })
    }

    #[test]
    fn operators_calls_and_aggregations() {
        check("-1.5", json!({ "type": "numberLiteral", "val": "-1.5" }));
        check("\"a\"", json!({ "type": "stringLiteral", "val": "a" }));
        check("-(a)", json!({ "type": "unaryExpr", "op": "-", "expr": { "type": "parenExpr", "expr": plain("a") } }));
        check(
            "a > bool on(x) group_left(y) fill_right(2) b",
            json!({
                "type": "binaryExpr", "op": ">", "bool": true, "lhs": plain("a"), "rhs": plain("b"),
                "matching": {
                    "card": "many-to-one", "labels": ["x"], "on": true, "include": ["y"],
                    "fillValues": { "lhs": null, "rhs": 2 },
                },
            }),
        );
        check(
            "topk without (x) (3, a)",
            json!({
                "type": "aggregation", "op": "topk", "expr": plain("a"), "grouping": ["x"], "without": true,
                "param": { "type": "numberLiteral", "val": "3" },
            }),
        );
        check(
            "round(a)",
            json!({
                "type": "call", "args": [plain("a")],
                "func": { "name": "round", "argTypes": ["vector", "scalar"], "variadic": 1, "returnType": "vector" },
            }),
        );
    }

    #[test]
    fn selectors_have_all_their_modifiers() {
        check(
            "a{b!=\"c\"}[5m] anchored @ 1.5 offset 1m",
            json!({
                "type": "matrixSelector", "name": "a", "range": 300_000, "rangeExpr": null, "offset": 60_000,
                "offsetExpr": null, "timestamp": 1500, "startOrEnd": null, "anchored": true, "smoothed": false,
                "matchers": [
                    { "name": "b", "type": "!=", "value": "c" },
                    { "name": "__name__", "type": "=", "value": "a" },
                ],
            }),
        );
        check(
            "a[5m:(1m)] @ end() offset -step()",
            json!({
                "type": "subquery", "expr": plain("a"), "range": 300_000, "rangeExpr": null, "offset": 0,
                "timestamp": null, "startOrEnd": "end", "step": 0,
                "stepExpr": {
                    "type": "durationExpr", "op": "+", "lhs": null, "wrapped": true,
                    "rhs": { "type": "numberLiteral", "val": "60", "duration": true },
                },
                "offsetExpr": {
                    "type": "durationExpr", "op": "-", "lhs": null, "wrapped": false,
                    "rhs": { "type": "durationExpr", "op": "step", "lhs": null, "rhs": null, "wrapped": false },
                },
            }),
        );
    }
}
