//! Range vectors with native histograms: their windows, and which function makes what of them.
//!
//! Here: reading a series' histograms, cutting windows of both kinds of samples, the rules of each function for windows
//! that hold histograms or both kinds. Elsewhere: the arithmetic (`functions::native_range`); series of floats alone,
//! which never come here (`window`, `range_call`).

use std::sync::Arc;

use storage::{Columns, CounterResetHint, HistogramColumns};

use super::annotate::{self, Told};
use super::context::{Context, expanding};
use super::counting::Seen;
use super::extended::extension_of;
use super::grid::Grid;
use super::range_call::WindowFn;
use super::row::{ABSENT, Row, empty_column};
use super::stats_only::Converter;
use super::window::{RangeSeries, SAMPLES_OF_A_STEP, Window, Windows};
use super::{Done, Evaluator};
use crate::promql::ast::{Call, Extension, Span, VectorSelector};
use crate::promql::functions::native_extended::{from_anchor, from_end_to_end};
use crate::promql::functions::native_range::{
    HistogramRange, Instant, MixedWindow, Note, avg, changes, extrapolated, instant, resets, sum,
};
use crate::promql::functions::rate::Kind;
use crate::promql::histogram::FloatHistogram;
use crate::promql::source::SeriesReader;
use crate::promql::types::QueryError;

/// One value of a result.
pub(super) enum Found {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

impl HistogramRange {
    /// The histograms of a row of a subquery, if it has any.
    pub(super) fn of_row(row: &Row, grid: Grid) -> Option<Self> {
        row.histograms.as_ref()?;
        let mut range = HistogramRange::default();
        for (step, histogram) in row.each_histogram() {
            // Hints are about samples that follow one another in the store: here some may be missing, or come twice.
            let histogram = match histogram.hint {
                CounterResetHint::Unknown | CounterResetHint::Gauge => histogram.clone(),
                _ => Arc::new(FloatHistogram::clone(histogram).with_hint(CounterResetHint::Unknown)),
            };
            range.push(grid.time(step), histogram);
        }
        Some(range)
    }
}

impl Windows<'_> {
    /// As `slide`, for a series with histograms: `visit` sees the steps that have samples of any kind.
    pub(super) fn slide_mixed(
        &self,
        ctx: &Context<'_>,
        columns: &Columns,
        range: &HistogramRange,
        visit: &mut dyn FnMut(usize, MixedWindow<'_>),
    ) -> Done {
        const SAMPLES_BETWEEN_CHECKS: usize = 1 << 14;
        let mut since_check = 0;
        let t = range.t();
        let (mut first_float, mut after_float, mut first, mut after) = (0, 0, 0, 0);
        let mut seen = Seen::new(&ctx.budget.control().numbers, self.counting, self.counts);
        // What the histograms before each count as, together.
        let mut worth = Vec::with_capacity(t.len() + 1);
        worth.push(0);
        for histogram in range.histograms() {
            worth.push(worth.last().copied().unwrap_or(0) + histogram.cost());
        }
        for step in 0..self.reference.count {
            let end = self.reference.time(step);
            let start = end.saturating_sub(self.range_ms);
            let (from, until) = self.reach.widened(start, end);
            let (floats_before, before) = (after_float, after);
            after_float += columns.t[after_float..].iter().take_while(|&&t| t <= until).count();
            first_float += columns.t[first_float..].iter().take_while(|&&t| t <= from).count();
            after += t[after..].iter().take_while(|&&t| t <= until).count();
            first += t[first..].iter().take_while(|&&t| t <= from).count();
            let (has_floats, has_histograms) = (first_float < after_float, first < after);
            if has_floats || has_histograms {
                // With a window of negative length both ends may have passed each other.
                let (float, last_float) = (first_float.min(after_float), after_float);
                let floats = Window {
                    t: &columns.t[float..last_float],
                    v: &columns.v[float..last_float],
                    rises: false,
                    start,
                    end,
                };
                visit(step, MixedWindow { floats, range, first: first.min(after), after });
            }
            let (floats, histograms) = (after_float - first_float.min(after_float), after - first.min(after));
            let new_floats = after_float.saturating_sub(first_float.max(floats_before));
            let worth = |from: usize| worth[after] - worth[from.min(after)];
            seen.add(step, floats + worth(first), new_floats + worth(first.max(before)));
            since_check += SAMPLES_OF_A_STEP + floats + 16 * histograms;
            if since_check > SAMPLES_BETWEEN_CHECKS {
                since_check = 0;
                ctx.check()?;
            }
        }
        Ok(())
    }
}

impl Evaluator<'_> {
    /// A series' histograms without staleness markers; `None` if it has none.
    pub(super) fn read_histograms(
        &self,
        selector: &VectorSelector,
        series: &dyn SeriesReader,
    ) -> Result<Option<HistogramRange>, QueryError> {
        if !series.has_histograms() {
            return Ok(None);
        }
        let mut columns = HistogramColumns::default();
        series.read_histograms_into(&mut columns).map_err(|e| expanding(&e))?;
        let mut range = HistogramRange::default();
        let mut converter = Converter::new(self.ctx.stats_only.has(selector));
        for (t, stored) in columns.t.iter().zip(&columns.h) {
            if let Some(histogram) = converter.convert(stored) {
                range.push(*t, histogram);
            }
        }
        Ok((!range.t().is_empty()).then_some(range))
    }

