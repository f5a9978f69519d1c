//! Binary operators with native histograms.
//!
//! Here: what histograms yield with floats and with each other (`</` and `>/` among it), and what is said of operands that do not go together.
//! Elsewhere: floats (`binary`), which never come here.

use std::sync::Arc;

use super::Evaluator;
use super::binary::{Operation, element};
use super::row::{ABSENT, Row, empty_column, is_absent};
use crate::promql::ast::BinaryOp;
use crate::promql::histogram::{FloatHistogram, HistogramSum, Keep};
use storage::CounterResetHint;

/// The value of one operand.
#[derive(Clone, Copy)]
enum Operand<'r> {
    Float(f64),
    Histogram(&'r Arc<FloatHistogram>),
}

impl<'r> Operand<'r> {
    fn of(row: &'r Row, step: usize) -> Option<Self> {
        let float = || Some(row.values[step]).filter(|v| !is_absent(*v)).map(Operand::Float);
        row.histogram(step).map(Operand::Histogram).or_else(float)
    }

    fn kind(self) -> &'static str {
        match self {
            Operand::Float(_) => "float",
            Operand::Histogram(_) => "histogram",
        }
    }
}

/// One value of a result.
enum Found {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

impl Evaluator<'_> {
    /// The histograms of `row` with a scalar on the other side. A comparison of the two never holds.
    pub(super) fn histograms_with_scalar(
        &self,
        operation: Operation<'_>,
        scalar: &[f64],
        swapped: bool,
        row: &mut Row,
    ) {
        row.map_histograms(|step, histogram| {
            let found = with_float(operation.binary.op, histogram, scalar[step], swapped);
            if found.is_none() {
                let (left, right) = if swapped { ("float", "histogram") } else { ("histogram", "float") };
                self.tell_types(operation, left, right);
            }
            found
        });
    }

    /// Two rows that meet, at least one of them with histograms.
    pub(super) fn mixed_pair(&self, operation: Operation<'_>, left: &Row, right: &Row) -> Row {
        let mut values = vec![ABSENT; self.grid.count];
        let mut column = empty_column(self.grid.count);
        for step in 0..self.grid.count {
            let (Some(a), Some(b)) = (Operand::of(left, step), Operand::of(right, step)) else { continue };
            match self.mixed_element(operation, a, b) {
                Some(Found::Float(v)) => values[step] = v,
                Some(Found::Histogram(histogram)) => column[step] = Some(histogram),
                None => {}
            }
        }
        let histograms = column.iter().any(Option::is_some).then_some(column);
        Row { histograms, ..Row::new(left.labels.clone(), values) }
    }

    fn mixed_element(&self, operation: Operation<'_>, left: Operand<'_>, right: Operand<'_>) -> Option<Found> {
        let op = operation.binary.op;
        let new = |histogram: FloatHistogram| Found::Histogram(Arc::new(histogram));
        let found = match (left, right) {
            (Operand::Float(_), Operand::Float(_)) if op.is_trim() => None,
            (Operand::Float(a), Operand::Float(b)) => {
                return Some(element(operation.binary, a, b, a)).filter(|v| !is_absent(*v)).map(Found::Float);
            }
            (Operand::Float(v), Operand::Histogram(h)) => with_float(op, h, v, true).map(new),
            (Operand::Histogram(h), Operand::Float(v)) => with_float(op, h, v, false).map(new),
            (Operand::Histogram(a), Operand::Histogram(b)) => match op {
                BinaryOp::Add | BinaryOp::Sub => return self.added(operation, a, b).map(new),
                BinaryOp::Equal | BinaryOp::NotEqual => {
                    let holds = a.same_data(b) == (op == BinaryOp::Equal);
                    if operation.binary.return_bool {
                        return Some(Found::Float(f64::from(holds)));
                    }
                    return holds.then(|| Found::Histogram(a.clone()));
                }
                _ => None,
            },
        };
        if found.is_none() {
            self.tell_types(operation, left.kind(), right.kind());
        }
        found
    }

    /// The sum or the difference; a difference is a gauge.
    fn added(&self, operation: Operation<'_>, a: &FloatHistogram, b: &FloatHistogram) -> Option<FloatHistogram> {
        let is_sum = operation.binary.op == BinaryOp::Add;
        let name = if is_sum { "addition" } else { "subtraction" };
        let mut sum = HistogramSum::of(a);
        let Ok(added) = (if is_sum { sum.add(b) } else { sum.subtract(b) }) else {
            let what = "incompatible bucket layout encountered for binary operator";
            self.ctx.warn(&format!("{what} {}", operation.binary.op.as_str()), operation.span);
            return None;
        };
        if added.is_collision {
            self.tell_collision(name, operation.span);
            return None;
        }
        if added.is_reconciled {
            self.tell_reconciled(name, operation.span);
        }
        let found = sum.finish().compact();
        Some(if is_sum { found } else { found.with_hint(CounterResetHint::Gauge) })
    }

    pub(super) fn tell_types(&self, operation: Operation<'_>, left: &str, right: &str) {
        let op = operation.binary.op.as_str();
        let what = "incompatible sample types encountered for binary operator";
        self.ctx.info(&format!("{what} \"{op}\": {left} {op} {right}"), operation.span);
    }
}

/// A histogram and a float; `None` if they do not go together. `swapped`: the float is on the left.
fn with_float(op: BinaryOp, histogram: &FloatHistogram, v: f64, swapped: bool) -> Option<FloatHistogram> {
    match op {
        BinaryOp::Mul => Some(histogram.scaled(v).compact()),
        BinaryOp::Div if !swapped => Some(histogram.divided(v).compact()),
        BinaryOp::TrimUpper if !swapped => Some(histogram.trimmed(v, Keep::Below)),
        BinaryOp::TrimLower if !swapped => Some(histogram.trimmed(v, Keep::Above)),
        _ => None,
    }
}
