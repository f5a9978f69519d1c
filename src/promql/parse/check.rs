//! Types: whether each part of a query fits where it stands.
//!
//! Here: the checks that need the finished tree, in Prometheus' order, so that the first message is the same.
//! Elsewhere: the grammar (`grammar`), the signatures of functions (`functions`).

use storage::METRIC_NAME;

use super::grammar::{Fault, Parsed};
use super::quote::quote;
use crate::promql::ast::{
    AggregateExpr, BinaryExpr, Call, Cardinality, Expr, ExprKind, Span, ValueType, VectorSelector,
};

/// Checks `expr` and settles what depends on types: set operators match many to many, other vectors only vectors.
pub(super) fn check(expr: &mut Expr, query: &str) -> Parsed<ValueType> {
    let span = expr.span;
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Paren(inner) => {
            check(inner, query)?;
        }
        ExprKind::Unary(unary) => {
            let found = check(&mut unary.expr, query)?;
            if !is_arithmetic(found) {
                let what = "unary expression only allowed on expressions of type scalar or instant vector";
                return fault(span, format!("{what}, got {}", quote(found.documented())));
            }
        }
        ExprKind::Binary(binary) => check_binary(binary, span, query)?,
        ExprKind::Aggregate(aggregate) => check_aggregate(aggregate, query)?,
        ExprKind::Call(call) => check_call(call, span, query)?,
        ExprKind::Selector(selector) => check_selector(selector, span)?,
        ExprKind::Matrix(matrix) => check_selector(&matrix.selector, matrix.selector_span)?,
        ExprKind::Subquery(subquery) => {
            let found = check(&mut subquery.expr, query)?;
            if found != ValueType::Vector {
                let found = found.name();
                return fault(span, format!("subquery is only allowed on instant vector, got {found} instead"));
            }
        }
    }
    Ok(expr.value_type())
}

fn fault<T>(span: Span, message: impl Into<String>) -> Parsed<T> {
    Err((span, message.into()))
}

fn is_arithmetic(found: ValueType) -> bool {
    matches!(found, ValueType::Scalar | ValueType::Vector)
}

fn expect_type(expr: &mut Expr, expected: ValueType, context: &str, query: &str) -> Parsed<()> {
    let found = check(expr, query)?;
    if found == expected {
        return Ok(());
    }
    let (expected, found) = (expected.documented(), found.documented());
    fault(expr.span, format!("expected type {expected} in {context}, got {found}"))
}

fn check_aggregate(aggregate: &mut AggregateExpr, query: &str) -> Parsed<()> {
    expect_type(&mut aggregate.expr, ValueType::Vector, "aggregation expression", query)?;
    match (aggregate.op.param_type(), &mut aggregate.param) {
        (Some(expected), Some(param)) => expect_type(param, expected, "aggregation parameter", query),
        _ => Ok(()),
    }
}

fn check_binary(binary: &mut BinaryExpr, span: Span, query: &str) -> Parsed<()> {
    let lhs = check(&mut binary.lhs, query)?;
    let rhs = check(&mut binary.rhs, query)?;
    let op = binary.op;
    if binary.return_bool && !op.is_comparison() {
        let message = "bool modifier can only be used on comparison operators";
        return fault(operator_span(binary, query), message);
    }
    let both_scalar = lhs == ValueType::Scalar && rhs == ValueType::Scalar;
    if op.is_comparison() && !binary.return_bool && both_scalar {
        return fault(operator_span(binary, query), "comparisons between scalars must use BOOL modifier");
    }
    let Some(matching) = &mut binary.matching else { return Ok(()) };
    if op.is_set() && matching.card == Cardinality::OneToOne {
        matching.card = Cardinality::ManyToMany;
    }
    if let Some(label) = matching.labels.iter().find(|&l| matching.on && matching.include.contains(l)) {
        let message = format!("label {} must not occur in ON and GROUP clause at once", quote(label));
        return fault(operator_span(binary, query), message);
    }
    for (side, found) in [(&binary.lhs, lhs), (&binary.rhs, rhs)] {
        if !is_arithmetic(found) {
            return fault(side.span, "binary expression must contain only scalar and instant vector types");
        }
    }
    if lhs != ValueType::Vector || rhs != ValueType::Vector {
        if !matching.labels.is_empty() {
            return fault(span, "vector matching only allowed between instant vectors");
        }
        if matching.fill.is_some() {
            return fault(span, "filling in missing series only allowed between instant vectors");
        }
        if op.is_set() {
            let op = quote(op.as_str());
            return fault(span, format!("set operator {op} not allowed in binary scalar expression"));
        }
        binary.matching = None;
    } else if op.is_set() && matching.card != Cardinality::ManyToMany {
        return fault(span, format!("no grouping allowed for {} operation", quote(op.as_str())));
    } else if op.is_set() && matching.fill.is_some() {
        return fault(span, "filling in missing series not allowed for set operators");
    }
    Ok(())
}

