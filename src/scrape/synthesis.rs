//! Start timestamps of counters that tell none (`st-synthesis`): they count from when they were first seen.
//!
//! Here: Prometheus' rules for one series. The first sample is not stored, its time is the start, and its value is taken
//! from those that follow; after a reset the counter counts from zero, and began a millisecond before the sample that
//! shows it. Elsewhere: which series are counters (`page::walk`), where the state is kept (`cache`).

use storage::{Histogram, HistogramCounts};

use crate::promql::histogram::{FloatHistogram, HistogramSum};

/// What is known of a series; without anything the next sample is the first.
#[derive(Debug, Default)]
pub(crate) struct Synthesis {
    /// 0 before the first sample.
    start_ms: i64,
    float: Counted<f64>,
    histogram: Counted<Option<FloatHistogram>>,
}

#[derive(Debug, Default)]
struct Counted<T> {
    /// The last value as the target told it.
    previous: T,
    /// What it had counted before the start.
    base: T,
}

/// What becomes of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Synthesized {
    /// It is the first and not stored.
    First,
    /// It is stored, changed, with this start.
    Since(i64),
}

impl Synthesis {
    /// Makes of a float at `t` what is stored.
    pub(crate) fn float(&mut self, value: &mut f64, t: i64) -> Synthesized {
        let Counted { previous, base } = &mut self.float;
        if self.start_ms == 0 {
            (*previous, *base, self.start_ms) = (*value, *value, t);
            return Synthesized::First;
        }
        if *value < *previous {
            (*base, self.start_ms) = (0.0, t - 1);
        }
        *previous = *value;
        *value -= *base;
        Synthesized::Since(self.start_ms)
    }

    /// The same of a native histogram.
    pub(crate) fn histogram(&mut self, value: &mut Histogram, t: i64) -> Synthesized {
        let Counted { previous, base } = &mut self.histogram;
        let now = FloatHistogram::from_stored(value, None);
        if self.start_ms == 0 {
            (*base, *previous, self.start_ms) = (Some(now.clone()), Some(now), t);
            return Synthesized::First;
        }
        if previous.as_ref().is_some_and(|previous| now.is_reset_since(previous)) {
            (*base, self.start_ms) = (None, t - 1);
        }
        if let Some(base) = base {
            let mut rest = HistogramSum::of(&now);
            // Buckets of two families cannot be subtracted; that is a reset, and was found above.
            if rest.subtract(base).is_ok() {
                let hint = value.counter_reset_hint;
                let stored = rest.finish().to_stored();
                *value = if value.is_float() { stored } else { with_whole_counts(stored) };
                value.counter_reset_hint = hint;
                value.compact();
            }
        }
        *previous = Some(now);
        Synthesized::Since(self.start_ms)
    }
}

/// The same histogram with its fractional counts, which are whole numbers, as such.
fn with_whole_counts(histogram: Histogram) -> Histogram {
    let HistogramCounts::Float { count, zero_count, positive, negative } = &histogram.counts else { return histogram };
    let deltas = |counts: &[f64]| {
        let before = std::iter::once(0).chain(counts.iter().map(|count| *count as i64));
        counts.iter().zip(before).map(|(count, before)| (*count as i64).wrapping_sub(before)).collect()
    };
    let counts = HistogramCounts::Int {
        count: *count as u64,
        zero_count: *zero_count as u64,
        positive: deltas(positive),
        negative: deltas(negative),
    };
    Histogram { counts, ..histogram }
}

#[cfg(test)]
mod tests {
    use storage::Span;

    use super::*;

    #[test]
    fn floats_count_from_the_first_and_anew_after_a_reset() {
        let mut series = Synthesis::default();
        let mut step = |t: i64, told: f64| {
            let mut value = told;
            let made = series.float(&mut value, t);
            (made, value)
        };
        assert_eq!(step(1_000, 10.0), (Synthesized::First, 10.0));
        assert_eq!(step(2_000, 12.0), (Synthesized::Since(1_000), 2.0));
        assert_eq!(step(3_000, 12.0), (Synthesized::Since(1_000), 2.0));
        assert_eq!(step(4_000, 5.0), (Synthesized::Since(3_999), 5.0));
        assert_eq!(step(5_000, 6.0), (Synthesized::Since(3_999), 6.0));
        assert_eq!(step(6_000, 1.0), (Synthesized::Since(5_999), 1.0));
    }

    #[test]
    fn histograms_likewise_and_whole_ones_stay_whole() {
        let histogram = |counts: [i64; 2]| {
            let positive = vec![counts[0], counts[1] - counts[0]];
            let count = counts.iter().sum::<i64>().cast_unsigned();
            let counts = HistogramCounts::Int { count, zero_count: 0, positive, negative: vec![] };
            let positive_spans = vec![Span { offset: 1, length: 2 }];
            Histogram { counts, positive_spans, sum: count as f64, ..Histogram::default() }
        };
        let mut series = Synthesis::default();
        let mut step = |t: i64, counts: [i64; 2]| {
            let mut value = histogram(counts);
            let made = series.histogram(&mut value, t);
            value.validate().unwrap();
            assert!(!value.is_float());
            (made, value.sum, value.positive_buckets().collect::<Vec<_>>())
        };
        assert_eq!(step(1_000, [2, 1]), (Synthesized::First, 3.0, vec![(1, 2.0), (2, 1.0)]));
        assert_eq!(step(2_000, [2, 4]), (Synthesized::Since(1_000), 3.0, vec![(2, 3.0)]));
        assert_eq!(step(3_000, [1, 1]), (Synthesized::Since(2_999), 2.0, vec![(1, 1.0), (2, 1.0)]));
        assert_eq!(step(4_000, [1, 2]), (Synthesized::Since(2_999), 3.0, vec![(1, 1.0), (2, 2.0)]));
    }
}
