//! Aggregations that fold rows into one row for each group as they come.
//!
//! Here: sum, avg, count, min, max, group, stddev, stdvar and quantile. Elsewhere: topk and bottomk (`rank`), limitk
//! and limit_ratio (`limit`), which keep their input's series; `count_values`, which makes groups from values; native
//! histograms (`histogram_fold`).
//!
//! Invariant: but for quantile, memory is one set of columns for each group, however many series come in.

use rustc_hash::FxHashMap;
use storage::{Labels, METRIC_NAME};

use super::annotate::{ignored_in_aggregation, invalid_quantile};
use super::histogram_fold::HistogramFold;
use super::row::{ABSENT, Row, Sink, is_absent};
use super::{Done, Evaluator};
use crate::promql::ast::{AggregateExpr, AggregateOp, Span};
use crate::promql::functions::quantile::quantile;
use crate::promql::functions::sum::{Mean, add};
use crate::promql::types::QueryError;

/// The rows of one group, folded.
struct Group {
    labels: Labels,
    drop_name: bool,
    fold: Fold,
    /// Only for a sum or a mean that has met a native histogram.
    histograms: Option<HistogramFold>,
}

/// One accumulator for each step.
enum Fold {
    /// Sum and compensation.
    Sum(Vec<f64>, Vec<f64>),
    Avg(Vec<Option<Mean>>),
    Count(Vec<f64>),
    Min(Vec<f64>),
    Max(Vec<f64>),
    Group(Vec<f64>),
    /// Count, mean and squared distance of Welford's algorithm.
    Variance(Vec<(f64, f64, f64)>),
    /// All values: a quantile needs them.
    Quantile(Vec<Vec<f64>>),
}

impl Evaluator<'_> {
    pub(super) fn aggregate(&self, aggregate: &AggregateExpr, span: Span, sink: &mut Sink<'_>) -> Done {
        match aggregate.op {
            AggregateOp::Topk | AggregateOp::Bottomk => return self.rank(aggregate, span, sink),
            AggregateOp::CountValues => return self.count_values(aggregate, sink),
            AggregateOp::Limitk => return self.limit_count(aggregate, sink),
            AggregateOp::LimitRatio => return self.limit_ratio(aggregate, sink),
            _ => {}
        }
        let q = self.quantile_param(aggregate)?;
        let mut groups = Groups::new(aggregate);
        let mut folded: Vec<Group> = Vec::new();
        self.each_row(&aggregate.expr, &mut |mut row| {
            let place = groups.place(&row.labels);
            if place == folded.len() {
                self.ctx.charge(self.grid.count)?;
                self.ctx.budget.charge_bytes(row.labels.packed_bytes() as u64)?;
                let fold = Fold::new(aggregate.op, self.grid.count);
                folded.push(Group { labels: groups.labels_of(&row.labels), drop_name: false, fold, histograms: None });
            }
            let group = &mut folded[place];
            group.drop_name |= row.drop_name;
            if row.histograms.is_some() {
                self.fold_histograms(aggregate, group, &mut row)?;
            }
            if matches!(group.fold, Fold::Quantile(_)) {
                self.ctx.charge(row.cost())?;
            }
            group.fold.push(row.values);
            Ok(())
        })?;
        for group in folded {
            self.ctx.check()?;
            let values = match group.fold {
                Fold::Quantile(rows) => self.quantiles(&rows, &q)?,
                fold => fold.finish(aggregate.op),
            };
            let mut row = Row { drop_name: group.drop_name, ..Row::new(group.labels, values) };
            if let Some(histograms) = group.histograms {
                self.finish_histograms(histograms, &mut row, aggregate.expr.span);
            }
            self.emit_if_any(row, sink)?;
        }
        Ok(())
    }

    fn quantiles(&self, rows: &[Vec<f64>], q: &[f64]) -> Result<Vec<f64>, QueryError> {
        let mut values = Vec::with_capacity(rows.len());
        let mut found = Vec::with_capacity(q.len());
        for (step, &q) in q.iter().enumerate() {
            self.check_now_and_then(step)?;
            values.clear();
            values.extend(rows.iter().map(|row| row[step]).filter(|v| !is_absent(*v)));
            found.push(if values.is_empty() { ABSENT } else { quantile(q, &mut values) });
        }
        Ok(found)
    }

    fn fold_histograms(&self, aggregate: &AggregateExpr, group: &mut Group, row: &mut Row) -> Done {
        match &group.fold {
            Fold::Sum(..) | Fold::Avg(_) => {
                let is_mean = matches!(group.fold, Fold::Avg(_));
                let steps = self.grid.count;
                let fold = group.histograms.get_or_insert_with(|| HistogramFold::new(steps, is_mean));
                let has_float = |step: usize| match &group.fold {
                    Fold::Sum(sums, _) => !is_absent(sums[step]),
                    Fold::Avg(means) => means[step].is_some(),
                    _ => false,
                };
                self.fold_into(fold, row, &has_float, aggregate.expr.span)?;
            }
            // What counts series does not look at their values.
            Fold::Count(_) | Fold::Group(_) => {
                for (step, histogram) in row.histograms.iter().flatten().enumerate() {
                    if histogram.is_some() {
                        row.values[step] = 1.0;
                    }
                }
            }
            _ if row.each_histogram().next().is_some() => {
                self.ctx.info(&ignored_in_aggregation(aggregate.op.as_str()), aggregate.expr.span);
            }
            _ => {}
        }
        row.histograms = None;
        Ok(())
    }

    fn quantile_param(&self, aggregate: &AggregateExpr) -> Result<Vec<f64>, QueryError> {
        let Some(param) = aggregate.param.as_ref().filter(|_| aggregate.op == AggregateOp::Quantile) else {
            return Ok(Vec::new());
        };
        let q = self.scalar(param)?;
        if q.iter().any(|q| q.is_nan()) {
            self.ctx.warn(&invalid_quantile(f64::NAN), param.span);
        }
        let max = q.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let min = q.iter().copied().fold(f64::INFINITY, f64::min);
        if max > 1.0 {
            self.ctx.warn(&invalid_quantile(max), param.span);
        }
        if min < 0.0 {
            self.ctx.warn(&invalid_quantile(min), param.span);
        }
        Ok(q)
    }
}