    /// The row that a range function makes of a series with histograms, if it has any value.
    pub(super) fn mixed_range_row(
        &self,
        call: &Call,
        windows: Windows<'_>,
        series: &RangeSeries<'_>,
        range: &HistogramRange,
        function: &mut WindowFn<'_>,
    ) -> Result<Option<Row>, QueryError> {
        let told = Told { metric: series.labels.metric_name(), span: call.args[0].span };
        let extension = call.args.iter().find_map(extension_of);
        let name = call.function.name;
        self.row_of_windows(windows, series, range, &mut |step, w| match extension {
            None => self.mixed_value(name, told, step, w, function),
            Some(extension) => self.extended_value(name, extension, told, step, w, function),
        })
    }

    /// The row of what `find` finds in each window, if that is anything.
    pub(super) fn row_of_windows(
        &self,
        windows: Windows<'_>,
        series: &RangeSeries<'_>,
        range: &HistogramRange,
        find: &mut dyn FnMut(usize, MixedWindow<'_>) -> Option<Found>,
    ) -> Result<Option<Row>, QueryError> {
        let mut values = vec![ABSENT; self.grid.count];
        let mut column = empty_column(self.grid.count);
        windows.slide_mixed(self.ctx, series.columns, range, &mut |step, w| match find(step, w) {
            Some(Found::Float(v)) => values[step] = v,
            Some(Found::Histogram(histogram)) => column[step] = Some(histogram),
            None => {}
        })?;
        let histograms = column.iter().any(Option::is_some).then_some(column);
        let row = Row { labels: series.labels.clone(), drop_name: series.drop_name, values, histograms };
        Ok((row.present_count() > 0).then_some(row))
    }

    fn mixed_value(
        &self,
        name: &str,
        told: Told<'_>,
        step: usize,
        w: MixedWindow<'_>,
        function: &mut WindowFn<'_>,
    ) -> Option<Found> {
        let (has_floats, has_histograms) = (!w.floats.t.is_empty(), !w.t().is_empty());
        let float = |v: f64| Some(Found::Float(v));
        match name {
            "count_over_time" => float((w.floats.t.len() + w.t().len()) as f64),
            "present_over_time" => float(1.0),
            "changes" => float(changes(w)),
            "resets" => float(resets(w)),
            "ts_of_first_over_time" => float(ends(w).0 as f64 / 1000.0),
            "ts_of_last_over_time" => float(ends(w).1 as f64 / 1000.0),
            "first_over_time" => match w.t().first() {
                Some(&t) if t <= ends(w).0 => Some(Found::Histogram(w.histograms()[0].clone())),
                _ => float(w.floats.v[0]),
            },
            "last_over_time" => match w.t().last() {
                Some(&t) if t >= ends(w).1 => w.histograms().last().cloned().map(Found::Histogram),
                _ => w.floats.v.last().copied().map(Found::Float),
            },
            "irate" | "idelta" => self.mixed_instant(name == "irate", told, w),
            "rate" | "increase" | "delta" | "sum_over_time" | "avg_over_time" => match (has_floats, has_histograms) {
                (true, true) => {
                    self.ctx.warn(&annotate::mixed_types(told.metric), told.span);
                    None
                }
                (true, false) => function(step, w.floats).map(Found::Float),
                _ => self.of_histograms(name, told, w),
            },
            // The others look at floats, and say so where there is something else.
            _ if !has_floats => None,
            _ => {
                if has_histograms {
                    self.ctx.info(&annotate::ignored_in_range(told.metric), told.span);
                }
                function(step, w.floats).map(Found::Float)
            }
        }
    }

    /// Of a window with a modifier: only rates and what counts pairs of samples see one.
    fn extended_value(
        &self,
        name: &str,
        extension: Extension,
        told: Told<'_>,
        step: usize,
        w: MixedWindow<'_>,
        function: &mut WindowFn<'_>,
    ) -> Option<Found> {
        let tell = &mut |note| self.tell(note, told);
        let is_smoothed = extension == Extension::Smoothed;
        let kind = match name {
            "changes" => return from_anchor(w).map(changes).map(Found::Float),
            "resets" => return from_anchor(w).map(resets).map(Found::Float),
            "rate" => Kind::Rate,
            "increase" => Kind::Increase,
            _ => Kind::Delta,
        };
        match (w.floats.t.is_empty(), w.t().is_empty()) {
            (false, false) => {
                self.ctx.warn(&annotate::mixed_types(told.metric), told.span);
                None
            }
            (false, true) => function(step, w.floats).map(Found::Float),
            _ => from_end_to_end(kind, is_smoothed, w, tell).map(|found| Found::Histogram(Arc::new(found))),
        }
    }

    fn of_histograms(&self, name: &str, told: Told<'_>, w: MixedWindow<'_>) -> Option<Found> {
        let tell = &mut |note| self.tell(note, told);
        let histogram = match name {
            "rate" => extrapolated(Kind::Rate, w, tell),
            "increase" => extrapolated(Kind::Increase, w, tell),
            "delta" => extrapolated(Kind::Delta, w, tell),
            "sum_over_time" => sum(w.histograms(), tell),
            _ => avg(w.histograms(), tell),
        };
        histogram.map(|histogram| Found::Histogram(Arc::new(histogram)))
    }

    pub(super) fn mixed_instant(&self, is_rate: bool, told: Told<'_>, w: MixedWindow<'_>) -> Option<Found> {
        match instant(is_rate, w, &mut |note| self.tell(note, told)) {
            Instant::Float(v) => Some(Found::Float(v)),
            Instant::Histogram(histogram) => Some(Found::Histogram(Arc::new(histogram))),
            Instant::Mixed => {
                self.ctx.warn(&annotate::mixed_types(told.metric), told.span);
                None
            }
            Instant::Nothing => None,
        }
    }

    pub(super) fn tell(&self, note: Note, Told { metric, span }: Told<'_>) {
        match note {
            Note::MixedBuckets => self.ctx.warn(&annotate::mixed_buckets(metric), span),
            Note::NotCounter => self.ctx.warn(&annotate::not_a("counter", metric), span),
            Note::NotGauge => self.ctx.warn(&annotate::not_a("gauge", metric), span),
            Note::ReconciledAdding => self.tell_reconciled("addition", span),
            Note::ReconciledSubtracting => self.tell_reconciled("subtraction", span),
            Note::ReconciledAggregating => self.tell_reconciled("aggregation", span),
            Note::Collision => self.tell_collision("aggregation", span),
            Note::Overlap => self.ctx.warn(&annotate::start_overlaps(metric), span),
        }
    }

    /// Custom bounds differed during `operation`.
    pub(super) fn tell_reconciled(&self, operation: &str, span: Span) {
        self.ctx.info(&format!("mismatched custom buckets were reconciled during {operation}"), span);
    }

    /// Histograms contradict each other about resets during `operation`.
    pub(super) fn tell_collision(&self, operation: &str, span: Span) {
        self.ctx.warn(&format!("conflicting counter resets during histogram {operation}"), span);
    }
}

/// Times of the first and the last sample.
fn ends(w: MixedWindow<'_>) -> (i64, i64) {
    let first = [w.floats.t.first(), w.t().first()].into_iter().flatten().min();
    let last = [w.floats.t.last(), w.t().last()].into_iter().flatten().max();
    (first.copied().unwrap_or(w.floats.start), last.copied().unwrap_or(w.floats.end))
}
