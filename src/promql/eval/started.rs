//! Functions that look at start timestamps: `rate`, `increase`, `irate`, `resets` of a stored range, `start_timestamp`.
//!
//! Here: when starts are read, and handing them to the functions. Elsewhere: what they mean (`functions::started`); series
//! without any, and queries on an engine that does not use them, which never come here (`range_call`).

use std::sync::Arc;

use storage::{Columns, HistogramColumns, SampleKind, is_stale_nan};

use super::annotate::{self, Told};
use super::context::expanding;
use super::extended::is_extended;
use super::mixed_range::Found;
use super::row::{ABSENT, Overlap, Row, Sink};
use super::window::{RangeSeries, Windows};
use super::{Done, Evaluator};
use crate::promql::ast::{Call, Expr, ExprKind};
use crate::promql::functions::native_extended::from_anchor;
use crate::promql::functions::native_range::HistogramRange;
use crate::promql::functions::rate::Kind;
use crate::promql::functions::started::StartedWindow;
use crate::promql::source::SeriesReader;
use crate::promql::types::QueryError;

impl Evaluator<'_> {
    /// Whether `call` looks at start timestamps where there are any. With a modifier rates do not: they know the values at
    /// the ends of their window.
    pub(super) fn uses_starts(&self, call: &Call) -> bool {
        let wants = match call.function.name {
            "resets" => true,
            "rate" | "increase" | "irate" => !call.args.iter().any(is_extended),
            _ => false,
        };
        wants && self.ctx.options.use_start_timestamps
    }

    /// The row of a series whose samples have starts, if it has any value.
    pub(super) fn started_row(
        &self,
        call: &Call,
        windows: Windows<'_>,
        series: &RangeSeries<'_>,
        reader: &dyn SeriesReader,
    ) -> Result<Option<Row>, QueryError> {
        let none = HistogramRange::default();
        let range = series.histograms.unwrap_or(&none);
        let (mut float_starts, mut starts) = (Vec::new(), Vec::new());
        reader.read_starts(SampleKind::Float, &series.columns.t, &mut float_starts);
        reader.read_starts(SampleKind::Histogram, range.t(), &mut starts);
        let range = &range.with_starts(&starts);
        let told = Told { metric: series.labels.metric_name(), span: call.args[0].span };
        let is_anchored = call.args.iter().any(is_extended);
        self.row_of_windows(windows, series, range, &mut |_, w| {
            let w = if is_anchored { from_anchor(w)? } else { w };
            let first = w.floats.t.first().map_or(0, |first| series.columns.t.partition_point(|t| t < first));
            let floats = &float_starts[first..first + w.floats.t.len()];
            let window = StartedWindow { w, floats, histograms: &starts[w.first..w.after] };
            self.started_value(call.function.name, told, window)
        })
    }

    fn started_value(&self, name: &str, told: Told<'_>, window: StartedWindow<'_>) -> Option<Found> {
        let kind = match name {
            "resets" => return Some(Found::Float(window.resets())),
            "irate" => {
                let of_floats = window.instant_of_floats().map(Found::Float);
                return of_floats.or_else(|| self.mixed_instant(true, told, window.w));
            }
            "rate" => Kind::Rate,
            _ => Kind::Increase,
        };
        let tell = &mut |note| self.tell(note, told);
        match (window.w.floats.t.is_empty(), window.w.t().is_empty()) {
            (false, false) => {
                self.ctx.warn(&annotate::mixed_types(told.metric), told.span);
                None
            }
            (false, true) => window.of_floats(kind, tell).map(Found::Float),
            _ => window.of_histograms(kind, tell).map(|found| Found::Histogram(Arc::new(found))),
        }
    }

    /// `start_timestamp(selector)` in seconds, 0 where a sample has none. Of anything else nothing is known.
    pub(super) fn start_timestamp(&self, arg: &Expr, sink: &mut Sink<'_>) -> Done {
        let ExprKind::Selector(selector) = &arg.unwrap_parens().kind else {
            return self.each_row(arg, &mut |_| Ok(()));
        };
        if !self.ctx.options.use_start_timestamps {
            return self.each_row(arg, &mut |_| Ok(()));
        }
        let reference = self.grid.reference(self.ctx.at_time(selector.at), selector.offset_ms);
        self.dropping_names(arg, Overlap::Merge, sink, &mut |sink| {
            for series in self.select_instant(selector)?.iter() {
                self.ctx.check()?;
                let samples = started_samples(series.as_ref())?;
                self.ctx.charge(samples.len())?;
                let mut values = vec![ABSENT; reference.count];
                let (mut next, mut any) = (0, false);
                for (step, value) in values.iter_mut().enumerate() {
                    let t = reference.time(step);
                    next += samples[next..].iter().take_while(|sample| sample.0 <= t).count();
                    let newest = next.checked_sub(1).map(|at| samples[at]);
                    let newest = newest.filter(|(sample_t, _)| *sample_t > t.saturating_sub(self.lookback_ms()));
                    if let Some((_, Some(start))) = newest {
                        (*value, any) = (start as f64 / 1000.0, true);
                    }
                }
                if any {
                    sink(Row::new(series.labels().clone(), values))?;
                }
                self.ctx.release(samples.len());
            }
            Ok(())
        })
    }
}

/// Times and starts of a series' samples of both kinds; a staleness marker has none at all.
fn started_samples(series: &dyn SeriesReader) -> Result<Vec<(i64, Option<i64>)>, QueryError> {
    let (mut floats, mut histograms) = (Columns::default(), HistogramColumns::default());
    series.read_into(&mut floats).map_err(|e| expanding(&e))?;
    series.read_histograms_into(&mut histograms).map_err(|e| expanding(&e))?;
    let (mut of_floats, mut of_histograms) = (Vec::new(), Vec::new());
    series.read_starts(SampleKind::Float, &floats.t, &mut of_floats);
    series.read_starts(SampleKind::Histogram, &histograms.t, &mut of_histograms);
    let floats = floats.t.iter().zip(&floats.v).zip(of_floats);
    let histograms = histograms.t.iter().zip(&histograms.h).zip(of_histograms);
    let mut samples: Vec<(i64, Option<i64>)> =
        floats.map(|((t, v), start)| (*t, (!is_stale_nan(*v)).then_some(start))).collect();
    samples.extend(histograms.map(|((t, h), start)| (*t, (!h.is_stale()).then_some(start))));
    samples.sort_by_key(|sample| sample.0);
    Ok(samples)
}
