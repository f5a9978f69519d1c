//! Rates and differences over a window.
//!
//! Here: `rate`, `increase`, `delta` of floats, the extrapolation that those of histograms share (`native_range`), `irate`
//! and `idelta` from the last two samples.
//! The rules are Prometheus': extrapolate to the window's ends if they are within 1.1 average intervals of the samples,
//! else by half an interval; a counter never below zero.

use crate::promql::eval::Window;

/// What kind of difference is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Per second, resets undone.
    Rate,
    /// In all, resets undone.
    Increase,
    /// In all, of a gauge.
    Delta,
}

/// The extrapolated difference; `None` for fewer than two samples.
pub(crate) fn extrapolated(kind: Kind, w: Window<'_>) -> Option<f64> {
    let last = w.t.len().checked_sub(1).filter(|&l| l > 0)?;
    let is_counter = kind != Kind::Delta;
    let mut difference = w.v[last] - w.v[0];
    if is_counter && !w.rises {
        // One after the other: a sum of its own would round differently.
        difference = w.v.windows(2).filter(|p| p[1] < p[0]).fold(difference, |sum, p| sum + p[0]);
    }
    Some(difference * extrapolation(kind, w.t, (w.start, w.end), w.v[0], difference))
}

/// What the difference between the first and the last sample is multiplied with. `first` is the first value; of a
/// histogram it is its count, and `difference` that of the difference.
pub(crate) fn extrapolation(kind: Kind, t: &[i64], ends: (i64, i64), first: f64, difference: f64) -> f64 {
    if t.len() < 2 { 1.0 } else { ends_factor(kind, t, ends, None, first, difference) }
}

/// The same of a window whose counter was zero at `zero_t`, if that is known: then the difference is the one since then,
/// and one sample is enough.
#[inline]
pub(super) fn ends_factor(
    kind: Kind,
    t: &[i64],
    (start, end): (i64, i64),
    zero_t: Option<i64>,
    first: f64,
    difference: f64,
) -> f64 {
    let Some(last) = t.len().checked_sub(1) else { return 1.0 };
    let is_counter = kind != Kind::Delta;
    let seconds = |from: i64, to: i64| (to - from) as f64 / 1000.0;
    let mut to_start = seconds(start, t[0]);
    let mut to_end = seconds(t[last], end);
    let mut sampled = seconds(t[0], t[last]);
    let average = if last > 0 { sampled / last as f64 } else { 0.0 };
    let threshold = average * 1.1;
    if to_start >= threshold {
        to_start = average / 2.0;
    }
    if let Some(zero_t) = zero_t {
        (to_start, sampled) = (0.0, seconds(zero_t, t[last]));
    } else if is_counter && difference > 0.0 && first >= 0.0 {
        // Where the counter would have been zero; it cannot have begun before.
        to_start = to_start.min(sampled * (first / difference));
    }
    if to_end >= threshold {
        to_end = average / 2.0;
    }
    let mut factor = (sampled + to_start + to_end) / sampled;
    if kind == Kind::Rate {
        factor /= (end - start) as f64 / 1000.0;
    }
    factor
}

/// From the last two samples: per second with resets undone (`irate`), or the plain difference (`idelta`).
pub(crate) fn instant(is_rate: bool, w: Window<'_>) -> Option<f64> {
    let last = w.t.len().checked_sub(1).filter(|&l| l > 0)?;
    let (before, newest) = (w.v[last - 1], w.v[last]);
    if !is_rate {
        return Some(newest - before);
    }
    let difference = if newest < before { newest } else { newest - before };
    Some(difference / ((w.t[last] - w.t[last - 1]) as f64 / 1000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window<'s>(t: &'s [i64], v: &'s [f64], start: i64, end: i64) -> Window<'s> {
        Window { t, v, rises: v.is_sorted(), start, end }
    }

    #[test]
    fn extrapolates_to_both_ends_of_the_window() {
        let w = window(&[10_000, 20_000, 30_000], &[100.0, 110.0, 120.0], 0, 35_000);
        assert_eq!(extrapolated(Kind::Increase, w), Some(20.0 * 35.0 / 20.0));
        assert_eq!(extrapolated(Kind::Rate, w), Some(1.0));
    }

    #[test]
    fn stops_half_an_interval_out_where_the_end_is_far() {
        let w = window(&[30_000, 40_000], &[100.0, 110.0], 0, 100_000);
        assert_eq!(extrapolated(Kind::Delta, w), Some(10.0 * 20.0 / 10.0));
    }

    #[test]
    fn a_counter_does_not_begin_below_zero_and_its_resets_are_undone() {
        let w = window(&[10_000, 20_000], &[1.0, 11.0], 0, 20_000);
        assert_eq!(extrapolated(Kind::Increase, w), Some(11.0));
        let w = window(&[10_000, 20_000, 30_000], &[50.0, 10.0, 20.0], 0, 30_000);
        assert_eq!(extrapolated(Kind::Increase, w), Some(20.0 * 30.0 / 20.0));
        assert_eq!(extrapolated(Kind::Increase, window(&[1], &[1.0], 0, 10)), None);
    }

    #[test]
    fn instant_rate_takes_the_last_two() {
        let w = window(&[0, 10_000, 20_000], &[0.0, 50.0, 10.0], -1, 20_000);
        assert_eq!(instant(true, w), Some(1.0));
        assert_eq!(instant(false, w), Some(-40.0));
    }
}
