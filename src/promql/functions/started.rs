//! Rates and resets of counters that say since when they have been counting.
//!
//! Here: which start timestamps mean a reset, and `rate`, `increase`, `irate`, `resets` that know of them.
//! Elsewhere: the same without them (`rate`, `native_range`), reading them (`eval::started`).
//!
//! The rules are Prometheus' (`use-start-timestamps`): a counter that began after the sample before it was reset, whatever
//! its value; and one that began inside the window was zero then, so nothing is extrapolated to the left.

use super::native_range::{HistogramRange, MixedWindow, Note, Tell, difference};
use super::rate::{Kind, ends_factor};
use crate::promql::eval::Window;
use crate::promql::histogram::{FloatHistogram, HistogramSum, MixedBuckets};

/// A window with the start timestamp of each of its samples, 0 where there is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StartedWindow<'s> {
    /// The samples; the range of histograms knows of resets by start, see [`HistogramRange::with_starts`].
    pub(crate) w: MixedWindow<'s>,
    /// Of the floats.
    pub(crate) floats: &'s [i64],
    /// Of the histograms.
    pub(crate) histograms: &'s [i64],
}

/// Whether the sample at `t` with this start begins anew after the one at `t_before` with that start.
fn is_reset(start_before: i64, t_before: i64, start: i64, t: i64) -> bool {
    // Unknown, or not before its own sample: OpenTelemetry's way to say unknown, or nonsense.
    if start == 0 || start >= t || start < t_before {
        return false;
    }
    if start > t_before {
        return true;
    }
    // It begins where the one before ends: a delta, unless that one's start is not known either.
    start_before != 0 && start_before < t_before
}

/// Whether the sample with this start has counted what the one before it, at `t_before`, has counted, too.
fn overlaps(start_before: i64, t_before: i64, start: i64) -> bool {
    start != 0 && start < t_before && start != start_before
}

/// Tells once if any two neighbours overlap.
fn tell_overlap(t: &[i64], starts: &[i64], tell: &mut Tell<'_>) {
    let any = (1..t.len().min(starts.len())).any(|i| overlaps(starts[i - 1], t[i - 1], starts[i]));
    if any {
        tell(Note::Overlap);
    }
}

impl HistogramRange {
    /// The same, with resets as `starts` say, too.
    pub(crate) fn with_starts(&self, starts: &[i64]) -> HistogramRange {
        let t = self.t();
        let by_start = |i: usize| i > 0 && is_reset(starts[i - 1], t[i - 1], starts[i], t[i]);
        self.with_resets(self.resets().iter().enumerate().map(|(i, by_value)| *by_value || by_start(i)).collect())
    }
}

impl StartedWindow<'_> {
    /// The start of the first sample, if it lies in the window and before that sample.
    fn zero_t(&self, t: &[i64], starts: &[i64]) -> Option<i64> {
        let (first_t, start) = (*t.first()?, *starts.first()?);
        (start != 0 && start > self.w.floats.start && start < first_t).then_some(start)
    }

    fn is_float_reset(&self, i: usize) -> bool {
        let Window { t, v, .. } = self.w.floats;
        v[i] < v[i - 1] || is_reset(self.floats[i - 1], t[i - 1], self.floats[i], t[i])
    }

    /// `rate` or `increase` of a window of floats alone.
    pub(crate) fn of_floats(&self, kind: Kind, tell: &mut Tell<'_>) -> Option<f64> {
        let w = self.w.floats;
        let last = w.t.len().checked_sub(1)?;
        tell_overlap(w.t, self.floats, tell);
        let difference =
            (1..=last).filter(|&i| self.is_float_reset(i)).fold(w.v[last] - w.v[0], |sum, i| sum + w.v[i - 1]);
        match self.zero_t(w.t, self.floats) {
            Some(zero_t) => {
                Some((difference + w.v[0]) * ends_factor(kind, w.t, (w.start, w.end), Some(zero_t), 0.0, 0.0))
            }
            None if last == 0 => None,
            None => Some(difference * ends_factor(kind, w.t, (w.start, w.end), None, w.v[0], difference)),
        }
    }

    /// `rate` or `increase` of a window of histograms alone.
    pub(crate) fn of_histograms(&self, kind: Kind, tell: &mut Tell<'_>) -> Option<FloatHistogram> {
        let (t, first) = (self.w.t(), self.w.histograms().first()?);
        let ends = (self.w.floats.start, self.w.floats.end);
        let zero_t = self.zero_t(t, self.histograms);
        let found = match (t.len(), zero_t) {
            (1, None) => return None,
            (1, Some(_)) => Ok(FloatHistogram::clone(first)),
            _ => {
                tell_overlap(t, self.histograms, tell);
                difference(kind, self.w, tell).and_then(|sum| match zero_t {
                    Some(_) => added(&sum, first, tell),
                    None => Ok(sum),
                })
            }
        };
        let Ok(found) = found else {
            tell(Note::MixedBuckets);
            return None;
        };
        let factor = ends_factor(kind, t, ends, zero_t, first.count, found.count);
        Some(found.scaled(factor).with_hint(storage::CounterResetHint::Gauge))
    }

    /// `irate` if the last two samples are floats.
    pub(crate) fn instant_of_floats(&self) -> Option<f64> {
        let Window { t, v, .. } = self.w.floats;
        let last = t.len().checked_sub(1).filter(|last| *last > 0)?;
        if self.w.t().last().is_some_and(|newest| *newest > t[last - 1]) {
            return None;
        }
        let difference = if self.is_float_reset(last) { v[last] } else { v[last] - v[last - 1] };
        Some(difference / ((t[last] - t[last - 1]) as f64 / 1000.0))
    }

    /// `resets`: from one kind to the other is one, too.
    pub(crate) fn resets(&self) -> f64 {
        let (t, resets) = (self.w.t(), self.w.resets());
        let (mut float, mut histogram, mut count) = (0, 0, 0);
        let mut was_float = None;
        while float < self.w.floats.t.len() || histogram < t.len() {
            let float_t = self.w.floats.t.get(float);
            let is_float = float_t.is_some_and(|float_t| t.get(histogram).is_none_or(|t| float_t < t));
            let is_reset = match was_float.replace(is_float) {
                None => false,
                Some(was_float) if was_float != is_float => true,
                Some(true) => self.is_float_reset(float),
                Some(false) => resets[histogram],
            };
            count += u32::from(is_reset);
            float += usize::from(is_float);
            histogram += usize::from(!is_float);
        }
        f64::from(count)
    }
}

fn added(sum: &FloatHistogram, first: &FloatHistogram, tell: &mut Tell<'_>) -> Result<FloatHistogram, MixedBuckets> {
    let mut sum = HistogramSum::of(sum);
    if sum.add(first)?.is_reconciled {
        tell(Note::ReconciledAdding);
    }
    Ok(sum.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_after_the_sample_before_is_a_reset() {
        // Unknown, at its own sample, long ago, after the one before.
        let of = |start| is_reset(5, 10, start, 20);
        assert_eq!([0, 20, 21, 9, 11, 19].map(of), [false, false, false, false, true, true]);
        // Where the one before ends: a delta, if that one's start is known.
        assert_eq!([5, 0, 10, 15].map(|before| is_reset(before, 10, 10, 20)), [true, false, false, false]);
        assert!(overlaps(4, 10, 5) && !overlaps(5, 10, 5) && !overlaps(4, 10, 10) && !overlaps(4, 10, 0));
    }
}
