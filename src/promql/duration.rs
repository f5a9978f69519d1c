//! Durations that are computed: `[step() * 2]`, `offset (1h / 2)`.
//!
//! Here: their nodes, their value in one query, and putting that value where the evaluator looks for it.
//! Elsewhere: how they are read (`parse::duration`), how they print (`print`).
//!
//! Invariant: the parser hands out no tree of them that is higher than `ast::HEIGHT_MAX`.

use std::borrow::Cow;

use super::ast::{Expr, ExprKind, NumberLiteral, Span, VectorSelector};
use super::functions::math;
use super::types::QueryError;

/// A duration with its place in the text.
#[derive(Debug, Clone)]
pub struct DurationExpr {
    /// What it is.
    pub kind: DurationKind,
    /// Where it stands, without its parentheses.
    pub span: Span,
    /// It stands in parentheses.
    pub wrapped: bool,
}

/// What a duration is; numbers are seconds.
#[derive(Debug, Clone)]
pub enum DurationKind {
    /// `5m`, `300`
    Number(NumberLiteral),
    /// `step()`: of the query, 0 if it is an instant one.
    Step,
    /// `range()`: from the query's start to its end.
    Range,
    /// `-…`, or `+…`, which also holds a number in parentheses.
    Unary {
        /// `-` rather than `+`.
        is_minus: bool,
        /// What it stands before.
        operand: Box<DurationExpr>,
    },
    /// `… * …`, `min_of(…, …)`
    Binary {
        /// The operator or function.
        op: DurationOp,
        /// Left side.
        lhs: Box<DurationExpr>,
        /// Right side.
        rhs: Box<DurationExpr>,
    },
}

/// Operators and functions of two durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum DurationOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    MinOf,
    MaxOf,
}

impl DurationOp {
    /// As written.
    pub fn as_str(self) -> &'static str {
        match self {
            DurationOp::Add => "+",
            DurationOp::Sub => "-",
            DurationOp::Mul => "*",
            DurationOp::Div => "/",
            DurationOp::Mod => "%",
            DurationOp::Pow => "^",
            DurationOp::MinOf => "min_of",
            DurationOp::MaxOf => "max_of",
        }
    }
}

/// The query's own times, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueryTimes {
    /// Distance of its steps, 0 for an instant query.
    pub(super) step: i64,
    /// From its start to its end.
    pub(super) range: i64,
}

/// `expr` with every computed duration in place; the tree is copied only if there are any.
pub(super) fn resolved(expr: &Expr, times: QueryTimes) -> Result<Cow<'_, Expr>, QueryError> {
    if !has_durations(expr) {
        return Ok(Cow::Borrowed(expr));
    }
    let mut expr = expr.clone();
    resolve(&mut expr, times).map_err(QueryError::Parse)?;
    Ok(Cow::Owned(expr))
}

fn has_durations(expr: &Expr) -> bool {
    let of_selector = |selector: &VectorSelector| selector.offset_expr.is_some();
    match &expr.kind {
        ExprKind::Selector(selector) => of_selector(selector),
        ExprKind::Matrix(matrix) => matrix.range_expr.is_some() || of_selector(&matrix.selector),
        ExprKind::Subquery(s) if s.range_expr.is_some() || s.step_expr.is_some() || s.offset_expr.is_some() => true,
        _ => expr.children().into_iter().any(has_durations),
    }
}

type Resolved = Result<(), String>;

fn resolve(expr: &mut Expr, times: QueryTimes) -> Resolved {
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => Ok(()),
        ExprKind::Paren(inner) => resolve(inner, times),
        ExprKind::Unary(unary) => resolve(&mut unary.expr, times),
        ExprKind::Binary(binary) => {
            resolve(&mut binary.lhs, times)?;
            resolve(&mut binary.rhs, times)
        }
        ExprKind::Aggregate(aggregate) => {
            resolve(&mut aggregate.expr, times)?;
            aggregate.param.iter_mut().try_for_each(|param| resolve(param, times))
        }
        ExprKind::Call(call) => call.args.iter_mut().try_for_each(|arg| resolve(arg, times)),
        ExprKind::Selector(selector) => resolve_selector(selector, times),
        ExprKind::Matrix(matrix) => {
            if let Some(range) = &matrix.range_expr {
                matrix.range_ms = range.positive_ms(times)?;
            }
            resolve_selector(&mut matrix.selector, times)
        }
        ExprKind::Subquery(subquery) => {
            if let Some(offset) = &subquery.offset_expr {
                subquery.offset_ms = offset.ms(times)?;
            }
            if let Some(step) = &subquery.step_expr {
                // Less than a millisecond is no step at all: the default is taken.
                subquery.step_ms = Some(step.positive_ms(times)?).filter(|ms| *ms > 0);
            }
            if let Some(range) = &subquery.range_expr {
                subquery.range_ms = range.positive_ms(times)?;
            }
            resolve(&mut subquery.expr, times)
        }
    }
}

