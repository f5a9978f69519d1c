//! Sums of histograms.
//!
//! Here: [`HistogramSum`], which adds and takes off, and [`HistogramMean`]. Elsewhere: the same of floats
//! (`functions::sum`).
//!
//! What is added need not be cut alike. Exponential histograms meet at the wider zero bucket (made wider still where it
//! would cut through a bucket with observations) and at the coarser schema; custom ones at the bounds that both have.
//! One kind cannot be added to the other.

use std::cmp::Ordering;
use std::sync::Arc;

use storage::CounterResetHint;

use super::bounds::exponential_bound;
use super::{Buckets, FloatHistogram};
use crate::promql::functions::sum::add;

/// A number and what rounding has taken from it.
#[derive(Debug, Clone, Copy, Default)]
struct Kahan(f64, f64);

impl Kahan {
    fn add(&mut self, v: f64) {
        *self = self.plus(v);
    }

    fn plus(self, v: f64) -> Kahan {
        let (sum, compensation) = add(v, self.0, self.1);
        Kahan(sum, compensation)
    }

    fn total(self) -> f64 {
        self.0 + self.1
    }

    fn map(&mut self, f: &dyn Fn(f64) -> f64) {
        (self.0, self.1) = (f(self.0), f(self.1));
    }
}

/// What rounding has taken before anything was added: added to a number it leaves that as it is, the sign of a zero, too.
const NOTHING: f64 = -0.0;

/// One has exponential buckets and the other custom ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MixedBuckets;

/// What is to be told of an addition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Added {
    /// One says that its counter was reset, the other that it was not.
    pub(crate) is_collision: bool,
    /// Custom bounds differed.
    pub(crate) is_reconciled: bool,
}

/// Histograms added up.
#[derive(Debug, Clone)]
pub(crate) struct HistogramSum {
    /// The hint, the layout and the bounds; counts are below.
    shape: FloatHistogram,
    zero: Kahan,
    count: Kahan,
    sum: Kahan,
    positive: Terms,
    negative: Terms,
}

impl HistogramSum {
    pub(crate) fn of(first: &FloatHistogram) -> Self {
        let shape = FloatHistogram {
            positive: Buckets::default(),
            negative: Buckets::default(),
            custom_values: first.custom_values.clone(),
            ..*first
        };
        HistogramSum {
            shape,
            zero: Kahan(first.zero_count, NOTHING),
            count: Kahan(first.count, NOTHING),
            sum: Kahan(first.sum, NOTHING),
            positive: Terms::of(&first.positive),
            negative: Terms::of(&first.negative),
        }
    }

    pub(crate) fn add(&mut self, other: &FloatHistogram) -> Result<Added, MixedBuckets> {
        self.add_times(other, 1.0)
    }

    pub(crate) fn subtract(&mut self, other: &FloatHistogram) -> Result<Added, MixedBuckets> {
        self.add_times(other, -1.0)
    }

    /// Empty buckets stay.
    pub(crate) fn finish(self) -> FloatHistogram {
        FloatHistogram {
            zero_count: self.zero.total(),
            count: self.count.total(),
            sum: self.sum.total(),
            positive: self.positive.finish(),
            negative: self.negative.finish(),
            ..self.shape
        }
    }

    fn add_times(&mut self, other: &FloatHistogram, sign: f64) -> Result<Added, MixedBuckets> {
        if self.shape.is_custom() != other.is_custom() {
            return Err(MixedBuckets);
        }
        let is_collision = self.settle_hint(other.hint);
        self.count.add(sign * other.count);
        self.sum.add(sign * other.sum);
        let mut is_reconciled = false;
        if self.shape.is_custom() {
            is_reconciled = *self.shape.custom_values != *other.custom_values;
            if is_reconciled {
                self.add_reconciled(other, sign);
            } else {
                self.positive.add(&other.positive.indexes, &other.positive.counts, sign);
            }
        } else {
            let zero = self.settle_zero_bucket(other);
            self.zero.add(sign * zero.0);
            self.zero.add(sign * zero.1);
            self.coarsen(other.schema);
            let (schema, threshold) = (self.shape.schema, self.shape.zero_threshold);
            self.positive.add_outside(&other.positive, other.schema, schema, threshold, sign);
            self.negative.add_outside(&other.negative, other.schema, schema, threshold, sign);
        }
        Ok(Added { is_collision, is_reconciled })
    }

