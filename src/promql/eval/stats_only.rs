//! Selectors of which only count and sum of native histograms are wanted.
//!
//! Here: finding them in a query, and taking histograms apart. `histogram_count(rate(m[5m]))` then holds no buckets.
//!
//! As in Prometheus, resets are then looked for as a series is read, while buckets are still there; so such histograms
//! say of themselves that they are resets, which histograms with buckets never do, and sums of them may warn of it.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use storage::{CounterResetHint, Histogram};

use crate::promql::ast::{Expr, ExprKind, VectorSelector};
use crate::promql::histogram::FloatHistogram;

/// The selectors, by address.
#[derive(Debug, Default)]
pub(super) struct StatsOnly(FxHashSet<usize>);

impl StatsOnly {
    pub(super) fn of(expr: &Expr) -> Self {
        let mut found = StatsOnly::default();
        found.visit(expr, false, false);
        found
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, selector: &VectorSelector) -> bool {
        !self.0.is_empty() && self.0.contains(&address(selector))
    }

    /// `is_wanted`: inside a function of count and sum. `is_whole`: inside something that needs buckets, too; subqueries
    /// compare histograms anew.
    fn visit(&mut self, expr: &Expr, is_wanted: bool, is_whole: bool) {
        let (wanted, whole) = match &expr.kind {
            ExprKind::Call(call) => match call.function.name {
                "histogram_count" | "histogram_sum" | "histogram_avg" => (true, is_whole),
                "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => (is_wanted, true),
                _ => (is_wanted, is_whole),
            },
            ExprKind::Subquery(_) => (is_wanted, true),
            ExprKind::Binary(binary) => (is_wanted, is_whole || binary.op.is_trim()),
            ExprKind::Selector(selector) => return self.add(selector, is_wanted && !is_whole),
            ExprKind::Matrix(matrix) => return self.add(&matrix.selector, is_wanted && !is_whole),
            _ => (is_wanted, is_whole),
        };
        expr.children().into_iter().for_each(|child| self.visit(child, wanted, whole));
    }

    fn add(&mut self, selector: &VectorSelector, is_stats_only: bool) {
        if is_stats_only {
            self.0.insert(address(selector));
        }
    }
}

fn address(selector: &VectorSelector) -> usize {
    std::ptr::from_ref(selector) as usize
}

/// Stored histograms to values, one after the other.
pub(super) struct Converter {
    is_stats_only: bool,
    /// The last one, with its buckets.
    last: Option<Arc<FloatHistogram>>,
}

impl Converter {
    pub(super) fn new(is_stats_only: bool) -> Self {
        Converter { is_stats_only, last: None }
    }

    /// The next one as a value. A staleness marker is none, and does not come between its neighbours.
    pub(super) fn convert(&mut self, stored: &Histogram) -> Option<Arc<FloatHistogram>> {
        if stored.is_stale() {
            return None;
        }
        let whole = Arc::new(FloatHistogram::from_stored(stored, self.last.as_deref()));
        let before = self.last.replace(whole.clone());
        if !self.is_stats_only {
            return Some(whole);
        }
        let hint = match (whole.hint, before) {
            (CounterResetHint::Unknown, Some(before)) if whole.is_reset_since(&before) => {
                CounterResetHint::CounterReset
            }
            (CounterResetHint::Unknown, Some(_)) => CounterResetHint::NotCounterReset,
            (hint, _) => hint,
        };
        let (count, sum) = (whole.count, whole.sum);
        Some(Arc::new(FloatHistogram { hint, count, sum, ..FloatHistogram::empty(whole.schema) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::parse;

    #[track_caller]
    fn check(query: &str, expected: usize) {
        assert_eq!(StatsOnly::of(&parse(query).unwrap()).0.len(), expected, "{query}");
    }

    #[test]
    fn buckets_are_needed_by_what_looks_at_them() {
        check("histogram_count(m)", 1);
        check("histogram_sum(sum(rate(m[5m]))) / histogram_count(n)", 2);
        check("histogram_quantile(0.5, m)", 0);
        check("histogram_count(m unless histogram_quantile(0.5, n) < 3)", 1);
        check("histogram_quantile(0.5, m unless histogram_count(n) == 0)", 0);
        check("histogram_count(increase(m[1h:1m]))", 0);
        check("sum(m)", 0);
    }
}
