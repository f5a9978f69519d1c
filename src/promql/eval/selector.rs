//! Instant vector selectors: the newest sample of each series within the lookback.
//!
//! Elsewhere: which sample that is (`look_back`); `smoothed`, which looks at the samples on both sides (`extended`).

use storage::{Columns, TimeRange};

use super::budget::Budget;
use super::context::{Selected, expanding};
use super::extended::smooth;
use super::grid::Grid;
use super::look_back::Pick;
use super::parallel::{Room, Work, each_in_order};
use super::row::{Row, Sink, is_absent};
use super::{Done, Evaluator};
use crate::promql::ast::{Extension, Span, VectorSelector};
use crate::promql::source::SeriesReader;
use crate::promql::types::QueryError;

/// What an instant selector looks at in each series.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    pub(super) reference: Grid,
    pub(super) lookback_ms: i64,
    pub(super) pick: Pick,
    is_smoothed: bool,
    /// What is selected ends at the one time that is asked for: only the newest sample can be what is found there.
    is_newest_wanted: bool,
}

/// A value for each step, if any step has one, and how many have.
pub(super) type Picked = (Option<Vec<f64>>, usize);

/// Looks at one series after another; `None` for one with native histograms, which is for the query's own thread.
pub(super) fn picking<'b>(budget: &'b Budget<'_>, sight: Sight) -> impl Work<Option<Picked>> + 'b {
    move |series: &dyn SeriesReader, room: &mut Room| {
        if series.has_histograms() {
            return Ok(None);
        }
        budget.check()?;
        let columns = &mut room.columns;
        columns.clear();
        match series.newest().filter(|_| sight.is_newest_wanted) {
            Some((t, v)) => columns.push(t, v),
            None => series.read_into(columns).map_err(|e| expanding(&e))?,
        }
        let cost = columns.len();
        budget.charge(cost)?;
        let picked = match sight.is_smoothed {
            true => {
                let values = smooth(columns, sight.reference, sight.lookback_ms);
                let found = values.iter().flatten().filter(|v| !is_absent(**v)).count();
                (values, found)
            }
            false => room.picks.look_back(budget, columns, (sight.reference, sight.lookback_ms), sight.pick)?,
        };
        budget.release(cost);
        Ok(Some(picked))
    }
}

impl Evaluator<'_> {
    pub(super) fn selector_rows(&self, selector: &VectorSelector, span: Span, sink: &mut Sink<'_>) -> Done {
        self.picked_rows(selector, span, Pick::Value, sink)
    }

    pub(super) fn picked_rows(&self, selector: &VectorSelector, span: Span, pick: Pick, sink: &mut Sink<'_>) -> Done {
        let sight = self.sight(selector, pick);
        let selected = self.select_instant(selector)?;
        let (cores, steps) = (self.ctx.options.cores, self.grid.count);
        let mut columns = Columns::default();
        let work = picking(&self.ctx.budget, sight);
        each_in_order(self.ctx.helpers, cores, (&selected, steps), &work, &mut |series, picked| {
            let Some((values, found)) = picked else {
                return self.picked_mixed(selector, span, sight, (series, &mut columns), sink);
            };
            self.count_found(found, selector.at.is_some(), present(values.as_deref().unwrap_or_default()));
            values.map_or(Ok(()), |values| sink(Row::new(series.labels().clone(), values)))
        })
    }

    /// The row of a series that has native histograms, too; `columns` is room to read in.
    pub(super) fn picked_mixed(
        &self,
        selector: &VectorSelector,
        span: Span,
        sight: Sight,
        (series, columns): (&dyn SeriesReader, &mut Columns),
        sink: &mut Sink<'_>,
    ) -> Done {
        self.ctx.check()?;
        columns.clear();
        series.read_into(columns).map_err(|e| expanding(&e))?;
        let cost = columns.len();
        self.ctx.charge(cost)?;
        let row = match sight.is_smoothed {
            true => self.smooth_mixed(selector, span, series, columns, sight.reference)?,
            false => self.look_back_mixed(selector, series, columns, sight)?,
        };
        if let Some(row) = row {
            // A histogram counts as many samples as it is worth.
            let at_steps = || present(&row.values).chain(row.each_histogram().map(|(step, h)| (step, h.cost())));
            self.count_found(at_steps().map(|(_, worth)| worth).sum(), selector.at.is_some(), at_steps());
            sink(row)?;
        }
        self.ctx.release(cost);
        Ok(())
    }

    pub(super) fn select_instant(&self, selector: &VectorSelector) -> Result<Selected, QueryError> {
        let reference = self.grid.reference(self.ctx.at_time(selector.at), selector.offset_ms);
        let min_t = reference.start.saturating_sub(self.lookback_ms()).saturating_add(1);
        let (_, max_t) = self.reach_of(selector).widened(min_t, reference.last());
        self.ctx.select(&selector.matchers, TimeRange::new(min_t, max_t.saturating_add(1)))
    }

    pub(super) fn sight(&self, selector: &VectorSelector, pick: Pick) -> Sight {
        let (at, offset_ms) = (self.ctx.at_time(selector.at), selector.offset_ms);
        let (reference, lookback_ms) = match pick {
            // Prometheus reads what the offset asks for, and looks at it from the time of `@`, as if there were no offset.
            Pick::Time if at.is_some() => {
                let lookback_ms = self.lookback_ms().saturating_sub(offset_ms.saturating_abs());
                (self.grid.reference(at, offset_ms.max(0)), lookback_ms)
            }
            _ => (self.grid.reference(at, offset_ms), self.lookback_ms()),
        };
        let is_smoothed = pick == Pick::Value && selector.extension == Some(Extension::Smoothed);
        let is_newest_wanted = reference.count == 1 && selector.extension.is_none();
        Sight { reference, lookback_ms, pick, is_smoothed, is_newest_wanted }
    }

    pub(super) fn lookback_ms(&self) -> i64 {
        i64::try_from(self.ctx.options.lookback.as_millis()).unwrap_or(i64::MAX)
    }
}

/// One sample at each step that has one.
fn present(values: &[f64]) -> impl Iterator<Item = (usize, usize)> {
    values.iter().enumerate().filter(|(_, v)| !is_absent(**v)).map(|(step, _)| (step, 1))
}
