//! Sums and means of native histograms over the series of a group.
//!
//! Here: one accumulator for each step, and what is said of histograms that do not go together. Elsewhere: floats, and
//! the other aggregations (`aggregate`).

use std::sync::Arc;

use storage::CounterResetHint;

use super::annotate::mixed_buckets;
use super::row::{ABSENT, Row, empty_column, is_absent};
use super::{Done, Evaluator};
use crate::promql::ast::Span;
use crate::promql::histogram::{FloatHistogram, HistogramMean, HistogramSum, MixedBuckets};

/// The histograms of one group, folded.
pub(super) struct HistogramFold {
    is_mean: bool,
    steps: Vec<Step>,
}

#[derive(Default)]
struct Step {
    running: Option<Box<Running>>,
    /// A histogram came, even if it was not added.
    is_met: bool,
    /// Exponential and custom buckets met: there is no result.
    is_mixed: bool,
    /// A float had come by then, which is worth its own warning.
    is_mixed_after_float: bool,
    says_reset: bool,
    says_no_reset: bool,
}

enum Running {
    Sum(HistogramSum),
    Mean(HistogramMean),
}

impl HistogramFold {
    pub(super) fn new(steps: usize, is_mean: bool) -> Self {
        HistogramFold { is_mean, steps: std::iter::repeat_with(Step::default).take(steps).collect() }
    }
}

impl Step {
    /// Whether custom bounds were reconciled.
    fn push(&mut self, histogram: &FloatHistogram, is_mean: bool) -> Result<bool, MixedBuckets> {
        self.says_reset |= histogram.hint == CounterResetHint::CounterReset;
        self.says_no_reset |= histogram.hint == CounterResetHint::NotCounterReset;
        let added = match self.running.as_deref_mut() {
            Some(Running::Sum(sum)) => sum.add(histogram)?,
            Some(Running::Mean(mean)) => mean.push(histogram)?,
            None => {
                self.running = Some(Box::new(if is_mean {
                    Running::Mean(HistogramMean::of(histogram))
                } else {
                    Running::Sum(HistogramSum::of(histogram))
                }));
                return Ok(false);
            }
        };
        Ok(added.is_reconciled)
    }
}

impl Running {
    fn finish(self) -> FloatHistogram {
        let found = match self {
            Running::Sum(sum) => sum.finish(),
            Running::Mean(mean) => mean.finish(),
        };
        found.compact()
    }
}

impl Evaluator<'_> {
    /// Adds the histograms of `row`. Where floats came first the step has no result anyway.
    pub(super) fn fold_into(
        &self,
        fold: &mut HistogramFold,
        row: &Row,
        has_float: &dyn Fn(usize) -> bool,
        span: Span,
    ) -> Done {
        for (at, histogram) in row.each_histogram() {
            let step = &mut fold.steps[at];
            if step.is_mixed {
                continue;
            }
            step.is_met = true;
            if step.running.is_none() {
                if has_float(at) {
                    continue;
                }
                self.ctx.charge(histogram.cost())?;
            }
            match step.push(histogram, fold.is_mean) {
                Ok(true) => self.tell_reconciled("aggregation", span),
                Ok(false) => {}
                Err(MixedBuckets) => {
                    self.ctx.warn(&mixed_buckets(row.labels.metric_name()), span);
                    step.is_mixed = true;
                    step.is_mixed_after_float = has_float(at);
                }
            }
        }
        Ok(())
    }

    /// Puts the results beside those of the floats. A step with both kinds has none.
    pub(super) fn finish_histograms(&self, fold: HistogramFold, row: &mut Row, span: Span) {
        let mut column = empty_column(fold.steps.len());
        for (at, step) in fold.steps.into_iter().enumerate().filter(|(_, step)| step.is_met) {
            let has_float = !is_absent(row.values[at]);
            row.values[at] = ABSENT;
            if if step.is_mixed { step.is_mixed_after_float } else { has_float } {
                self.ctx.warn("encountered a mix of histograms and floats for aggregation", span);
                continue;
            }
            if step.is_mixed {
                continue;
            }
            if step.says_reset && step.says_no_reset {
                self.tell_collision("aggregation", span);
            }
            column[at] = step.running.map(|running| Arc::new(running.finish()));
        }
        row.histograms = column.iter().any(Option::is_some).then_some(column);
    }
}
