//! Arithmetic of histograms against a slow and obvious version, and its edges by hand.

use std::collections::BTreeMap;

use storage::{CounterResetHint, SCHEMA_CUSTOM};

use super::bounds::exponential_bound;
use super::sum::Added;
use super::*;

/// A histogram whose count is that of its buckets.
pub(crate) fn exponential(schema: i32, positive: &[(i32, f64)], negative: &[(i32, f64)]) -> FloatHistogram {
    let count = positive.iter().chain(negative).map(|(_, count)| count).sum();
    let positive = positive.iter().copied().collect();
    let negative = negative.iter().copied().collect();
    FloatHistogram { positive, negative, count, ..FloatHistogram::empty(schema) }
}

pub(crate) fn custom(bounds: &[f64], counts: &[f64]) -> FloatHistogram {
    let positive = counts.iter().enumerate().map(|(i, &count)| (i as i32, count)).collect();
    let custom_values = bounds.to_vec().into();
    FloatHistogram { positive, custom_values, count: counts.iter().sum(), ..FloatHistogram::empty(SCHEMA_CUSTOM) }
}

fn sum(a: &FloatHistogram, b: &FloatHistogram) -> (FloatHistogram, Added) {
    let mut sum = HistogramSum::of(a);
    let added = sum.add(b).unwrap();
    (sum.finish().compact(), added)
}

/// Dice with a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn side(&mut self) -> Buckets {
        let mut index = self.roll(12) as i32 - 8;
        let count = self.roll(8);
        (0..count)
            .map(|_| {
                index += 1 + self.roll(3) as i32;
                (index, self.roll(5) as f64)
            })
            .collect()
    }

    fn histogram(&mut self) -> FloatHistogram {
        let schema = self.roll(5) as i32 - 1;
        let mut histogram =
            FloatHistogram { positive: self.side(), negative: self.side(), ..FloatHistogram::empty(schema) };
        if self.roll(2) == 0 {
            histogram.zero_threshold = [0.001, 0.5, 0.6, 1.0, 2.5][self.roll(5) as usize];
        }
        // Nothing is counted both in the zero bucket and beside it.
        let threshold = histogram.zero_threshold;
        let outside = |buckets: &Buckets| -> Buckets {
            buckets.iter().filter(|(index, _)| exponential_bound(index - 1, schema) >= threshold).collect()
        };
        (histogram.positive, histogram.negative) = (outside(&histogram.positive), outside(&histogram.negative));
        histogram.zero_count = self.roll(4) as f64;
        let all = histogram.positive.iter().chain(histogram.negative.iter());
        histogram.count = histogram.zero_count + all.map(|(_, count)| count).sum::<f64>();
        histogram.sum = self.roll(100) as f64 - 50.0;
        histogram
    }
}

/// The sum, bucket by bucket: first how wide the zero bucket must be, then every other bucket to the coarse one around it.
fn slow_sum(a: &FloatHistogram, b: &FloatHistogram) -> (f64, f64, BTreeMap<i32, f64>, BTreeMap<i32, f64>) {
    let schema = a.schema.min(b.schema);
    let (a, b) = (&a.clone().compact(), &b.clone().compact());
    let mut threshold = a.zero_threshold.max(b.zero_threshold);
    let sides = [(a, &a.positive, 0), (a, &a.negative, 1), (b, &b.positive, 0), (b, &b.negative, 1)];
    loop {
        let cut = sides.iter().flat_map(|(h, side, _)| side.iter().map(|(index, _)| (h.schema, index))).find(
            |&(schema, index)| {
                exponential_bound(index - 1, schema) < threshold && exponential_bound(index, schema) > threshold
            },
        );
        let Some((schema, index)) = cut else { break };
        threshold = exponential_bound(index, schema);
    }
    let mut zero_count = a.zero_count + b.zero_count;
    let mut buckets = [BTreeMap::new(), BTreeMap::new()];
    for (h, side, which) in sides {
        for (index, count) in side.iter() {
            let upper = exponential_bound(index, h.schema);
            if upper <= threshold {
                zero_count += count;
                continue;
            }
            let around = (-100..100).find(|&i| exponential_bound(i, schema) >= upper).unwrap();
            *buckets[which].entry(around).or_insert(0.0) += count;
        }
    }
    let [positive, negative] = buckets;
    (threshold, zero_count, positive, negative)
}

