//! Range vectors: each series' samples once, and the windows that slide over them.
//!
//! Here: range selectors and subqueries as sources of samples, and cutting windows. Elsewhere: what functions make of
//! a window (`functions`), which function gets it (`range_call`); windows of series with histograms (`mixed_range`).
//!
//! Invariant: a window is `(t - range, t]`; staleness markers are not in it, ordinary NaNs are.

use storage::{Columns, Labels, TimeRange, is_stale_nan};

use super::budget::Budget;
use super::context::{Selected, expanding};
use super::counting::{Counting, Counts, Seen};
use super::extended::{Reach, points_of};
use super::grid::Grid;
use super::row::is_absent;
use super::{Done, Evaluator, impossible};
use crate::promql::ast::{Expr, ExprKind, MatrixSelector, SubqueryExpr};
use crate::promql::functions::native_range::HistogramRange;
use crate::promql::source::SeriesReader;
use crate::promql::types::{MatrixSeries, QueryError};

/// One series of a range vector, all its windows' samples together.
pub(super) struct RangeSeries<'s> {
    pub(super) labels: &'s Labels,
    pub(super) drop_name: bool,
    pub(super) columns: &'s Columns,
    /// `None` if there are floats alone.
    pub(super) histograms: Option<&'s HistogramRange>,
    /// Where it was read from, if its samples may have start timestamps.
    pub(super) started: Option<&'s dyn SeriesReader>,
}

/// Where the windows of a range vector lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Windows<'e> {
    /// The right ends.
    pub(super) reference: Grid,
    pub(super) range_ms: i64,
    /// How far beyond their ends samples are looked at.
    pub(super) reach: Reach,
    /// How what they show counts, and what as.
    pub(super) counting: &'e Counting,
    pub(super) counts: Counts,
}

/// What a range function sees at one step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'s> {
    /// Times of the samples, rising; never empty.
    pub(crate) t: &'s [i64],
    /// Their values.
    pub(crate) v: &'s [f64],
    /// It is known that no value is below the one before it: a counter without resets.
    pub(crate) rises: bool,
    /// The window is `(start, end]`; with `anchored` and `smoothed` the samples reach beyond it.
    pub(crate) start: i64,
    /// Right end.
    pub(crate) end: i64,
}

/// What a step is worth beside the samples of its window.
pub(super) const SAMPLES_OF_A_STEP: usize = 16;

impl Windows<'_> {
    /// Calls `visit` with the number of each step that has samples, and its window. Wide windows at many steps are
    /// much work for one series, so the query's end is looked for on the way.
    pub(super) fn slide(
        &self,
        budget: &Budget<'_>,
        columns: &Columns,
        visit: &mut dyn FnMut(usize, Window<'_>),
    ) -> Done {
        /// Some functions take ten nanoseconds and more for each sample.
        const SAMPLES_BETWEEN_CHECKS: usize = 1 << 16;
        let mut since_check = 0;
        let (mut first, mut after) = (0, 0);
        let mut seen = Seen::new(&budget.control().numbers, self.counting, self.counts);
        let rises = rises(&columns.v);
        for step in 0..self.reference.count {
            let end = self.reference.time(step);
            let start = end.saturating_sub(self.range_ms);
            let (from, until) = self.reach.widened(start, end);
            let after_before = after;
            while columns.t.get(after).is_some_and(|&t| t <= until) {
                after += 1;
            }
            while columns.t.get(first).is_some_and(|&t| t <= from) {
                first += 1;
            }
            if first < after {
                visit(step, Window { t: &columns.t[first..after], v: &columns.v[first..after], rises, start, end });
            }
            seen.add(step, after - first, after.saturating_sub(first.max(after_before)));
            since_check += SAMPLES_OF_A_STEP + after - first;
            if since_check > SAMPLES_BETWEEN_CHECKS {
                since_check = 0;
                budget.check()?;
            }
        }
        Ok(())
    }
}

