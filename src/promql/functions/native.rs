//! Native histograms to numbers: quantiles, fractions, the spread.
//!
//! The rules are Prometheus': inside a bucket observations are spread evenly on a logarithmic scale, with custom bounds
//! and in the zero bucket evenly; the zero bucket of a histogram with observations on one side only belongs to that
//! side. Elsewhere: the same for classic histograms (`histogram`).

use super::sum::add;
use crate::promql::histogram::{Bucket, FloatHistogram};

/// What is to be told about a number: NaN was observed, and lies in no bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NanNote {
    /// The quantile is among the NaN.
    Result,
    /// The quantile is higher than that of the numbers alone.
    Skew,
    /// Fractions are of all observations, but only numbers lie between bounds.
    Fraction,
}

/// The `q`-quantile.
pub(crate) fn native_quantile(q: f64, histogram: &FloatHistogram) -> (f64, Option<NanNote>) {
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if histogram.count == 0.0 || q.is_nan() {
        return (f64::NAN, None);
    }
    let has_nan_sum = histogram.sum.is_nan();
    // NaN observations are counted in no bucket, as if they were beyond the highest: then only the way up is sound.
    let is_upward = has_nan_sum || q < 0.5;
    let rank = if is_upward { q * histogram.count } else { (1.0 - q) * histogram.count };
    let found = if is_upward {
        bucket_of_rank(histogram.buckets(), rank)
    } else {
        bucket_of_rank(histogram.buckets().rev(), rank)
    };
    let Some((mut bucket, count)) = found else {
        // Counted but in no bucket: there is nothing to interpolate in.
        return no_bucket(has_nan_sum, rank);
    };
    if !histogram.is_custom() {
        if bucket.lower < 0.0 && bucket.upper > 0.0 {
            bucket = to_one_side(bucket, histogram);
        }
    } else if bucket.lower == f64::NEG_INFINITY {
        if bucket.upper <= 0.0 {
            return (bucket.upper, None);
        }
        bucket.lower = 0.0;
    } else if bucket.upper == f64::INFINITY {
        return (bucket.lower, None);
    }
    // Rounding may have taken the count beyond that of all.
    let count = count.min(histogram.count);
    if count < rank {
        return if has_nan_sum { (f64::NAN, Some(NanNote::Result)) } else { (bucket.upper, None) };
    }
    let in_bucket = if is_upward { rank - (count - bucket.count) } else { count - rank };
    let is_skewed = has_nan_sum && histogram.buckets().map(|b| b.count).sum::<f64>() < histogram.count;
    let note = is_skewed.then_some(NanNote::Skew);
    (interpolated(bucket, in_bucket / bucket.count, histogram.is_custom()), note)
}

fn no_bucket(has_nan_sum: bool, rank: f64) -> (f64, Option<NanNote>) {
    if rank > 0.0 {
        return if has_nan_sum { (f64::NAN, Some(NanNote::Result)) } else { (0.0, None) };
    }
    (f64::NAN, has_nan_sum.then_some(NanNote::Skew))
}

/// The bucket in which the observation of this rank is, and the count up to its end; the last bucket if none is.
fn bucket_of_rank(buckets: impl Iterator<Item = Bucket>, rank: f64) -> Option<(Bucket, f64)> {
    let mut last = None;
    let mut count = 0.0;
    for bucket in buckets {
        count += bucket.count;
        last = Some((bucket, count));
        if count >= rank && bucket.count != 0.0 {
            break;
        }
    }
    last
}

fn to_one_side(bucket: Bucket, histogram: &FloatHistogram) -> Bucket {
    match (histogram.negative.is_empty(), histogram.positive.is_empty()) {
        (true, false) => Bucket { lower: 0.0, ..bucket },
        (false, true) => Bucket { upper: 0.0, ..bucket },
        _ => bucket,
    }
}

fn interpolated(bucket: Bucket, fraction: f64, is_custom: bool) -> f64 {
    let Bucket { lower, upper, .. } = bucket;
    if is_custom || (lower <= 0.0 && upper >= 0.0) {
        return lower + (upper - lower) * fraction;
    }
    let (lower_log, upper_log) = (lower.abs().log2(), upper.abs().log2());
    if lower > 0.0 {
        return (lower_log + (upper_log - lower_log) * fraction).exp2();
    }
    -(upper_log + (lower_log - upper_log) * (1.0 - fraction)).exp2()
}