    /// A gauge makes a gauge, otherwise what both say stays; true if they say the opposite.
    fn settle_hint(&mut self, other: CounterResetHint) -> bool {
        use CounterResetHint::{Gauge, Unknown};
        let own = self.shape.hint;
        if own == other || own == Gauge {
            return false;
        }
        self.shape.hint = if other == Gauge { Gauge } else { Unknown };
        other != Gauge && own != Unknown && other != Unknown
    }

    /// Takes both to the same zero bucket; what then is in that of `other`.
    fn settle_zero_bucket(&mut self, other: &FloatHistogram) -> Kahan {
        let mut zero = Kahan(other.zero_count, 0.0);
        let mut threshold = other.zero_threshold;
        loop {
            match self.shape.zero_threshold.partial_cmp(&threshold) {
                Some(Ordering::Greater) => {
                    let (positive, negative) = (View::of(&other.positive), View::of(&other.negative));
                    let counted = Kahan(other.zero_count, 0.0);
                    (zero, threshold) = widened(counted, positive, negative, other.schema, self.shape.zero_threshold);
                }
                Some(Ordering::Less) => {
                    let (positive, negative) = (self.positive.view(), self.negative.view());
                    let found = widened(self.zero, positive, negative, self.shape.schema, threshold);
                    (self.zero, self.shape.zero_threshold) = found;
                    self.positive.drop_inside(self.shape.schema, self.shape.zero_threshold);
                    self.negative.drop_inside(self.shape.schema, self.shape.zero_threshold);
                }
                // NaN is no threshold: nothing to reconcile.
                Some(Ordering::Equal) | None => return zero,
            }
        }
    }

    /// Joins buckets to those of a coarser schema; exponential ones only.
    pub(crate) fn coarsen(&mut self, schema: i32) {
        if schema < self.shape.schema && !self.shape.is_custom() {
            let by = self.shape.schema.abs_diff(schema);
            self.positive = self.positive.reduced(by);
            self.negative = self.negative.reduced(by);
            self.shape.schema = schema;
        }
    }

    fn add_reconciled(&mut self, other: &FloatHistogram, sign: f64) {
        let own = self.shape.custom_values.clone();
        let theirs = &other.custom_values;
        let is_shared = |a: &f64| theirs.get(theirs.partition_point(|b| b < a)) == Some(a);
        let shared: Arc<[f64]> = own.iter().copied().filter(is_shared).collect();
        self.positive = self.positive.mapped(|index| bucket_of_bound(&own, &shared, index));
        let mapped = Terms::of(&other.positive).mapped(|index| bucket_of_bound(theirs, &shared, index));
        self.positive.add(&mapped.indexes, &mapped.sums, sign);
        self.positive.add(&mapped.indexes, &mapped.compensations, sign);
        self.positive.compact();
        self.shape.custom_values = shared;
    }

    fn map(&mut self, f: &dyn Fn(f64) -> f64) {
        for number in [&mut self.zero, &mut self.count, &mut self.sum] {
            number.map(f);
        }
        self.positive.map(f);
        self.negative.map(f);
    }

    fn has_overflow(&self) -> bool {
        let is_infinite = |number: &Kahan| number.0.is_infinite();
        let buckets = self.positive.sums.iter().chain(&self.negative.sums);
        [self.zero, self.count, self.sum].iter().any(is_infinite) || buckets.into_iter().any(|v| v.is_infinite())
    }
}

/// Where the bucket of `bounds` at `index` belongs among fewer bounds: the first that ends no earlier.
fn bucket_of_bound(bounds: &[f64], fewer: &[f64], index: i32) -> i32 {
    let bound = usize::try_from(index).ok().and_then(|index| bounds.get(index));
    let place = bound.map_or(fewer.len(), |bound| fewer.partition_point(|b| b < bound));
    i32::try_from(place).unwrap_or(i32::MAX)
}

/// The bucket of a schema that is coarser by `by` steps.
pub(super) fn coarser(index: i32, by: u32) -> i32 {
    (index.wrapping_sub(1) >> by.min(31)).wrapping_add(1)
}

/// What is in the zero bucket once it reaches to `threshold`, and how far it has to reach so that it cuts no bucket with
/// observations.
fn widened(zero: Kahan, positive: View<'_>, negative: View<'_>, schema: i32, threshold: f64) -> (Kahan, f64) {
    let mut threshold = threshold;
    'wider: loop {
        let mut count = zero;
        for (side, is_last) in [(positive, false), (negative, true)] {
            for (place, &index) in side.indexes.iter().enumerate() {
                if exponential_bound(index.wrapping_sub(1), schema) >= threshold {
                    break;
                }
                count = count.plus(side.sums[place]).plus(side.compensations.get(place).copied().unwrap_or(0.0));
                let bound = exponential_bound(index, schema);
                if bound <= threshold {
                    continue;
                }
                if side.sums[place] != 0.0 {
                    threshold = bound;
                    if is_last {
                        // The positive side has to be counted again.
                        continue 'wider;
                    }
                }
                break;
            }
        }
        return (count, threshold);
    }
}

