//! Resets of counters: whether a histogram can have grown from the one before it.

use storage::CounterResetHint;

use super::sum::{coarser, inside, zero_count_within};
use super::{Buckets, FloatHistogram};

impl FloatHistogram {
    /// Whether the counter was reset since `previous`: what the hint says, or any count that is smaller now, or a layout
    /// that a running counter does not turn to (it may only become coarser). The sum does not matter.
    pub(crate) fn is_reset_since(&self, previous: &FloatHistogram) -> bool {
        match self.hint {
            CounterResetHint::CounterReset => return true,
            CounterResetHint::NotCounterReset => return false,
            // Gauges have no resets, but rate() of one is not refused, so it is treated as a counter.
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
        if self.count < previous.count {
            return true;
        }
        if self.is_custom() {
            if !previous.is_custom() {
                return true;
            }
            if *self.custom_values != *previous.custom_values {
                return self.is_smaller_at_shared_bound(previous);
            }
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        if !self.is_custom() {
            let (zero_count, widened) = zero_count_within(previous, self.zero_threshold);
            // The new zero bucket may not begin amid observations of before.
            if widened != self.zero_threshold || self.zero_count < zero_count {
                return true;
            }
        }
        let threshold = self.zero_threshold;
        let is_smaller = |own: &Buckets, before: &Buckets| {
            // What is in the new zero bucket has been compared.
            let (own_first, first) = (self.inside_of(threshold, own), previous.inside_of(threshold, before));
            let (indexes, counts) = (&before.indexes[first..], &before.counts[first..]);
            let own = (&own.indexes[own_first..], &own.counts[own_first..]);
            if self.schema == previous.schema {
                return has_smaller_bucket(own, indexes, counts);
            }
            let (indexes, counts) = reduced(indexes, counts, previous.schema.abs_diff(self.schema));
            has_smaller_bucket(own, &indexes, &counts)
        };
        is_smaller(&self.positive, &previous.positive) || is_smaller(&self.negative, &previous.negative)
    }

    /// How many of the first buckets lie within `threshold` of zero.
    fn inside_of(&self, threshold: f64, buckets: &Buckets) -> usize {
        if self.is_custom() || threshold == 0.0 { 0 } else { inside(&buckets.indexes, self.schema, threshold) }
    }

    /// Of custom bounds that differ only those that both have can be compared.
    fn is_smaller_at_shared_bound(&self, previous: &FloatHistogram) -> bool {
        let (mut own, mut before) = (self.positive.iter().peekable(), previous.positive.iter().peekable());
        let mut bounds_before = previous.custom_values.iter().copied().chain([f64::INFINITY]).peekable();
        for bound in self.custom_values.iter().copied().chain([f64::INFINITY]) {
            while bounds_before.peek().is_some_and(|&b| b < bound) {
                bounds_before.next();
            }
            if bounds_before.peek() != Some(&bound) {
                continue;
            }
            let (mut count, mut count_before) = (0.0, 0.0);
            while let Some((_, c)) = own.next_if(|(index, _)| self.bound(*index) <= bound) {
                count += c;
            }
            while let Some((_, c)) = before.next_if(|(index, _)| previous.bound(*index) <= bound) {
                count_before += c;
            }
            if count < count_before {
                return true;
            }
        }
        false
    }
}

/// Whether a bucket of before was fuller, or is not there any more.
fn has_smaller_bucket(own: (&[i32], &[f64]), before: &[i32], counts: &[f64]) -> bool {
    let mut place = 0;
    before.iter().zip(counts).any(|(index, &count)| {
        while own.0.get(place).is_some_and(|own| own < index) {
            place += 1;
        }
        if own.0.get(place) == Some(index) { own.1[place] < count } else { count != 0.0 }
    })
}

/// Buckets of a schema that is coarser by `by` steps.
fn reduced(indexes: &[i32], counts: &[f64], by: u32) -> (Vec<i32>, Vec<f64>) {
    let (mut coarse, mut sums): (Vec<i32>, Vec<f64>) = (Vec::new(), Vec::new());
    for (&index, &count) in indexes.iter().zip(counts) {
        let index = coarser(index, by);
        match sums.last_mut() {
            Some(last) if coarse.last() == Some(&index) => *last += count,
            _ => {
                coarse.push(index);
                sums.push(count);
            }
        }
    }
    (coarse, sums)
}