/// Whether no value is below the one before it.
fn rises(values: &[f64]) -> bool {
    // No way out early, so that it runs on several values at once.
    !values.windows(2).fold(false, |any, pair| any | (pair[1] < pair[0]))
}

impl Evaluator<'_> {
    /// Where the windows of range vector `arg` lie.
    pub(super) fn windows(&self, arg: &Expr) -> Result<Windows<'_>, QueryError> {
        let (at, offset_ms, range_ms, counts) = match &arg.unwrap_parens().kind {
            ExprKind::Matrix(m) => (m.selector.at, m.selector.offset_ms, m.range_ms, Counts::LookedAtAndRead),
            ExprKind::Subquery(s) => (s.at, s.offset_ms, s.range_ms, Counts::LookedAt),
            _ => return Err(impossible("a range vector")),
        };
        let reach = self.reach(arg);
        let reference = self.grid.reference(self.ctx.at_time(at), offset_ms);
        Ok(Windows { reference, range_ms, reach, counting: &self.counting, counts })
    }

    /// Hands every series of range vector `arg` to `visit`.
    pub(super) fn each_range_series(&self, arg: &Expr, visit: &mut dyn FnMut(RangeSeries<'_>) -> Done) -> Done {
        match &arg.unwrap_parens().kind {
            ExprKind::Matrix(matrix) => self.each_stored_series(matrix, visit),
            ExprKind::Subquery(subquery) => self.each_subquery_series(subquery, self.windows(arg)?, false, visit),
            _ => Err(impossible("a range vector")),
        }
    }

    /// A range vector as an answer of its own: the samples of the last window.
    pub(in crate::promql) fn matrix(&self, expr: &Expr) -> Result<Vec<MatrixSeries>, QueryError> {
        let mut windows = self.windows(expr)?;
        let mut found = Vec::new();
        let subquery = match &expr.unwrap_parens().kind {
            ExprKind::Subquery(subquery) => Some(subquery),
            _ => None,
        };
        if subquery.is_some() {
            // No function looks at its windows: what is looked at is what stands inside.
            windows.counts = Counts::Nothing;
        }
        let mut visit = |series: RangeSeries<'_>| {
            let (mut points, mut histograms) = (Vec::new(), Vec::new());
            let no_histograms = HistogramRange::default();
            let range = series.histograms.unwrap_or(&no_histograms);
            windows.slide_mixed(self.ctx, series.columns, range, &mut |_, w| {
                points = points_of(expr, w.floats);
                histograms = w.t().iter().copied().zip(w.histograms().iter().cloned()).collect();
            })?;
            if !points.is_empty() || !histograms.is_empty() {
                self.ctx.charge(points.len() + range.cost())?;
                let labels = if series.drop_name {
                    super::names::without_metadata(series.labels)
                } else {
                    series.labels.clone()
                };
                found.push(MatrixSeries { labels, points, histograms });
            }
            Ok(())
        };
        match subquery {
            Some(subquery) => self.each_subquery_series(subquery, windows, true, &mut visit)?,
            None => self.each_range_series(expr, &mut visit)?,
        }
        Ok(found)
    }

    pub(super) fn select_window(&self, matrix: &MatrixSelector) -> Result<Selected, QueryError> {
        let reference = self.grid.reference(self.ctx.at_time(matrix.selector.at), matrix.selector.offset_ms);
        let reach = self.reach_of(&matrix.selector);
        let (min_t, max_t) = reach.widened(reference.start.saturating_sub(matrix.range_ms), reference.last());
        self.ctx.select(&matrix.selector.matchers, TimeRange::new(min_t.saturating_add(1), max_t.saturating_add(1)))
    }

    fn each_stored_series(&self, matrix: &MatrixSelector, visit: &mut dyn FnMut(RangeSeries<'_>) -> Done) -> Done {
        let mut columns = Columns::default();
        let selected = self.select_window(matrix)?;
        selected.iter().try_for_each(|series| self.visit_stored(matrix, series.as_ref(), &mut columns, visit))
    }

    /// Reads one series and hands it to `visit`; `columns` is room to work in.
    pub(super) fn visit_stored(
        &self,
        matrix: &MatrixSelector,
        series: &dyn SeriesReader,
        columns: &mut Columns,
        visit: &mut dyn FnMut(RangeSeries<'_>) -> Done,
    ) -> Done {
        read_floats(&self.ctx.budget, series, columns)?;
        let histograms = self.read_histograms(&matrix.selector, series)?;
        let cost = columns.len() + histograms.as_ref().map_or(0, HistogramRange::cost);
        self.ctx.charge(cost)?;
        let histograms = histograms.as_ref();
        let started = series.has_starts().then_some(series);
        visit(RangeSeries { labels: series.labels(), drop_name: false, columns, histograms, started })?;
        self.ctx.release(cost);
        Ok(())
    }

    /// `is_looked_at`: whether what stands inside counts as looked at.
    fn each_subquery_series(
        &self,
        subquery: &SubqueryExpr,
        windows: Windows<'_>,
        is_looked_at: bool,
        visit: &mut dyn FnMut(RangeSeries<'_>) -> Done,
    ) -> Done {
        let default_step = i64::try_from(self.ctx.options.subquery_step.as_millis()).unwrap_or(i64::MAX);
        let step = subquery.step_ms.unwrap_or(default_step).max(1);
        // The first multiple of the step inside the first window: steps do not depend on the query's start.
        let before = windows.reference.start.saturating_sub(windows.range_ms);
        let start = before.div_euclid(step).saturating_add(1).saturating_mul(step);
        let Some(grid) = Grid::spanning(start, windows.reference.last(), step) else { return Ok(()) };
        if grid.count as u64 > self.ctx.options.samples_max {
            return Err(super::too_many_samples(self.ctx.options.samples_max));
        }
        let numbers = &self.ctx.budget.control().numbers;
        let counting = Counting::of_subquery(numbers, grid, &windows, is_looked_at);
        let held = counting.cost();
        self.ctx.charge(held)?;
        let mut columns = Columns::default();
        Evaluator::inner(self.ctx, grid, counting).each_row(&subquery.expr, &mut |row| {
            columns.clear();
            self.ctx.budget.in_portions(row.values.len(), |steps| {
                let values = steps.clone().zip(&row.values[steps]);
                for (step, &v) in values.filter(|(_, v)| !is_absent(**v)) {
                    columns.push(grid.time(step), v);
                }
            })?;
            let histograms = HistogramRange::of_row(&row, grid);
            let cost = columns.len() + histograms.as_ref().map_or(0, HistogramRange::cost);
            self.ctx.charge(cost)?;
            let histograms = histograms.as_ref();
            let (labels, drop_name) = (&row.labels, row.drop_name);
            visit(RangeSeries { labels, drop_name, columns: &columns, histograms, started: None })?;
            self.ctx.release(cost);
            Ok(())
        })?;
        self.ctx.release(held);
        Ok(())
    }
}

/// Replaces `columns` by the floats of a series, without staleness markers.
pub(super) fn read_floats(budget: &Budget<'_>, series: &dyn SeriesReader, columns: &mut Columns) -> Done {
    budget.check()?;
    columns.clear();
    series.read_into(columns).map_err(|e| expanding(&e))?;
    remove_stale(columns);
    Ok(())
}

fn remove_stale(columns: &mut Columns) {
    if !columns.v.iter().any(|&v| is_stale_nan(v)) {
        return;
    }
    let mut kept = 0;
    for i in 0..columns.len() {
        if !is_stale_nan(columns.v[i]) {
            (columns.t[kept], columns.v[kept]) = (columns.t[i], columns.v[i]);
            kept += 1;
        }
    }
    columns.t.truncate(kept);
    columns.v.truncate(kept);
}
