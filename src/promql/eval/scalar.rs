//! Scalar expressions: one number for each step.

use super::row::{ABSENT, Row, is_absent};
use super::{Evaluator, impossible};
use crate::promql::ast::{BinaryExpr, Call, Expr, ExprKind};
use crate::promql::functions::math;
use crate::promql::parse::quote;
use crate::promql::types::QueryError;

type Column = Result<Vec<f64>, QueryError>;

impl Evaluator<'_> {
    /// The value of a scalar expression at every step.
    pub(in crate::promql) fn scalar(&self, expr: &Expr) -> Column {
        // Columns of one query mostly live together, so they are counted and not taken off again.
        self.ctx.charge(self.grid.count / 2)?;
        match &expr.kind {
            ExprKind::Number(number) => Ok(vec![number.value; self.grid.count]),
            ExprKind::Paren(inner) => self.scalar(inner),
            ExprKind::Unary(unary) => {
                let mut column = self.scalar(&unary.expr)?;
                if unary.is_minus {
                    column.iter_mut().for_each(|v| *v = -*v);
                }
                Ok(column)
            }
            ExprKind::Binary(binary) => self.scalar_binary(binary),
            ExprKind::Call(call) => self.scalar_call(call),
            _ => Err(impossible("a scalar")),
        }
    }

    fn scalar_binary(&self, binary: &BinaryExpr) -> Column {
        let op = binary.op;
        if op.is_trim() {
            let message = format!("operator {} not allowed for Scalar operations", quote(op.as_str()));
            return Err(QueryError::Execution(message));
        }
        let mut column = self.scalar(&binary.lhs)?;
        for (a, b) in column.iter_mut().zip(self.scalar(&binary.rhs)?) {
            *a = if op.is_comparison() { f64::from(math::compare(op, *a, b)) } else { math::arithmetic(op, *a, b) };
        }
        Ok(column)
    }

    fn scalar_call(&self, call: &Call) -> Column {
        let same = |v: f64| Ok(vec![v; self.grid.count]);
        let seconds = |ms: i64| ms as f64 / 1000.0;
        match call.function.name {
            "time" => Ok((0..self.grid.count).map(|i| seconds(self.grid.time(i))).collect()),
            "pi" => same(std::f64::consts::PI),
            "scalar" => self.only_value(&call.args[0]),
            "start" => same(seconds(self.ctx.outer.start)),
            "end" => same(seconds(self.ctx.end)),
            "range" => same(seconds(self.ctx.end.saturating_sub(self.ctx.outer.start))),
            // A range of one moment is an instant query here, whatever its step.
            "step" if self.ctx.end == self.ctx.outer.start => same(0.0),
            "step" => same(seconds(self.ctx.outer.step)),
            "min_of" => self.pairwise(call, math::min_of),
            "max_of" => self.pairwise(call, math::max_of),
            _ => Err(impossible("a scalar")),
        }
    }

    fn pairwise(&self, call: &Call, f: fn(f64, f64) -> f64) -> Column {
        let mut column = self.scalar(&call.args[0])?;
        for (a, b) in column.iter_mut().zip(self.scalar(&call.args[1])?) {
            *a = f(*a, b);
        }
        Ok(column)
    }

    /// `scalar(vector)`: the value where there is exactly one, else NaN.
    fn only_value(&self, expr: &Expr) -> Column {
        let mut column = vec![ABSENT; self.grid.count];
        let mut is_several = vec![false; self.grid.count];
        self.each_row(expr, &mut |row: Row| {
            for (step, &v) in row.values.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
                is_several[step] |= !is_absent(column[step]);
                column[step] = v;
            }
            Ok(())
        })?;
        for (v, several) in column.iter_mut().zip(is_several) {
            *v = if several || is_absent(*v) { f64::NAN } else { *v };
        }
        Ok(column)
    }
}
