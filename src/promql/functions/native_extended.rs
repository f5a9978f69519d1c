//! Native histograms of windows with `anchored` or `smoothed`, which know the value at their ends.
//!
//! Here: rates from end to end, single values between two samples, and windows from their anchor on. Elsewhere: the same
//! of floats (`eval::extended`), windows without modifier (`native_range`).

use std::sync::Arc;

use storage::CounterResetHint;

use super::native_range::{HistogramRange, MixedWindow, Note, Tell};
use super::rate::Kind;
use crate::promql::eval::Window;
use crate::promql::histogram::{FloatHistogram, HistogramSum, MixedBuckets};

/// The window from its anchor on: the newest sample of either kind at or before its start. `None` if no sample lies in
/// the window.
pub(crate) fn from_anchor(w: MixedWindow<'_>) -> Option<MixedWindow<'_>> {
    let (start, t) = (w.floats.start, w.t());
    let float = w.floats.t.partition_point(|&t| t <= start);
    let histogram = t.partition_point(|&t| t <= start);
    if float == w.floats.t.len() && histogram == t.len() {
        return None;
    }
    let anchor_t = |t: &[i64], inside: usize| inside.checked_sub(1).map(|anchor| t[anchor]);
    let is_float = anchor_t(w.floats.t, float) >= anchor_t(t, histogram);
    let float = if is_float { float.saturating_sub(1) } else { float };
    let histogram = if is_float { histogram } else { histogram.saturating_sub(1) };
    let floats = Window { t: &w.floats.t[float..], v: &w.floats.v[float..], ..w.floats };
    Some(MixedWindow { floats, first: w.first + histogram, ..w })
}

/// Two neighbours and a time between them.
struct Between<'h> {
    before: (i64, &'h FloatHistogram),
    after: (i64, &'h FloatHistogram),
    t: i64,
    /// A counter that was reset in between starts from nothing.
    is_reset: bool,
}

impl Between<'_> {
    fn interpolated(&self, tell: &mut Tell<'_>) -> Result<FloatHistogram, MixedBuckets> {
        let ((t_before, before), (t_after, after)) = (self.before, self.after);
        if self.t == t_before {
            return Ok(before.clone());
        }
        if self.t == t_after {
            return Ok(after.clone());
        }
        let fraction = (self.t - t_before) as f64 / (t_after - t_before) as f64;
        if self.is_reset {
            return Ok(after.scaled(fraction));
        }
        let mut difference = HistogramSum::of(after);
        if difference.subtract(before)?.is_reconciled {
            tell(Note::ReconciledSubtracting);
        }
        let mut sum = HistogramSum::of(&difference.finish().scaled(fraction));
        if sum.add(before)?.is_reconciled {
            tell(Note::ReconciledAdding);
        }
        Ok(sum.finish())
    }
}

/// Rate, increase or delta from end to end, nothing extrapolated.
pub(crate) fn from_end_to_end(
    kind: Kind,
    is_smoothed: bool,
    w: MixedWindow<'_>,
    tell: &mut Tell<'_>,
) -> Option<FloatHistogram> {
    let found = difference(kind, is_smoothed, w, tell).unwrap_or_else(|MixedBuckets| {
        tell(Note::MixedBuckets);
        None
    })?;
    let found = match kind {
        Kind::Rate => found.divided((w.floats.end - w.floats.start) as f64 / 1000.0),
        _ => found,
    };
    Some(found.compact().with_hint(CounterResetHint::Gauge))
}

fn difference(
    kind: Kind,
    is_smoothed: bool,
    w: MixedWindow<'_>,
    tell: &mut Tell<'_>,
) -> Result<Option<FloatHistogram>, MixedBuckets> {
    let (t, histograms, resets) = (w.t(), w.histograms(), w.resets());
    let (start, end) = (w.floats.start, w.floats.end);
    let is_counter = kind != Kind::Delta;
    let Some(mut last) = t.len().checked_sub(1) else { return Ok(None) };
    let first = t[..last].partition_point(|&t| t <= start).saturating_sub(1);
    if is_smoothed {
        last = t[..last].partition_point(|&t| t < end);
    }
    if t[last] <= start || (is_smoothed && t[first] > end) {
        return Ok(None);
    }
    let relevant = &histograms[first..=last.max(first)];
    if relevant.iter().any(|h| h.is_custom() != relevant[0].is_custom()) {
        return Err(MixedBuckets);
    }
    if is_counter && relevant.iter().any(|h| h.hint == CounterResetHint::Gauge) {
        tell(Note::NotCounter);
    }
    let mut at_end = |before: usize, t_end: i64| {
        let (after, is_reset) = (before + 1, is_counter && resets[before + 1]);
        let neighbour = |i: usize| (t[i], histograms[i].as_ref());
        Between { before: neighbour(before), after: neighbour(after), t: t_end, is_reset }.interpolated(tell)
    };
    let is_left_between = is_smoothed && t[first] < start && first + 1 < t.len();
    let left = if is_left_between { at_end(first, start)? } else { histograms[first].as_ref().clone() };
    let right = match last.checked_sub(1) {
        Some(before) if is_smoothed && t[last] > end => at_end(before, end)?,
        _ => histograms[last].as_ref().clone(),
    };
    let is_gauge = |h: &FloatHistogram| h.hint == CounterResetHint::Gauge;
    let are_gauges = is_gauge(&left) && is_gauge(&right);
    if !is_counter && !are_gauges {
        tell(Note::NotGauge);
    }
    let mut sum = HistogramSum::of(&right);
    if sum.subtract(&left)?.is_reconciled {
        tell(Note::ReconciledSubtracting);
    }
    if is_counter {
        // The left end may lie in a step that is a reset: that one is accounted for.
        let is_reset_left = is_left_between && resets[first + 1];
        let (mut before, from) = match is_reset_left {
            true => (histograms[first + 1].as_ref(), first + 2),
            false => (&left, first + 1),
        };
        // The last sample is what the right end was made of, and has its hint.
        let inside = histograms.get(from..last).unwrap_or_default();
        if from <= last {
            for now in inside.iter().map(Arc::as_ref).chain([&right]) {
                if now.is_reset_since(before) && sum.add(before)?.is_reconciled {
                    tell(Note::ReconciledAdding);
                }
                before = now;
            }
        }
    }
    Ok(Some(sum.finish()))
}

/// The value at `at` on the line between the samples around it, the last one where none follows within `reach_ms`.
pub(crate) fn smoothed_at(
    range: &HistogramRange,
    at: i64,
    reach_ms: i64,
    tell: &mut Tell<'_>,
) -> Option<Arc<FloatHistogram>> {
    let (t, histograms) = (range.t(), range.histograms());
    let from = t.partition_point(|&t| t <= at.saturating_sub(reach_ms));
    let until = t.partition_point(|&t| t <= at.saturating_add(reach_ms));
    let next = from + t[from..until].partition_point(|&t| t < at);
    if next < until && t[next] == at {
        return Some(histograms[next].clone());
    }
    let before = next.checked_sub(1).filter(|&before| before >= from)?;
    if next == until {
        // A hint is about the sample before, which is another one here.
        let last = FloatHistogram::clone(&histograms[before]);
        return Some(Arc::new(last.with_hint(CounterResetHint::Unknown)));
    }
    let is_gauge = |i: usize| histograms[i].hint == CounterResetHint::Gauge;
    let is_counter = !(is_gauge(before) && is_gauge(next));
    let is_mixed = histograms[before].is_custom() != histograms[next].is_custom();
    let is_reset = is_counter && !is_mixed && range.resets()[next];
    let neighbour = |i: usize| (t[i], histograms[i].as_ref());
    let between = Between { before: neighbour(before), after: neighbour(next), t: at, is_reset };
    match between.interpolated(tell) {
        Ok(histogram) if !is_mixed => Some(Arc::new(histogram)),
        _ => {
            tell(Note::MixedBuckets);
            None
        }
    }
}
