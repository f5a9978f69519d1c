//! Instant vector selectors over series with native histograms: the newest sample of either kind within the lookback.
//!
//! Series of floats alone never come here (`selector`).

use std::sync::Arc;

use storage::{Columns, HistogramColumns, is_stale_nan};

use super::Evaluator;
use super::annotate::{Told, mixed_types};
use super::context::expanding;
use super::extended::smooth;
use super::grid::Grid;
use super::look_back::Pick;
use super::row::{ABSENT, Row, empty_column};
use super::selector::Sight;
use super::stats_only::Converter;
use crate::promql::ast::{Span, VectorSelector};
use crate::promql::functions::native_extended::smoothed_at;
use crate::promql::histogram::FloatHistogram;
use crate::promql::source::SeriesReader;
use crate::promql::types::QueryError;

impl Evaluator<'_> {
    /// `selector smoothed` of a series with histograms: each value lies on the line between its neighbours.
    pub(super) fn smooth_mixed(
        &self,
        selector: &VectorSelector,
        span: Span,
        series: &dyn SeriesReader,
        floats: &mut Columns,
        reference: Grid,
    ) -> Result<Option<Row>, QueryError> {
        let lookback_ms = self.lookback_ms();
        let floats_alone = smooth(floats, reference, lookback_ms);
        let Some(range) = self.read_histograms(selector, series)? else {
            return Ok(floats_alone.map(|values| Row::new(series.labels().clone(), values)));
        };
        let mut values = floats_alone.unwrap_or_else(|| vec![ABSENT; reference.count]);
        let mut column = empty_column(reference.count);
        let told = Told { metric: series.labels().metric_name(), span };
        let any_near = |t: &[i64], at: i64| {
            let first = t.partition_point(|&t| t <= at.saturating_sub(lookback_ms));
            t.get(first).is_some_and(|&t| t <= at.saturating_add(lookback_ms))
        };
        let float_t: Vec<i64> =
            (0..floats.len()).filter(|&i| !is_stale_nan(floats.v[i])).map(|i| floats.t[i]).collect();
        for step in 0..reference.count {
            let at = reference.time(step);
            if !any_near(range.t(), at) {
                continue;
            }
            if any_near(&float_t, at) {
                self.ctx.warn(&mixed_types(told.metric), span);
                values[step] = ABSENT;
                continue;
            }
            column[step] = smoothed_at(&range, at, lookback_ms, &mut |note| self.tell(note, told));
        }
        let histograms = column.iter().any(Option::is_some).then_some(column);
        let row = Row { histograms, ..Row::new(series.labels().clone(), values) };
        Ok((row.present_count() > 0).then_some(row))
    }

    /// The row of a series with histograms, whose floats are `floats`; `None` if it has no value.
    pub(super) fn look_back_mixed(
        &self,
        selector: &VectorSelector,
        series: &dyn SeriesReader,
        floats: &Columns,
        Sight { reference, lookback_ms, pick, .. }: Sight,
    ) -> Result<Option<Row>, QueryError> {
        let mut stored = HistogramColumns::default();
        series.read_histograms_into(&mut stored).map_err(|e| expanding(&e))?;
        let mut values = vec![ABSENT; reference.count];
        let mut column = empty_column(reference.count);
        let mut converter = Converter::new(self.ctx.stats_only.has(selector));
        let (mut next_float, mut next) = (0, 0);
        // The newest histogram so far; `None` if it is a staleness marker.
        let mut newest: Option<Arc<FloatHistogram>> = None;
        for step in 0..reference.count {
            let t = reference.time(step);
            let oldest = t.saturating_sub(lookback_ms);
            next_float += floats.t[next_float..].iter().take_while(|&&sample_t| sample_t <= t).count();
            while stored.t.get(next).is_some_and(|&sample_t| sample_t <= t) {
                newest = converter.convert(&stored.h[next]);
                next += 1;
            }
            let newest_float = next_float.checked_sub(1).map(|i| (floats.t[i], i)).filter(|(t, _)| *t > oldest);
            let newest_t = next.checked_sub(1).map(|i| stored.t[i]).filter(|t| *t > oldest);
            match (newest_float, newest_t) {
                (Some((float_t, i)), newest_t) if newest_t.is_none_or(|t| t <= float_t) => {
                    values[step] = match pick {
                        _ if is_stale_nan(floats.v[i]) => ABSENT,
                        Pick::Time => float_t as f64 / 1000.0,
                        Pick::Value => floats.v[i],
                    };
                }
                (_, Some(sample_t)) if newest.is_some() && pick == Pick::Time => {
                    values[step] = sample_t as f64 / 1000.0;
                }
                (_, Some(_)) => column[step] = newest.clone(),
                _ => {}
            }
        }
        let histograms = column.iter().any(Option::is_some).then_some(column);
        let row = Row { histograms, ..Row::new(series.labels().clone(), values) };
        Ok((row.present_count() > 0).then_some(row))
    }
}