/// Label sets to groups, decided once for each series.
pub(super) struct Groups {
    grouping: Vec<String>,
    without: bool,
    places: FxHashMap<Labels, usize>,
}

impl Groups {
    pub(super) fn new(aggregate: &AggregateExpr) -> Self {
        Groups { grouping: aggregate.grouping.clone(), without: aggregate.without, places: FxHashMap::default() }
    }

    /// The number of the group; a new group has the next number.
    pub(super) fn place(&mut self, labels: &Labels) -> usize {
        let next = self.places.len();
        *self.places.entry(self.key_of(labels)).or_insert(next)
    }

    fn key_of(&self, labels: &Labels) -> Labels {
        match (self.without, self.grouping.is_empty()) {
            (false, true) => Labels::empty(),
            (false, false) => labels.filter(|name| self.grouping.iter().any(|g| g == name)),
            (true, _) => labels.filter(|name| name != METRIC_NAME && !self.grouping.iter().any(|g| g == name)),
        }
    }

    /// The labels of the group's result.
    pub(super) fn labels_of(&self, labels: &Labels) -> Labels {
        self.key_of(labels)
    }
}

impl Fold {
    fn new(op: AggregateOp, steps: usize) -> Self {
        match op {
            AggregateOp::Avg => Fold::Avg(vec![None; steps]),
            AggregateOp::Count => Fold::Count(vec![ABSENT; steps]),
            AggregateOp::Min => Fold::Min(vec![ABSENT; steps]),
            AggregateOp::Max => Fold::Max(vec![ABSENT; steps]),
            AggregateOp::Group => Fold::Group(vec![ABSENT; steps]),
            AggregateOp::Stddev | AggregateOp::Stdvar => Fold::Variance(vec![(0.0, 0.0, 0.0); steps]),
            AggregateOp::Quantile => Fold::Quantile(Vec::new()),
            _ => Fold::Sum(vec![ABSENT; steps], vec![0.0; steps]),
        }
    }

    fn push(&mut self, values: Vec<f64>) {
        let present = values.iter().copied().enumerate().filter(|(_, v)| !is_absent(*v));
        match self {
            Fold::Sum(sums, compensations) => present.for_each(|(i, v)| {
                if is_absent(sums[i]) {
                    sums[i] = v;
                } else {
                    (sums[i], compensations[i]) = add(v, sums[i], compensations[i]);
                }
            }),
            Fold::Avg(means) => present.for_each(|(i, v)| match &mut means[i] {
                Some(mean) => mean.push(v),
                empty => *empty = Some(Mean::of(v)),
            }),
            Fold::Count(counts) => {
                present.for_each(|(i, _)| counts[i] = if is_absent(counts[i]) { 1.0 } else { counts[i] + 1.0 });
            }
            // An absent value is a NaN, too: both give way to the first number.
            Fold::Min(least) => present.for_each(|(i, v)| {
                if least[i] > v || least[i].is_nan() {
                    least[i] = v;
                }
            }),
            Fold::Max(most) => present.for_each(|(i, v)| {
                if most[i] < v || most[i].is_nan() {
                    most[i] = v;
                }
            }),
            Fold::Group(ones) => present.for_each(|(i, _)| ones[i] = 1.0),
            Fold::Variance(states) => present.for_each(|(i, v)| push_variance(&mut states[i], v)),
            Fold::Quantile(rows) => rows.push(values),
        }
    }

    fn finish(self, op: AggregateOp) -> Vec<f64> {
        match self {
            Fold::Sum(sums, compensations) => {
                let total = |(sum, c): (f64, f64)| if is_absent(sum) { sum } else { sum + c };
                sums.into_iter().zip(compensations).map(total).collect()
            }
            Fold::Avg(means) => means.iter().map(|m| m.as_ref().map_or(ABSENT, Mean::value)).collect(),
            Fold::Count(values) | Fold::Min(values) | Fold::Max(values) | Fold::Group(values) => values,
            Fold::Variance(states) => {
                let is_deviation = op == AggregateOp::Stddev;
                let finish = |(count, _, distance): (f64, f64, f64)| {
                    let variance = distance / count;
                    if is_deviation { variance.sqrt() } else { variance }
                };
                states.into_iter().map(|s| if s.0 == 0.0 { ABSENT } else { finish(s) }).collect()
            }
            // Its own way: it takes long, and looks for the query's end meanwhile.
            Fold::Quantile(_) => Vec::new(),
        }
    }
}

fn push_variance((count, mean, distance): &mut (f64, f64, f64), v: f64) {
    *count += 1.0;
    if *count == 1.0 {
        *mean = v;
        *distance = if v.is_finite() { 0.0 } else { f64::NAN };
        return;
    }
    let delta = v - *mean;
    *mean += delta / *count;
    *distance += delta * (v - *mean);
}
