//! Dropping the metric's name where an operation changes what a series means.
//!
//! Here: when names go (at once by default, at the end with delayed removal) and what happens if series become equal.
//! Elsewhere: which operations drop names (their own files).
//!
//! Type and unit labels are part of the name: they go with it.

use rustc_hash::FxHashSet;
use storage::{Labels, METRIC_NAME, METRIC_TYPE, METRIC_UNIT, MatchOp, Matcher};

use super::context::Selected;
use super::row::{Overlap, Row, Sink, unite};
use super::{Done, Evaluator};
use crate::promql::ast::{AggregateOp, BinaryOp, Expr, ExprKind, ValueType, VectorSelector};
use crate::promql::types::QueryError;

/// Labels that say what a metric is rather than where it comes from.
pub(super) fn is_metadata(label: &str) -> bool {
    matches!(label, METRIC_NAME | METRIC_TYPE | METRIC_UNIT)
}

pub(super) fn without_metadata(labels: &Labels) -> Labels {
    if labels.iter().any(|(name, _)| is_metadata(name)) {
        labels.filter(|name| !is_metadata(name))
    } else {
        labels.clone()
    }
}

/// Drops the names that were marked for it, at the end of a query with delayed removal.
pub(super) fn finish(mut rows: Vec<Row>) -> Result<Vec<Row>, QueryError> {
    for row in rows.iter_mut().filter(|row| row.drop_name) {
        row.labels = without_metadata(&row.labels);
    }
    unite(rows, Overlap::Merge)
}

impl Evaluator<'_> {
    /// Runs `produce`, whose rows come one to one from series of `input`, and drops names on their way to `sink`.
    pub(super) fn dropping_names(
        &self,
        input: &Expr,
        overlap: Overlap,
        sink: &mut Sink<'_>,
        produce: &mut dyn FnMut(&mut Sink<'_>) -> Done,
    ) -> Done {
        if self.ctx.options.delayed_name_removal {
            return produce(&mut |mut row| {
                row.drop_name = true;
                sink(row)
            });
        }
        if self.drops_cleanly(input)? {
            return produce(&mut |mut row| {
                row.labels = without_metadata(&row.labels);
                sink(row)
            });
        }
        let mut rows = Vec::new();
        produce(&mut |mut row| {
            self.ctx.charge(row.cost())?;
            row.labels = without_metadata(&row.labels);
            rows.push(row);
            Ok(())
        })?;
        unite(rows, overlap)?.into_iter().try_for_each(sink)
    }

    /// Whether the series of `expr` surely stay distinct without their names, so that rows need not be kept to compare.
    fn drops_cleanly(&self, expr: &Expr) -> Result<bool, QueryError> {
        Ok(match &expr.kind {
            ExprKind::Paren(inner) => self.drops_cleanly(inner)?,
            ExprKind::Unary(unary) => unary.is_minus || self.drops_cleanly(&unary.expr)?,
            ExprKind::Selector(selector) => distinct_without_names(selector, &self.select_instant(selector)?),
            ExprKind::Matrix(matrix) => distinct_without_names(&matrix.selector, &self.select_window(matrix)?),
            ExprKind::Aggregate(a) => match a.op {
                AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio => {
                    self.drops_cleanly(&a.expr)?
                }
                _ => !a.without && !a.grouping.iter().any(|l| is_metadata(l)),
            },
            ExprKind::Binary(b) => match (b.lhs.value_type(), b.rhs.value_type()) {
                (ValueType::Vector, ValueType::Vector) => {
                    matches!(b.op, BinaryOp::And | BinaryOp::Unless) && self.drops_cleanly(&b.lhs)?
                }
                _ => !b.op.keeps_name() || b.return_bool,
            },
            ExprKind::Call(call) => match call.function.name {
                "label_replace" | "label_join" | "info" | "histogram_quantiles" => false,
                "last_over_time" | "first_over_time" => self.drops_cleanly(&call.args[0])?,
                "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => self.drops_cleanly(&call.args[0])?,
                _ => true,
            },
            // Its inner expression is evaluated on another grid: better to compare than to select twice.
            ExprKind::Subquery(subquery) => {
                matches!(subquery.expr.kind, ExprKind::Call(_) | ExprKind::Aggregate(_))
                    && self.drops_cleanly(&subquery.expr)?
            }
            ExprKind::Number(_) | ExprKind::String(_) => true,
        })
    }
}

fn distinct_without_names(selector: &VectorSelector, found: &Selected) -> bool {
    let is_one_name = |m: &Matcher| m.name() == METRIC_NAME && m.op() == MatchOp::Equal && !m.value().is_empty();
    let has_metadata = |labels: &Labels| labels.get("__type__").is_some() || labels.get("__unit__").is_some();
    if selector.matchers.iter().any(is_one_name) && !found.iter().any(|s| has_metadata(s.labels())) {
        return true;
    }
    let mut seen = FxHashSet::default();
    found.iter().all(|series| seen.insert(without_metadata(series.labels())))
}