/// What is in the zero bucket of `histogram` once it reaches to `threshold`, and how far it then has to reach.
pub(super) fn zero_count_within(histogram: &FloatHistogram, threshold: f64) -> (f64, f64) {
    if threshold == histogram.zero_threshold {
        return (histogram.zero_count, threshold);
    }
    let (positive, negative) = (View::of(&histogram.positive), View::of(&histogram.negative));
    let (count, threshold) = widened(Kahan(histogram.zero_count, 0.0), positive, negative, histogram.schema, threshold);
    (count.0, threshold)
}

/// How many of the first buckets lie inside the zero bucket.
pub(super) fn inside(indexes: &[i32], schema: i32, threshold: f64) -> usize {
    indexes.iter().take_while(|&&index| exponential_bound(index, schema) <= threshold).count()
}

/// Buckets of one side, to look at.
#[derive(Debug, Clone, Copy)]
struct View<'b> {
    indexes: &'b [i32],
    sums: &'b [f64],
    /// None at all if nothing was rounded yet.
    compensations: &'b [f64],
}

impl<'b> View<'b> {
    fn of(buckets: &'b Buckets) -> Self {
        View { indexes: &buckets.indexes, sums: &buckets.counts, compensations: &[] }
    }
}

/// Buckets of one side, added up.
#[derive(Debug, Clone)]
struct Terms {
    indexes: Arc<[i32]>,
    sums: Vec<f64>,
    compensations: Vec<f64>,
}

impl Terms {
    fn of(buckets: &Buckets) -> Self {
        let compensations = vec![NOTHING; buckets.len()];
        Terms { indexes: buckets.indexes.clone(), sums: buckets.counts.clone(), compensations }
    }

