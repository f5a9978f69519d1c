//! Counting the series of a selector on several cores.
//!
//! Here: count and group of what a selector selects, where each thread counts for itself. Elsewhere: aggregations whose
//! results depend on the order of the series, as sums do, and all others (`aggregate`); the threads (`parallel`).
//!
//! Invariant: it does not show which thread counted what. Counts are whole numbers below 2^53, so adding them up is exact;
//! groups come in the order of their first series.

use storage::Columns;

use super::Evaluator;
use super::aggregate::{Folding, Group};
use super::look_back::Pick;
use super::parallel::{Room, each_apart};
use super::selector::picking;
use crate::promql::ast::{AggregateExpr, AggregateOp, ExprKind, Span, VectorSelector};
use crate::promql::source::SeriesReader;
use crate::promql::types::QueryError;

/// An aggregation that counts what a selector selects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tallied<'a> {
    aggregate: &'a AggregateExpr,
    selector: &'a VectorSelector,
    span: Span,
}

/// What one thread has counted.
struct Tally<'a> {
    folding: Folding<'a>,
    /// Series with native histograms, for the query's own thread.
    mixed: Vec<usize>,
    /// Samples that were found.
    found: usize,
}

impl<'a> Tally<'a> {
    fn new(aggregate: &'a AggregateExpr, steps: usize) -> Self {
        let folding = Folding::new(aggregate, steps);
        Tally { folding, mixed: Vec::new(), found: 0 }
    }
}

impl Evaluator<'_> {
    /// `aggregate` as one that counts, if it is one: who wants to know of single steps, or has the selector in several
    /// places, is served by the usual way.
    pub(super) fn tallied<'a>(&self, aggregate: &'a AggregateExpr) -> Option<Tallied<'a>> {
        let expr = aggregate.expr.unwrap_parens();
        let ExprKind::Selector(selector) = &expr.kind else { return None };
        let is_count = matches!(aggregate.op, AggregateOp::Count | AggregateOp::Group);
        let is_common = [expr, &aggregate.expr].into_iter().any(|expr| self.ctx.common.number(expr).is_some());
        let has_steps = self.ctx.budget().control().numbers.has_steps() || self.counting.has_gaps();
        (is_count && !is_common && !has_steps).then_some(Tallied { aggregate, selector, span: expr.span })
    }

    /// Counts the series of each group.
    pub(super) fn tally<'a>(&self, tallied: Tallied<'a>) -> Result<Folding<'a>, QueryError> {
        let Tallied { aggregate, selector, span } = tallied;
        let (budget, steps, is_fixed) = (&self.ctx.budget, self.grid.count, selector.at.is_some());
        let sight = self.sight(selector, Pick::Value);
        let selected = self.select_instant(selector)?;
        let series: &[Box<dyn SeriesReader>] = &selected;
        let pick = picking(budget, sight);
        let work = |tally: &mut Tally<'a>, at: usize, room: &mut Room| {
            let one = series[at].as_ref();
            let Some((values, found)) = pick(one, room)? else {
                tally.mixed.push(at);
                return Ok(());
            };
            tally.found += found;
            if let Some(values) = values {
                let group = tally.folding.group(one.labels(), budget)?;
                group.first = group.first.min(at);
                group.fold.push(values);
            }
            Ok(())
        };
        let new = || Tally::new(aggregate, steps);
        let mut tallies = each_apart(self.ctx.helpers, self.ctx.options.cores, (series, steps), &new, &work)?;
        let found = tallies.iter().map(|tally| tally.found).sum();
        self.count_found(found, is_fixed, std::iter::empty());
        let mixed: Vec<usize> = tallies.iter_mut().flat_map(|tally| std::mem::take(&mut tally.mixed)).collect();
        if !mixed.is_empty() {
            let mut tally = new();
            let mut columns = Columns::default();
            for at in mixed {
                let one = (series[at].as_ref(), &mut columns);
                let folding = &mut tally.folding;
                self.picked_mixed(selector, span, sight, one, &mut |row| {
                    let group = folding.group(&row.labels, budget)?;
                    group.first = group.first.min(at);
                    self.fold_row(folding, row)
                })?;
            }
            tallies.push(tally);
        }
        let mut groups: Vec<Group> = tallies.into_iter().flat_map(|tally| tally.folding.folded).collect();
        groups.sort_unstable_by_key(|group| group.first);
        let mut folding = Folding::new(aggregate, steps);
        groups.into_iter().for_each(|group| folding.merge(group, budget));
        Ok(folding)
    }
}
