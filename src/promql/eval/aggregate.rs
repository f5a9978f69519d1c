//! Aggregations that fold rows into one row for each group as they come.
//!
//! Here: sum, avg, count, min, max, group, stddev, stdvar and quantile. Elsewhere: the columns of a group (`fold`),
//! counting on several cores (`tally`); topk and bottomk (`rank`), limitk and limit_ratio (`limit`), which keep their
//! input's series; `count_values`, which makes groups from values; native histograms (`histogram_fold`).
//!
//! Invariant: but for quantile, memory is one set of columns for each group, however many series come in.

use std::ops::Range;

use rustc_hash::FxHashMap;
use storage::{Labels, METRIC_NAME};

use super::annotate::{ignored_in_aggregation, invalid_quantile};
use super::budget::Budget;
use super::fold::Fold;
use super::histogram_fold::HistogramFold;
use super::parallel::on_cores;
use super::row::{ABSENT, Row, Sink, is_absent};
use super::{Done, Evaluator};
use crate::promql::ast::{AggregateExpr, AggregateOp, Span};
use crate::promql::functions::quantile::quantile;
use crate::promql::types::QueryError;

/// Steps whose quantiles are found at a time.
const QUANTILE_STEPS: usize = 16;

/// The rows of one group, folded.
pub(super) struct Group {
    labels: Labels,
    /// The number of its first series, where series are numbered.
    pub(super) first: usize,
    drop_name: bool,
    pub(super) fold: Fold,
    /// Only for a sum or a mean that has met a native histogram.
    histograms: Option<HistogramFold>,
}

/// An aggregation under way: its groups, in the order of their first series.
pub(super) struct Folding<'a> {
    aggregate: &'a AggregateExpr,
    steps: usize,
    groups: Groups,
    pub(super) folded: Vec<Group>,
}

impl<'a> Folding<'a> {
    pub(super) fn new(aggregate: &'a AggregateExpr, steps: usize) -> Self {
        Folding { aggregate, steps, groups: Groups::new(aggregate), folded: Vec::new() }
    }

    /// The group that a series with these labels belongs to.
    pub(super) fn group(&mut self, labels: &Labels, budget: &Budget<'_>) -> Result<&mut Group, QueryError> {
        let place = self.groups.place(labels);
        if place == self.folded.len() {
            budget.charge(self.steps)?;
            budget.charge_bytes(labels.packed_bytes() as u64)?;
            let fold = Fold::new(self.aggregate.op, self.steps);
            let labels = self.groups.labels_of(labels);
            self.folded.push(Group { labels, first: usize::MAX, drop_name: false, fold, histograms: None });
        }
        Ok(&mut self.folded[place])
    }

    /// Adds a group that was folded elsewhere, where the order does not show ([`Fold::merge`]).
    pub(super) fn merge(&mut self, group: Group, budget: &Budget<'_>) {
        let place = self.groups.place(&group.labels);
        match self.folded.get_mut(place) {
            None => self.folded.push(group),
            Some(own) => {
                budget.release(self.steps);
                own.fold.merge(group.fold);
            }
        }
    }
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
        let folding = match self.tallied(aggregate) {
            Some(tally) => self.tally(tally)?,
            None => {
                let mut folding = Folding::new(aggregate, self.grid.count);
                self.each_row(&aggregate.expr, &mut |row| self.fold_row(&mut folding, row))?;
                folding
            }
        };
        let mut quantiles = self.quantiles(&folding.folded, &q)?.into_iter();
        for group in folding.folded {
            self.ctx.check()?;
            let values = match group.fold {
                Fold::Quantile(_) => quantiles.next().unwrap_or_default(),
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

    pub(super) fn fold_row(&self, folding: &mut Folding<'_>, mut row: Row) -> Done {
        let aggregate = folding.aggregate;
        let group = folding.group(&row.labels, &self.ctx.budget)?;
        group.drop_name |= row.drop_name;
        if row.histograms.is_some() {
            self.fold_histograms(aggregate, group, &mut row)?;
        }
        if matches!(group.fold, Fold::Quantile(_)) {
            self.ctx.charge(row.cost())?;
        }
        group.fold.push(row.values);
        Ok(())
    }

    /// The quantiles of those groups that have kept their rows.
    fn quantiles(&self, groups: &[Group], q: &[f64]) -> Result<Vec<Vec<f64>>, QueryError> {
        let kept = groups.iter().filter_map(|group| match &group.fold {
            Fold::Quantile(rows) => Some(rows),
            _ => None,
        });
        let kept: Vec<&Vec<Vec<f64>>> = kept.collect();
        let portions = (0..q.len()).step_by(QUANTILE_STEPS).map(|first| first..q.len().min(first + QUANTILE_STEPS));
        let tasks: Vec<_> =
            (0..kept.len()).flat_map(|group| portions.clone().map(move |steps| (group, steps))).collect();
        let budget = &self.ctx.budget;
        let work = |(group, steps): &(usize, Range<usize>)| {
            budget.check()?;
            let rows = kept[*group];
            let mut values = Vec::with_capacity(rows.len());
            let at_step = |step: usize| {
                values.clear();
                values.extend(rows.iter().map(|row| row[step]).filter(|v| !is_absent(*v)));
                if values.is_empty() { ABSENT } else { quantile(q[step], &mut values) }
            };
            Ok(steps.clone().map(at_step).collect::<Vec<f64>>())
        };
        let cost = kept.iter().map(|rows| rows.len().saturating_mul(q.len())).sum();
        let parts = on_cores(self.ctx.helpers, self.ctx.options.cores, cost, &tasks, &work)?;
        let mut found = vec![Vec::with_capacity(q.len()); kept.len()];
        tasks.iter().zip(parts).for_each(|((group, _), part)| found[*group].extend(part));
        Ok(found)
    }

    fn fold_histograms(&self, aggregate: &AggregateExpr, group: &mut Group, row: &mut Row) -> Done {
        match &group.fold {
            Fold::Sum(_) | Fold::Avg(_) => {
                let is_mean = matches!(group.fold, Fold::Avg(_));
                let steps = self.grid.count;
                let fold = group.histograms.get_or_insert_with(|| HistogramFold::new(steps, is_mean));
                let has_float = |step: usize| group.fold.has_value(step);
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
    /// By what tells the labels that count from others.
    places: FxHashMap<Box<str>, usize>,
    /// Room to put a key together.
    key: String,
}

impl Groups {
    pub(super) fn new(aggregate: &AggregateExpr) -> Self {
        Groups {
            grouping: aggregate.grouping.clone(),
            without: aggregate.without,
            places: FxHashMap::default(),
            key: String::new(),
        }
    }

    /// The number of the group; a new group has the next number.
    pub(super) fn place(&mut self, labels: &Labels) -> usize {
        self.key.clear();
        let (grouping, without) = (&self.grouping, self.without);
        if without || !grouping.is_empty() {
            labels.filter_into(&mut self.key, |name| is_kept(grouping, without, name));
        }
        if let Some(place) = self.places.get(self.key.as_str()) {
            return *place;
        }
        let next = self.places.len();
        self.places.insert(self.key.as_str().into(), next);
        next
    }

    /// The labels of the group's result.
    pub(super) fn labels_of(&self, labels: &Labels) -> Labels {
        labels.filter(|name| is_kept(&self.grouping, self.without, name))
    }
}

fn is_kept(grouping: &[String], without: bool, name: &str) -> bool {
    let is_named = grouping.iter().any(|g| g == name);
    if without { !is_named && name != METRIC_NAME } else { is_named }
}