    fn view(&self) -> View<'_> {
        View { indexes: &self.indexes, sums: &self.sums, compensations: &self.compensations }
    }

    fn finish(self) -> Buckets {
        let counts = self.sums.iter().zip(&self.compensations).map(|(sum, c)| sum + c).collect();
        Buckets { indexes: self.indexes, counts }
    }

    fn map(&mut self, f: &dyn Fn(f64) -> f64) {
        self.sums.iter_mut().chain(&mut self.compensations).for_each(|v| *v = f(*v));
    }

    /// Adds buckets of a schema that is as fine or finer, without those inside the zero bucket.
    fn add_outside(&mut self, other: &Buckets, from: i32, schema: i32, threshold: f64, sign: f64) {
        let first = inside(&other.indexes, from, threshold);
        if from > schema {
            // What the zero bucket has taken must not come back in a coarser bucket.
            let mut outside = Terms::of(other);
            outside.drop_first(first);
            let reduced = outside.reduced(from.abs_diff(schema));
            self.add(&reduced.indexes, &reduced.sums, sign);
            self.add(&reduced.indexes, &reduced.compensations, sign);
        } else if first == 0 && Arc::ptr_eq(&self.indexes, &other.indexes) {
            self.add_alike(&other.counts, sign);
        } else {
            self.add(&other.indexes[first..], &other.counts[first..], sign);
        }
    }

    fn add(&mut self, indexes: &[i32], counts: &[f64], sign: f64) {
        if *self.indexes == *indexes {
            self.add_alike(counts, sign);
            return;
        }
        self.make_room(indexes);
        let mut place = 0;
        for (index, count) in indexes.iter().zip(counts) {
            while self.indexes.get(place).is_some_and(|own| own < index) {
                place += 1;
            }
            self.add_at(place, sign * count);
        }
    }

    fn add_alike(&mut self, counts: &[f64], sign: f64) {
        for ((sum, compensation), count) in self.sums.iter_mut().zip(&mut self.compensations).zip(counts) {
            (*sum, *compensation) = add(sign * count, *sum, *compensation);
        }
    }

    fn add_at(&mut self, place: usize, v: f64) {
        if let (Some(sum), Some(compensation)) = (self.sums.get_mut(place), self.compensations.get_mut(place)) {
            (*sum, *compensation) = add(v, *sum, *compensation);
        }
    }

    /// Empty buckets where `indexes` has some that are not here.
    fn make_room(&mut self, indexes: &[i32]) {
        if indexes.iter().all(|index| self.indexes.binary_search(index).is_ok()) {
            return;
        }
        let mut all: Vec<i32> = self.indexes.iter().chain(indexes).copied().collect();
        all.sort_unstable();
        all.dedup();
        let (mut sums, mut compensations) = (vec![0.0; all.len()], vec![0.0; all.len()]);
        for (place, index) in self.indexes.iter().enumerate() {
            if let Ok(new_place) = all.binary_search(index) {
                (sums[new_place], compensations[new_place]) = (self.sums[place], self.compensations[place]);
            }
        }
        *self = Terms { indexes: all.into(), sums, compensations };
    }

    fn drop_inside(&mut self, schema: i32, threshold: f64) {
        // A bucket counts as inside once it begins there: that it ends there, too, has been seen to.
        let begins_inside = |index: &i32| exponential_bound(index.wrapping_sub(1), schema) < threshold;
        self.drop_first(self.indexes.iter().take_while(|index| begins_inside(index)).count());
        self.compact();
    }

    /// Without its empty buckets.
    fn compact(&mut self) {
        let is_empty = |at: &usize| self.sums[*at] == 0.0 && self.compensations[*at] == 0.0;
        let kept: Vec<usize> = (0..self.sums.len()).filter(|at| !is_empty(at)).collect();
        if kept.len() < self.sums.len() {
            *self = Terms {
                indexes: kept.iter().map(|&at| self.indexes[at]).collect(),
                sums: kept.iter().map(|&at| self.sums[at]).collect(),
                compensations: kept.iter().map(|&at| self.compensations[at]).collect(),
            };
        }
    }

    fn drop_first(&mut self, count: usize) {
        if count > 0 {
            self.indexes = self.indexes[count..].into();
            self.sums.drain(..count);
            self.compensations.drain(..count);
        }
    }

    fn reduced(&self, by: u32) -> Terms {
        self.mapped(|index| coarser(index, by))
    }

    /// Every bucket at another index; the order stays, neighbours may be joined.
    fn mapped(&self, new_index: impl Fn(i32) -> i32) -> Terms {
        let (mut indexes, mut sums, mut compensations) = (Vec::new(), Vec::new(), Vec::new());
        for ((&index, &sum), &compensation) in self.indexes.iter().zip(&self.sums).zip(&self.compensations) {
            let index = new_index(index);
            match (sums.last_mut(), compensations.last_mut()) {
                (Some(last), Some(last_compensation)) if indexes.last() == Some(&index) => {
                    let joined = Kahan(*last, *last_compensation).plus(sum).plus(compensation);
                    (*last, *last_compensation) = (joined.0, joined.1);
                }
                _ => {
                    indexes.push(index);
                    sums.push(sum);
                    compensations.push(compensation);
                }
            }
        }
        Terms { indexes: indexes.into(), sums, compensations }
    }
}

/// A mean that survives sums beyond the largest float: from there on it goes by increments.
#[derive(Debug, Clone)]
pub(crate) struct HistogramMean {
    sum: HistogramSum,
    count: f64,
    is_incremental: bool,
    /// While this is finite no sum can overflow, so that none has to be tried on a copy.
    magnitude: f64,
}

impl HistogramMean {
    pub(crate) fn of(first: &FloatHistogram) -> Self {
        let magnitude = first.magnitude();
        HistogramMean { sum: HistogramSum::of(first), count: 1.0, is_incremental: false, magnitude }
    }

    pub(crate) fn push(&mut self, histogram: &FloatHistogram) -> Result<Added, MixedBuckets> {
        self.count += 1.0;
        if !self.is_incremental {
            self.magnitude += histogram.magnitude();
            if self.magnitude.is_finite() {
                return self.sum.add(histogram);
            }
            let mut tried = self.sum.clone();
            let added = tried.add(histogram)?;
            if !tried.has_overflow() {
                self.sum = tried;
                return Ok(added);
            }
            self.is_incremental = true;
            let before = self.count - 1.0;
            self.sum.map(&|v| v / before);
        }
        let weight = (self.count - 1.0) / self.count;
        self.sum.map(&|v| v * weight);
        self.sum.add(&histogram.divided(self.count))
    }

    pub(crate) fn finish(mut self) -> FloatHistogram {
        if !self.is_incremental {
            let count = self.count;
            self.sum.map(&|v| v / count);
        }
        self.sum.finish()
    }
}
