//! Native histograms as values of a query.
//!
//! Here: [`FloatHistogram`], what every value of an expression is that is no float; scaling, comparing.
//! Elsewhere: where buckets end (`bounds`), adding (`sum`), resets of counters (`reset`), cutting off (`trim`), the text
//! of one (`text`); quantiles and the like (`functions::native`); what lies in the store (`storage::Histogram`).
//!
//! Design. Stored histograms become this type when a series is read, whole counts or fractional alike. A side keeps the
//! indexes of its buckets apart from their counts: the indexes are shared by histograms that follow one another in a
//! series, so that adding two of the same layout compares a pointer and then runs over two slices. Histograms travel in
//! an `Arc`: passing one through an expression copies nothing, and arithmetic makes a new one. Sums go through
//! [`HistogramSum`], which is compensated (Kahan's way, as floats are) and reconciles layouts on the way: the wider zero
//! bucket, the coarser schema, the custom bounds that both have.
//!
//! Invariant: a side's indexes rise. Empty buckets are there as they were stored, until an operation after which
//! Prometheus drops them, too, calls [`FloatHistogram::compact`]: they show, as NaN times nothing is NaN, and histograms
//! are only equal if they have the same buckets. Answers leave them out.

mod bounds;
mod reset;
mod sum;
mod text;
mod trim;

use std::sync::Arc;

pub use bounds::Bucket;
pub(crate) use sum::{HistogramMean, HistogramSum, MixedBuckets};
pub(crate) use text::go_float;
pub(crate) use trim::Keep;

use storage::{CounterResetHint, Histogram, HistogramCounts, SCHEMA_CUSTOM, Span};

/// A native histogram with fractional counts.
#[derive(Debug, Clone)]
pub struct FloatHistogram {
    /// What is known of a reset since the sample before.
    pub hint: CounterResetHint,
    /// Each power of two is cut into `2^schema` buckets; or [`SCHEMA_CUSTOM`].
    pub schema: i32,
    /// Half the width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// Buckets above zero; with custom bounds all of them.
    pub positive: Buckets,
    /// Buckets below zero, away from it.
    pub negative: Buckets,
    /// Upper bounds of custom buckets, rising, without the last `+Inf`.
    pub custom_values: Arc<[f64]>,
}

/// The buckets of one side.
#[derive(Debug, Clone)]
pub struct Buckets {
    /// Rising.
    indexes: Arc<[i32]>,
    /// As many.
    counts: Vec<f64>,
}

impl Default for Buckets {
    fn default() -> Self {
        Buckets { indexes: Arc::from([]), counts: Vec::new() }
    }
}

impl FromIterator<(i32, f64)> for Buckets {
    /// Of rising indexes.
    fn from_iter<I: IntoIterator<Item = (i32, f64)>>(pairs: I) -> Self {
        let (indexes, counts): (Vec<i32>, Vec<f64>) = pairs.into_iter().unzip();
        Buckets { indexes: indexes.into(), counts }
    }
}

impl Buckets {
    /// How many, empty ones among them.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// True if there is none, not even an empty one.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Index and count, from the lowest index.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (i32, f64)> + '_ {
        self.indexes.iter().copied().zip(self.counts.iter().copied())
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Buckets {
        Buckets { indexes: self.indexes.clone(), counts: self.counts.iter().map(|&count| f(count)).collect() }
    }

    fn compact(self) -> Buckets {
        if self.counts.contains(&0.0) {
            return self.iter().filter(|(_, count)| *count != 0.0).collect();
        }
        self
    }

    fn same_bits(&self, other: &Buckets) -> bool {
        (Arc::ptr_eq(&self.indexes, &other.indexes) || self.indexes == other.indexes)
            && self.counts.iter().zip(&other.counts).all(|(a, b)| a.to_bits() == b.to_bits())
    }

    fn share_with(&mut self, other: &Buckets) {
        if self.indexes == other.indexes {
            self.indexes = other.indexes.clone();
        }
    }
}

impl FloatHistogram {
    /// One without observations.
    pub fn empty(schema: i32) -> Self {
        FloatHistogram {
            hint: CounterResetHint::Unknown,
            schema,
            zero_threshold: 0.0,
            zero_count: 0.0,
            count: 0.0,
            sum: 0.0,
            positive: Buckets::default(),
            negative: Buckets::default(),
            custom_values: Arc::from([]),
        }
    }