/// The text between the two sides, blanks off.
fn operator_span(binary: &BinaryExpr, query: &str) -> Span {
    let (start, end) = (binary.lhs.span.end, binary.rhs.span.start);
    let between = query.get(start..end).unwrap_or("");
    let blank = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r');
    let start = start + (between.len() - between.trim_start_matches(blank).len());
    Span { start, end: start + between.trim_matches(blank).len() }
}

fn check_call(call: &mut Call, span: Span, query: &str) -> Parsed<()> {
    let function = call.function;
    let (count, name) = (call.args.len(), quote(function.name));
    let least = function.args.len() - usize::from(function.variadic != 0);
    let expected = match usize::try_from(function.variadic) {
        Ok(0) if count != least => Some(format!("{least}")),
        _ if count < least => Some(format!("at least {least}")),
        Ok(extra) if count > least + extra => Some(format!("at most {}", least + extra)),
        _ => None,
    };
    if let Some(expected) = expected {
        return fault(span, format!("expected {expected} argument(s) in call to {name}, got {count}"));
    }
    let context = format!("call to function {name}");
    let data_labels = if function.name == "info" { call.args.get(1) } else { None };
    if let Some(data_labels) = data_labels {
        check_data_labels(data_labels, span, &context)?;
    }
    for (i, arg) in call.args.iter_mut().enumerate() {
        let expected = function.args.get(i).or(function.args.last()).copied().unwrap_or(ValueType::Scalar);
        if function.name == "info" && i == 1 {
            // Conditions on labels alone may be any, also such that select nothing by themselves.
            continue;
        }
        expect_type(arg, expected, &context, query)?;
    }
    Ok(())
}

/// The second argument of `info`: conditions on labels in the form of a selector.
fn check_data_labels(arg: &Expr, call: Span, context: &str) -> Result<(), Fault> {
    if arg.value_type() != ValueType::Vector {
        let (expected, found) = (ValueType::Vector.documented(), arg.value_type().documented());
        return fault(call, format!("expected type {expected} in {context}, got {found}"));
    }
    match &arg.kind {
        ExprKind::Selector(selector) if selector.name.is_empty() => Ok(()),
        ExprKind::Selector(_) => fault(arg.span, "expected label selectors only, got vector selector instead"),
        _ => fault(arg.span, "expected label selectors only"),
    }
}

fn check_selector(selector: &VectorSelector, span: Span) -> Result<(), Fault> {
    if let Some((_, others)) = selector.matchers.split_last().filter(|_| !selector.name.is_empty()) {
        return match others.iter().find(|m| m.name() == METRIC_NAME) {
            Some(other) => {
                let (first, second) = (quote(&selector.name), quote(other.value()));
                fault(span, format!("metric name must not be set twice: {first} or {second}"))
            }
            None => Ok(()),
        };
    }
    if selector.matchers.iter().all(storage::Matcher::matches_empty) {
        return fault(span, "vector selector must contain at least one non-empty matcher");
    }
    Ok(())
}
