//! Classic histograms: buckets of one histogram at one time to a number.
//!
//! Here: `histogram_quantile` and `histogram_fraction` over `(upper bound, cumulative count)` pairs.
//! Elsewhere: finding the buckets that belong together (`eval::buckets`).

use std::cmp::Ordering;

/// One bucket: how many observations were at most `upper_bound`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) upper_bound: f64,
    pub(crate) count: f64,
}

/// Where counts had to be raised because they fell from one bucket to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Repair {
    pub(crate) min_bound: f64,
    pub(crate) max_bound: f64,
    pub(crate) diff_max: f64,
}

/// Counts that differ by less than this fraction are rounding, not data.
const TOLERANCE: f64 = 1e-12;

/// The `q`-quantile, interpolated inside its bucket. Sorts and repairs `buckets` (never empty) on the way.
pub(crate) fn bucket_quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Repair>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if !(0.0..=1.0).contains(&q) {
        return (if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY }, None);
    }
    if !sort_and_merge(buckets) {
        return (f64::NAN, None);
    }
    let repair = make_monotonic(buckets);
    (interpolated(q, buckets), repair)
}

fn interpolated(q: f64, buckets: &[Bucket]) -> f64 {
    let Some((last, finite)) = buckets.split_last().filter(|(last, finite)| !finite.is_empty() && last.count != 0.0)
    else {
        return f64::NAN;
    };
    let mut rank = q * last.count;
    // With NaN counts nothing reaches the rank: the answer is then the highest finite bound.
    let place = finite.partition_point(|b| b.count.partial_cmp(&rank).is_none_or(Ordering::is_lt));
    let Some(bucket) = finite.get(place) else { return finite[finite.len() - 1].upper_bound };
    if place == 0 && bucket.upper_bound <= 0.0 {
        return bucket.upper_bound;
    }
    let (mut start, mut count) = (0.0, bucket.count);
    if let Some(before) = place.checked_sub(1).map(|i| finite[i]) {
        start = before.upper_bound;
        count -= before.count;
        rank -= before.count;
    }
    start + (bucket.upper_bound - start) * (rank / count)
}

/// Sorts by bound and joins equal bounds (`1` and `1.0`); false if the bucket for everything, `+Inf`, is missing.
fn sort_and_merge(buckets: &mut Vec<Bucket>) -> bool {
    buckets.sort_by(|a, b| a.upper_bound.partial_cmp(&b.upper_bound).unwrap_or(Ordering::Equal));
    if buckets.last().is_none_or(|b| b.upper_bound != f64::INFINITY) {
        return false;
    }
    buckets.dedup_by(|later, kept| {
        let is_same = later.upper_bound == kept.upper_bound;
        if is_same {
            kept.count += later.count;
        }
        is_same
    });
    true
}

fn make_monotonic(buckets: &mut [Bucket]) -> Option<Repair> {
    let mut repair: Option<Repair> = None;
    let mut highest = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let count = bucket.count;
        if count == highest {
            continue;
        }
        if almost_equal(highest, count) {
            bucket.count = highest;
        } else if count < highest {
            bucket.count = highest;
            let bound = bucket.upper_bound;
            let found = repair.get_or_insert(Repair { min_bound: bound, max_bound: bound, diff_max: 0.0 });
            found.max_bound = bound;
            found.diff_max = found.diff_max.max(highest - count);
        } else {
            highest = count;
        }
    }
    repair
}

fn almost_equal(a: f64, b: f64) -> bool {
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

/// The fraction of observations between `lower` and `upper`. Sorts `buckets` (never empty) on the way.
pub(crate) fn bucket_fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if !sort_and_merge(buckets) {
        return f64::NAN;
    }
    let count = buckets[buckets.len() - 1].count;
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let rank_of = |bound: f64| rank_at(bound, buckets).filter(|&rank| rank <= count).unwrap_or(count);
    (rank_of(upper) - rank_of(lower)) / count
}

/// How many observations lie below `value`; `None` if it is beyond all buckets.
fn rank_at(value: f64, buckets: &[Bucket]) -> Option<f64> {
    let mut rank = 0.0;
    // Where the first bound is above 0, observations are taken to be positive.
    let mut lower = if buckets[0].upper_bound <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    for bucket in buckets {
        if lower >= value {
            return Some(rank);
        }
        if bucket.upper_bound > value {
            // Buckets without an end are not divided: all of the first counts as below, none of the last.
            if lower == f64::NEG_INFINITY {
                return Some(bucket.count);
            }
            return Some(rank + (bucket.count - rank) * (value - lower) / (bucket.upper_bound - lower));
        }
        (rank, lower) = (bucket.count, bucket.upper_bound);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs.iter().map(|&(upper_bound, count)| Bucket { upper_bound, count }).collect()
    }

    #[track_caller]
    fn check(q: f64, pairs: &[(f64, f64)], expected: f64) {
        let (found, _) = bucket_quantile(q, &mut buckets(pairs));
        assert!(found == expected || (found.is_nan() && expected.is_nan()), "{q} of {pairs:?}: {found}");
    }

    const INF: f64 = f64::INFINITY;

    #[test]
    fn interpolates_in_the_bucket_of_the_rank() {
        check(0.5, &[(1.0, 10.0), (2.0, 20.0), (INF, 20.0)], 1.0);
        check(0.75, &[(2.0, 20.0), (1.0, 10.0), (INF, 20.0)], 1.5);
        check(0.25, &[(1.0, 10.0), (INF, 10.0)], 0.25);
        check(0.9, &[(1.0, 10.0), (INF, 20.0)], 1.0);
        check(0.5, &[(-1.0, 10.0), (INF, 10.0)], -1.0);
    }

    #[test]
    fn has_an_answer_for_odd_input() {
        check(0.5, &[(1.0, 10.0)], f64::NAN);
        check(0.5, &[(INF, 10.0)], f64::NAN);
        check(0.5, &[(1.0, 0.0), (INF, 0.0)], f64::NAN);
        check(-1.0, &[(1.0, 1.0), (INF, 1.0)], f64::NEG_INFINITY);
        check(1.1, &[(1.0, 1.0), (INF, 1.0)], INF);
        check(0.5, &[(1.0, 5.0), (1.0, 5.0), (2.0, 20.0), (INF, 20.0)], 1.0);
    }

    #[test]
    fn falling_counts_are_raised_and_reported() {
        let (_, repair) = bucket_quantile(0.5, &mut buckets(&[(1.0, 10.0), (2.0, 4.0), (INF, 20.0)]));
        assert_eq!(repair, Some(Repair { min_bound: 2.0, max_bound: 2.0, diff_max: 6.0 }));
        let (_, repair) = bucket_quantile(0.5, &mut buckets(&[(1.0, 10.0), (2.0, 10.0 - 1e-13), (INF, 20.0)]));
        assert_eq!(repair, None);
    }

    #[test]
    fn fractions_count_between_bounds() {
        let shape = [(1.0, 10.0), (2.0, 20.0), (INF, 20.0)];
        assert_eq!(bucket_fraction(0.0, 1.0, &mut buckets(&shape)), 0.5);
        assert_eq!(bucket_fraction(1.5, INF, &mut buckets(&shape)), 0.25);
        assert_eq!(bucket_fraction(2.0, 1.0, &mut buckets(&shape)), 0.0);
        assert!(bucket_fraction(0.0, 1.0, &mut buckets(&[(1.0, 1.0)])).is_nan());
    }
}