/// The fraction of observations between `lower` and `upper`.
pub(crate) fn native_fraction(lower: f64, upper: f64, histogram: &FloatHistogram) -> (f64, Option<NanNote>) {
    if histogram.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return (f64::NAN, None);
    }
    if lower >= upper {
        return (0.0, None);
    }
    let (lower_rank, upper_rank) = (rank_below(lower, histogram), rank_below(upper, histogram));
    let (mut count, mut note) = (histogram.count, None);
    if histogram.sum.is_nan() {
        // Without the NaN observations.
        count = histogram.buckets().map(|bucket| bucket.count).sum();
        note = (count < histogram.count).then_some(NanNote::Fraction);
    }
    let rank = |rank: Option<f64>| rank.filter(|&rank| rank <= count).unwrap_or(count);
    ((rank(upper_rank) - rank(lower_rank)) / histogram.count, note)
}

/// How many observations lie below `v`; `None` if it is beyond all buckets.
fn rank_below(v: f64, histogram: &FloatHistogram) -> Option<f64> {
    let mut rank = 0.0;
    for mut bucket in histogram.buckets() {
        let holds_zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        if holds_zero {
            bucket = to_one_side(bucket, histogram);
        }
        if bucket.lower >= v {
            return Some(rank);
        }
        if bucket.upper > v {
            // A bucket that begins nowhere is not divided.
            if bucket.lower == f64::NEG_INFINITY {
                return Some(bucket.count);
            }
            let is_linear = histogram.is_custom() || holds_zero;
            return Some(rank + bucket.count * bucket.fraction_below(v, is_linear));
        }
        rank += bucket.count;
    }
    None
}

/// The variance, every observation taken to be in the middle of its bucket.
pub(crate) fn native_variance(histogram: &FloatHistogram) -> f64 {
    let mean = histogram.sum / histogram.count;
    let (mut sum, mut compensation) = (0.0, 0.0);
    for Bucket { lower, upper, count, .. } in histogram.buckets().filter(|bucket| bucket.count != 0.0) {
        let middle = if histogram.is_custom() {
            (upper + lower) / 2.0
        } else if lower <= 0.0 && upper >= 0.0 {
            0.0
        } else {
            (upper * lower).sqrt().copysign(upper)
        };
        let delta = middle - mean;
        (sum, compensation) = add(count * delta * delta, sum, compensation);
    }
    (sum + compensation) / histogram.count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::histogram::tests::{custom, exponential};

    #[track_caller]
    fn close(found: f64, expected: f64) {
        assert!(found == expected || (found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn quantiles_are_interpolated_by_the_kind_of_bucket() {
        let histogram = exponential(0, &[(1, 4.0)], &[]);
        close(native_quantile(0.5, &histogram).0, 2f64.sqrt());
        close(native_quantile(0.25, &histogram).0, 2f64.powf(0.25));
        let histogram = exponential(0, &[], &[(1, 4.0)]);
        close(native_quantile(0.25, &histogram).0, -2f64.powf(0.75));
        let histogram = custom(&[10.0, 20.0], &[2.0, 2.0, 2.0]);
        close(native_quantile(0.5, &histogram).0, 15.0);
        close(native_quantile(0.0, &histogram).0, 0.0);
        close(native_quantile(1.0, &histogram).0, 20.0);
        let mut histogram = exponential(0, &[(5, 1.0)], &[]);
        (histogram.zero_threshold, histogram.zero_count, histogram.count) = (0.5, 4.0, 5.0);
        close(native_quantile(0.4, &histogram).0, 0.25);
    }

    #[test]
    fn nan_observations_are_told() {
        let mut histogram = exponential(0, &[(1, 4.0)], &[]);
        (histogram.sum, histogram.count) = (f64::NAN, 8.0);
        assert_eq!(native_quantile(0.25, &histogram), (2f64.sqrt(), Some(NanNote::Skew)));
        assert_eq!(native_quantile(0.75, &histogram).1, Some(NanNote::Result));
        assert_eq!(native_fraction(0.0, 4.0, &histogram), (0.5, Some(NanNote::Fraction)));
    }

    #[test]
    fn fractions_and_quantiles_undo_each_other() {
        let histogram = exponential(1, &[(-2, 1.0), (0, 5.0), (4, 3.0)], &[(1, 2.0), (2, 1.0)]);
        for q in [0.1, 0.2, 0.4, 0.49, 0.5, 0.7, 0.99] {
            let value = native_quantile(q, &histogram).0;
            close(native_fraction(f64::NEG_INFINITY, value, &histogram).0, q);
        }
    }

    #[test]
    fn the_spread_is_around_the_mean() {
        let mut histogram = custom(&[1.0, 3.0, 5.0], &[0.0, 2.0, 2.0]);
        histogram.sum = 12.0;
        close(native_variance(&histogram), 1.0);
    }
}