#[test]
fn a_sum_is_that_of_every_bucket() {
    let mut dice = Dice(1);
    for round in 0..20_000 {
        let (a, b) = (dice.histogram(), dice.histogram());
        let (found, _) = sum(&a, &b);
        let (threshold, zero_count, positive, negative) = slow_sum(&a, &b);
        assert_eq!((found.zero_threshold, found.zero_count), (threshold, zero_count), "{round}: {a} + {b}");
        assert_eq!(found.positive.iter().collect::<BTreeMap<_, _>>(), positive, "{round}: {a} + {b}");
        assert_eq!(found.negative.iter().collect::<BTreeMap<_, _>>(), negative, "{round}: {a} + {b}");
        assert_eq!(found.count, a.count + b.count);
        let (turned, _) = sum(&b, &a);
        assert!(found.same_data(&turned), "{round}: {found} is not {turned}");
        // What was added has grown, and taking it off again leaves the counts.
        assert!(!found.is_reset_since(&a), "{round}: {a} + {b}");
        let mut difference = HistogramSum::of(&found);
        difference.subtract(&b).unwrap();
        let difference = difference.finish().compact();
        assert_eq!(difference.count, a.count);
        let (same_shape, _) =
            sum(&a, &FloatHistogram { zero_threshold: threshold, ..FloatHistogram::empty(found.schema) });
        assert!(
            difference.same_data(&FloatHistogram { sum: difference.sum, ..same_shape }),
            "{round}: {a} + {b} - {b}"
        );
    }
}

#[test]
fn small_terms_survive_large_ones() {
    let of = |count: f64| exponential(0, &[(1, count)], &[]);
    let mut total = HistogramSum::of(&of(1e100));
    total.add(&of(1.0)).unwrap();
    total.add(&of(-1e100)).unwrap();
    let total = total.finish();
    assert_eq!((total.count, total.positive.iter().next()), (1.0, Some((1, 1.0))));
}

#[test]
fn a_mean_survives_overflow() {
    let mut mean = HistogramMean::of(&exponential(0, &[(1, f64::MAX)], &[]));
    mean.push(&exponential(0, &[(1, f64::MAX)], &[])).unwrap();
    mean.push(&exponential(0, &[(1, f64::MAX)], &[])).unwrap();
    assert!((mean.finish().count / f64::MAX - 1.0).abs() < 1e-15);
    let mut mean = HistogramMean::of(&exponential(0, &[(1, 1.0)], &[]));
    mean.push(&exponential(0, &[(1, 3.0), (2, 2.0)], &[])).unwrap();
    assert!(mean.finish().same_data(&exponential(0, &[(1, 2.0), (2, 1.0)], &[])));
}

#[test]
fn custom_bounds_meet_where_both_have_them() {
    let (found, added) =
        sum(&custom(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0]), &custom(&[2.0, 4.0], &[10.0, 20.0, 30.0]));
    assert!(added.is_reconciled);
    assert_eq!(*found.custom_values, [2.0]);
    assert_eq!(found.positive.iter().collect::<Vec<_>>(), [(0, 13.0), (1, 57.0)]);
    let (found, added) = sum(&custom(&[1.0], &[1.0, 2.0]), &custom(&[1.0], &[0.0, 5.0]));
    assert!(!added.is_reconciled);
    assert_eq!(found.positive.iter().collect::<Vec<_>>(), [(0, 1.0), (1, 7.0)]);
    let mut mixed = HistogramSum::of(&custom(&[1.0], &[1.0]));
    assert_eq!(mixed.add(&exponential(0, &[], &[])), Err(MixedBuckets));
}

#[test]
fn hints_that_say_the_opposite_collide() {
    use CounterResetHint::{CounterReset, Gauge, NotCounterReset, Unknown};
    let check = |a, b, expected: CounterResetHint, is_collision: bool| {
        let of = |hint| exponential(0, &[], &[]).with_hint(hint);
        let (found, added) = sum(&of(a), &of(b));
        assert_eq!((found.hint, added.is_collision), (expected, is_collision), "{a:?} {b:?}");
    };
    check(Unknown, Gauge, Gauge, false);
    check(Gauge, CounterReset, Gauge, false);
    check(NotCounterReset, NotCounterReset, NotCounterReset, false);
    check(NotCounterReset, Unknown, Unknown, false);
    check(NotCounterReset, CounterReset, Unknown, true);
}