    /// A stored histogram as a value; what it has in common with the one before it in its series is shared.
    pub fn from_stored(stored: &Histogram, before: Option<&FloatHistogram>) -> Self {
        let mut histogram = FloatHistogram {
            hint: stored.counter_reset_hint,
            schema: stored.schema,
            zero_threshold: stored.zero_threshold,
            zero_count: stored.zero_count(),
            count: stored.count(),
            sum: stored.sum,
            positive: stored.positive_buckets().collect(),
            negative: stored.negative_buckets().collect(),
            custom_values: match before {
                Some(before) if *before.custom_values == *stored.custom_values => before.custom_values.clone(),
                _ => stored.custom_values.clone().into(),
            },
        };
        if let Some(before) = before {
            histogram.positive.share_with(&before.positive);
            histogram.negative.share_with(&before.negative);
        }
        histogram
    }

    /// As the store takes it.
    pub fn to_stored(&self) -> Histogram {
        Histogram {
            counter_reset_hint: self.hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            sum: self.sum,
            positive_spans: spans(&self.positive.indexes),
            negative_spans: spans(&self.negative.indexes),
            counts: HistogramCounts::Float {
                count: self.count,
                zero_count: self.zero_count,
                positive: self.positive.counts.clone(),
                negative: self.negative.counts.clone(),
            },
            custom_values: self.custom_values.to_vec(),
        }
    }

    /// Whether its buckets have bounds of their own.
    pub fn is_custom(&self) -> bool {
        self.schema == SCHEMA_CUSTOM
    }

    /// What holding it costs of a query's budget, in samples of 16 bytes.
    pub(crate) fn cost(&self) -> usize {
        (size_of::<Self>() + 12 * (self.positive.len() + self.negative.len())) / 16
    }

    /// Every count and the sum times `factor`. A negative factor makes a gauge.
    pub(crate) fn scaled(&self, factor: f64) -> Self {
        let mut histogram = self.mapped(|v| v * factor);
        if factor < 0.0 {
            histogram.hint = CounterResetHint::Gauge;
        }
        histogram
    }

    /// Every count and the sum divided. What a division by zero leaves has no buckets.
    pub(crate) fn divided(&self, divisor: f64) -> Self {
        if divisor == 0.0 {
            let without = FloatHistogram { positive: Buckets::default(), negative: Buckets::default(), ..self.clone() };
            return without.mapped(|v| v / divisor);
        }
        let mut histogram = self.mapped(|v| v / divisor);
        if divisor < 0.0 {
            histogram.hint = CounterResetHint::Gauge;
        }
        histogram
    }

    fn mapped(&self, f: impl Fn(f64) -> f64) -> Self {
        FloatHistogram {
            zero_count: f(self.zero_count),
            count: f(self.count),
            sum: f(self.sum),
            positive: self.positive.map(&f),
            negative: self.negative.map(&f),
            custom_values: self.custom_values.clone(),
            ..*self
        }
    }

    /// Without its empty buckets.
    pub(crate) fn compact(self) -> Self {
        FloatHistogram { positive: self.positive.compact(), negative: self.negative.compact(), ..self }
    }

    /// The same with another hint.
    pub(crate) fn with_hint(self, hint: CounterResetHint) -> Self {
        FloatHistogram { hint, ..self }
    }

    /// Whether both are the same data, bit for bit: the hint is not data, which buckets there are is.
    pub(crate) fn same_data(&self, other: &Self) -> bool {
        self.schema == other.schema
            && self.count.to_bits() == other.count.to_bits()
            && self.sum.to_bits() == other.sum.to_bits()
            && self.zero_threshold == other.zero_threshold
            && self.zero_count.to_bits() == other.zero_count.to_bits()
            && (!self.is_custom() || *self.custom_values == *other.custom_values)
            && self.positive.same_bits(&other.positive)
            && self.negative.same_bits(&other.negative)
    }

    /// An upper bound of what any count, or the sum, can come to by joining buckets.
    fn magnitude(&self) -> f64 {
        let buckets = self.positive.counts.iter().chain(&self.negative.counts);
        buckets.fold(self.count.abs() + self.sum.abs() + self.zero_count.abs(), |sum, count| sum + count.abs())
    }
}

impl PartialEq for FloatHistogram {
    fn eq(&self, other: &Self) -> bool {
        self.hint == other.hint && self.same_data(other)
    }
}

/// Runs of consecutive indexes.
fn spans(indexes: &[i32]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0i32;
    for &index in indexes {
        match spans.last_mut() {
            Some(span) if index == next => span.length += 1,
            _ => spans.push(Span { offset: index.wrapping_sub(next), length: 1 }),
        }
        next = index.wrapping_add(1);
    }
    spans
}

#[cfg(test)]
pub(crate) mod tests;