fn resolve_selector(selector: &mut VectorSelector, times: QueryTimes) -> Resolved {
    if let Some(offset) = &selector.offset_expr {
        selector.offset_ms = offset.ms(times)?;
    }
    Ok(())
}

impl DurationExpr {
    fn positive_ms(&self, times: QueryTimes) -> Result<i64, String> {
        match self.finite_seconds(times)? {
            seconds if seconds <= 0.0 => Err(self.fault("duration must be greater than 0")),
            seconds => self.to_ms(seconds),
        }
    }

    fn ms(&self, times: QueryTimes) -> Result<i64, String> {
        self.to_ms(self.finite_seconds(times)?)
    }

    fn to_ms(&self, seconds: f64) -> Result<i64, String> {
        // What fits in 63 bits of nanoseconds.
        const SECONDS_MAX: f64 = i64::MAX as f64 / 1e9;
        if seconds.abs() > SECONDS_MAX {
            return Err(self.fault("duration is out of range"));
        }
        Ok((seconds * 1000.0) as i64)
    }

    fn finite_seconds(&self, times: QueryTimes) -> Result<f64, String> {
        let seconds = self.seconds(times)?;
        if seconds.is_finite() { Ok(seconds) } else { Err(self.fault("duration is NaN or infinite")) }
    }

    fn seconds(&self, times: QueryTimes) -> Result<f64, String> {
        Ok(match &self.kind {
            DurationKind::Number(number) => number.value,
            DurationKind::Step => times.step as f64 / 1000.0,
            DurationKind::Range => times.range as f64 / 1000.0,
            DurationKind::Unary { is_minus, operand } => {
                let value = operand.seconds(times)?;
                if *is_minus { -value } else { value }
            }
            DurationKind::Binary { op, lhs, rhs } => {
                let (a, b) = (lhs.seconds(times)?, rhs.seconds(times)?);
                match op {
                    DurationOp::Add => a + b,
                    DurationOp::Sub => a - b,
                    DurationOp::Mul => a * b,
                    DurationOp::Div if b == 0.0 => return Err(self.fault("division by zero")),
                    DurationOp::Div => a / b,
                    DurationOp::Mod if b == 0.0 => return Err(self.fault("modulo by zero")),
                    DurationOp::Mod => a % b,
                    DurationOp::Pow => a.powf(b),
                    DurationOp::MinOf => math::min_of(a, b),
                    DurationOp::MaxOf => math::max_of(a, b),
                }
            }
        })
    }

    /// Prometheus gives both ends as bytes here, not line and column.
    fn fault(&self, message: &str) -> String {
        format!("{}:{}: {message}", self.span.start, self.span.end)
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: Result<i64, &str>) {
        let expr = parse(query).unwrap_or_else(|e| panic!("{query}: {e}"));
        let found = resolved(&expr, QueryTimes { step: 15_000, range: 3_600_000 });
        let found = found.map(|expr| match &expr.kind {
            ExprKind::Matrix(matrix) => matrix.range_ms,
            ExprKind::Selector(selector) => selector.offset_ms,
            other => panic!("{query}: {other:?}"),
        });
        assert_eq!(found, expected.map_err(|e| QueryError::Parse(e.to_owned())), "{query}");
    }

    #[test]
    fn durations_are_computed_for_the_query() {
        check("x[5m]", Ok(300_000));
        check("x[5m * 2 - 1]", Ok(599_000));
        check("x[2 ^ 3 ^ 0]", Ok(2000));
        check("x[-(1 - 3)]", Ok(2000));
        check("x[step() * 4]", Ok(60_000));
        check("x[range() % 7m]", Ok(240_000));
        check("x[min_of(1m, max_of(step(), 20))]", Ok(20_000));
        check("x[1.0009]", Ok(1000));
        check("x offset -step()", Ok(-15_000));
        check("x offset (1 - 3)", Ok(-2000));
    }

    #[test]
    fn durations_that_are_none_are_refused_with_both_ends() {
        check("x[1 - 1]", Err("2:7: duration must be greater than 0"));
        check("x[5 / (1 - 1)]", Err("2:12: division by zero"));
        check("x[5 % (1 - 1)]", Err("2:12: modulo by zero"));
        check("x[(0 - 1) ^ 0.5]", Err("3:15: duration is NaN or infinite"));
        check("x[10 ^ 12 * 1]", Err("2:13: duration is out of range"));
        check("x offset (10 ^ 400)", Err("10:18: duration is NaN or infinite"));
    }
}