#[test]
fn what_shrinks_or_becomes_finer_was_reset() {
    let before = exponential(1, &[(1, 2.0), (4, 3.0)], &[(0, 1.0)]);
    let check = |now: FloatHistogram, expected: bool| assert_eq!(now.is_reset_since(&before), expected, "{now}");
    check(before.clone(), false);
    check(exponential(1, &[(1, 2.0), (3, 1.0), (4, 3.0)], &[(0, 1.0)]), false);
    check(exponential(1, &[(1, 3.0), (3, 1.0), (4, 2.0)], &[(0, 1.0)]), true);
    check(exponential(1, &[(1, 2.0), (4, 9.0)], &[]), true);
    check(exponential(0, &[(1, 2.0), (2, 3.0)], &[(0, 1.0)]), false);
    check(exponential(2, &[(1, 2.0), (4, 3.0)], &[(0, 9.0)]), true);
    check(FloatHistogram { hint: CounterResetHint::CounterReset, ..before.clone() }, true);
    check(FloatHistogram { hint: CounterResetHint::NotCounterReset, count: 0.0, ..before.clone() }, false);
    check(
        FloatHistogram { zero_threshold: 2f64.sqrt(), zero_count: 2.0, ..exponential(1, &[(4, 4.0)], &[(0, 1.0)]) },
        true,
    );
    let bounds = custom(&[1.0, 2.0], &[1.0, 2.0, 3.0]);
    assert!(!custom(&[2.0], &[3.0, 3.0]).is_reset_since(&bounds));
    assert!(custom(&[2.0], &[2.0, 5.0]).is_reset_since(&bounds));
}

#[test]
fn scaling_keeps_the_layout_and_a_division_by_zero_does_not() {
    let histogram = exponential(0, &[(1, 2.0), (5, 4.0)], &[]);
    assert!(histogram.scaled(0.5).same_data(&exponential(0, &[(1, 1.0), (5, 2.0)], &[])));
    assert_eq!(histogram.scaled(-1.0).hint, CounterResetHint::Gauge);
    assert_eq!(histogram.scaled(0.0).positive.len(), 2);
    let infinite = histogram.divided(0.0);
    assert!(infinite.positive.is_empty() && infinite.count == f64::INFINITY && infinite.sum.is_nan());
}

#[test]
fn empty_buckets_are_kept_until_they_are_dropped() {
    let histogram = exponential(0, &[(1, 2.0), (2, 0.0), (3, 4.0)], &[(1, 0.0)]);
    let compact = exponential(0, &[(1, 2.0), (3, 4.0)], &[]);
    assert!(!histogram.same_data(&compact) && histogram.clone().compact().same_data(&compact));
    let infinite = histogram.scaled(f64::INFINITY).compact();
    assert_eq!((infinite.positive.len(), infinite.negative.len()), (3, 1));
    assert_eq!(histogram.to_string(), compact.to_string());
    let mut twice = HistogramSum::of(&histogram);
    twice.add(&compact).unwrap();
    assert_eq!(twice.finish().positive.iter().collect::<Vec<_>>(), [(1, 4.0), (2, 0.0), (3, 8.0)]);
    // A wider zero bucket takes away its buckets and all empty ones.
    let mut wider = HistogramSum::of(&histogram);
    wider.add(&FloatHistogram { zero_threshold: 2.0, ..FloatHistogram::empty(0) }).unwrap();
    let wider = wider.finish();
    assert_eq!((wider.zero_count, wider.positive.len(), wider.negative.len()), (2.0, 1, 0));
    // What is added to nothing keeps its sign.
    let negative = exponential(0, &[(1, -0.0)], &[]);
    assert!(HistogramSum::of(&negative).finish().same_data(&negative));
}

#[test]
fn trimming_divides_the_bucket_that_is_cut() {
    let histogram = custom(&[1.0, 2.0, 4.0], &[1.0, 2.0, 4.0, 8.0]);
    let below = histogram.trimmed(3.0, Keep::Below);
    assert_eq!(below.positive.iter().collect::<Vec<_>>(), [(0, 1.0), (1, 2.0), (2, 2.0)]);
    assert_eq!((below.count, below.sum), (5.0, 0.5 + 2.0 * 1.5 + 2.0 * 2.5));
    let above = histogram.trimmed(3.0, Keep::Above);
    assert_eq!(above.positive.iter().collect::<Vec<_>>(), [(2, 2.0), (3, 8.0)]);
    assert!(histogram.trimmed(f64::INFINITY, Keep::Below).same_data(&histogram));
    let exponential = exponential(0, &[(1, 4.0)], &[]);
    let below = exponential.trimmed(2f64.sqrt(), Keep::Below);
    assert!((below.count - 2.0).abs() < 1e-12);
    assert!(exponential.trimmed(f64::NAN, Keep::Below).positive.is_empty());
}

#[test]
fn the_store_takes_what_it_gave() {
    let mut dice = Dice(7);
    for _ in 0..1000 {
        let histogram = dice.histogram();
        let stored = histogram.to_stored();
        assert_eq!(stored.validate(), Ok(()));
        assert_eq!(FloatHistogram::from_stored(&stored, None), histogram);
    }
}
