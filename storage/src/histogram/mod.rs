//! Native histograms: one sample that is a whole distribution.
//!
//! Here: [`Histogram`] in both kinds (whole and fractional counts) with Prometheus' fields, and what reading gives.
//! Elsewhere: which ones are sound (`validate`), coarser buckets (`reduce`), fewer (`compact`), their bytes (`codec`, `chunk`); arithmetic
//! and quantiles (the server's `promql`).
//!
//! Invariant: what was stored is read back bit by bit: counts, sum, the order and emptiness of spans, and the hint.

pub(crate) mod blobs;
pub(crate) mod chunk;
pub(crate) mod codec;
mod compact;
pub(crate) mod head;
mod reduce;
mod validate;

pub use reduce::ReduceError;
pub use validate::{HistogramError, Side};

use crate::{is_stale_nan, stale_nan};

/// Finest schema that is stored; a finer one is reduced to it by whoever takes it in ([`Histogram::reduce_to`]).
pub const SCHEMA_MAX: i32 = 8;
/// Coarsest schema.
pub const SCHEMA_MIN: i32 = -4;
/// Buckets whose bounds are in [`Histogram::custom_values`].
pub const SCHEMA_CUSTOM: i32 = -53;
/// Most buckets of one side of a histogram, and most custom bounds. Instrumentation libraries stop at 160; at the finest
/// schema this still spans 256 powers of two.
pub const HISTOGRAM_BUCKETS_MAX: usize = 65_536;

/// What the sender knows about a reset of the counters since the sample before (at the sender, which need not be the
/// one before it here).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CounterResetHint {
    /// Nothing: the reader compares the two.
    #[default]
    Unknown,
    /// There was one.
    CounterReset,
    /// There was none.
    NotCounterReset,
    /// A gauge: resets mean nothing.
    Gauge,
}

/// A run of consecutive buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Gap after the span before; of the first span the index of its first bucket.
    pub offset: i32,
    /// How many buckets.
    pub length: u32,
}

/// The counts, in one of the two kinds.
#[derive(Debug, Clone)]
pub enum HistogramCounts {
    /// Whole counts, as instrumented programs expose them.
    Int {
        /// All observations.
        count: u64,
        /// Those within the zero bucket.
        zero_count: u64,
        /// Of each positive bucket, as the difference to the bucket before (to zero for the first).
        positive: Vec<i64>,
        /// The same for negative buckets, away from zero.
        negative: Vec<i64>,
    },
    /// Fractional counts, as rules and rates make them.
    Float {
        /// All observations.
        count: f64,
        /// Those within the zero bucket.
        zero_count: f64,
        /// Of each positive bucket, absolute.
        positive: Vec<f64>,
        /// The same for negative buckets, away from zero.
        negative: Vec<f64>,
    },
}

/// A native histogram, as Prometheus has it.
///
/// Equality is that of bits (two NaN with the same bits are equal, 0 and -0 are not);
/// [`Histogram::is_same_sample`] is the one that decides whether a sample is a repetition.
#[derive(Debug, Clone)]
pub struct Histogram {
    /// About counter resets.
    pub counter_reset_hint: CounterResetHint,
    /// [`SCHEMA_MIN`]`..=`[`SCHEMA_MAX`]: each power of two is cut into `2^schema` buckets; or [`SCHEMA_CUSTOM`].
    pub schema: i32,
    /// Half the width of the zero bucket.
    pub zero_threshold: f64,
    /// Sum of all observations; the staleness marker is a histogram with that NaN here.
    pub sum: f64,
    /// Where the positive buckets are.
    pub positive_spans: Vec<Span>,
    /// Where the negative buckets are.
    pub negative_spans: Vec<Span>,
    /// How full they are.
    pub counts: HistogramCounts,
    /// Upper bounds of custom buckets, rising, without the last `+Inf`; empty for other schemas.
    pub custom_values: Vec<f64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram {
            counter_reset_hint: CounterResetHint::Unknown,
            schema: 0,
            zero_threshold: 0.0,
            sum: 0.0,
            positive_spans: Vec::new(),
            negative_spans: Vec::new(),
            counts: HistogramCounts::Int { count: 0, zero_count: 0, positive: Vec::new(), negative: Vec::new() },
            custom_values: Vec::new(),
        }
    }
}

impl Histogram {
    /// The staleness marker among histograms.
    pub fn stale() -> Self {
        Histogram { sum: stale_nan(), ..Histogram::default() }
    }

    /// One of this kind and layout without observations, as it is when its counters begin.
    pub fn zero(&self) -> Self {
        let counts = match self.counts {
            HistogramCounts::Int { .. } => Histogram::default().counts,
            HistogramCounts::Float { .. } => {
                HistogramCounts::Float { count: 0.0, zero_count: 0.0, positive: Vec::new(), negative: Vec::new() }
            }
        };
        Histogram {
            counter_reset_hint: CounterResetHint::CounterReset,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            custom_values: self.custom_values.clone(),
            counts,
            ..Histogram::default()
        }
    }

    /// Whether this is the staleness marker.
    pub fn is_stale(&self) -> bool {
        is_stale_nan(self.sum)
    }

    /// Whether counts may be fractional.
    pub fn is_float(&self) -> bool {
        matches!(self.counts, HistogramCounts::Float { .. })
    }

    /// All observations.
    pub fn count(&self) -> f64 {
        match &self.counts {
            HistogramCounts::Int { count, .. } => *count as f64,
            HistogramCounts::Float { count, .. } => *count,
        }
    }

    /// Observations in the zero bucket.
    pub fn zero_count(&self) -> f64 {
        match &self.counts {
            HistogramCounts::Int { zero_count, .. } => *zero_count as f64,
            HistogramCounts::Float { zero_count, .. } => *zero_count,
        }
    }

    /// Index and count of each positive bucket, from the lowest index.
    pub fn positive_buckets(&self) -> impl Iterator<Item = (i32, f64)> + '_ {
        let counts = match &self.counts {
            HistogramCounts::Int { positive, .. } => BucketCounts::Int(positive, 0),
            HistogramCounts::Float { positive, .. } => BucketCounts::Float(positive),
        };
        indexes(&self.positive_spans).zip(counts)
    }

    /// Index and count of each negative bucket, from the lowest index (the nearest to zero).
    pub fn negative_buckets(&self) -> impl Iterator<Item = (i32, f64)> + '_ {
        let counts = match &self.counts {
            HistogramCounts::Int { negative, .. } => BucketCounts::Int(negative, 0),
            HistogramCounts::Float { negative, .. } => BucketCounts::Float(negative),
        };
        indexes(&self.negative_spans).zip(counts)
    }

    /// How many buckets there are, for limits.
    pub fn bucket_count(&self) -> usize {
        match &self.counts {
            HistogramCounts::Int { positive, negative, .. } => positive.len() + negative.len(),
            HistogramCounts::Float { positive, negative, .. } => positive.len() + negative.len(),
        }
    }

    /// Bytes it takes in memory, for limits.
    pub fn heap_bytes(&self) -> usize {
        size_of::<Self>()
            + 8 * (self.bucket_count()
                + self.positive_spans.len()
                + self.negative_spans.len()
                + self.custom_values.len())
    }

    /// Whether the same sample was sent twice: the hint, and empty spans, do not tell two samples apart. As Prometheus
    /// compares before it says "duplicate sample for timestamp".
    pub fn is_same_sample(&self, other: &Self) -> bool {
        self.schema == other.schema
            && self.zero_threshold == other.zero_threshold
            && self.sum.to_bits() == other.sum.to_bits()
            && self.counts == other.counts
            && same_bits(&self.custom_values, &other.custom_values)
            && indexes(&self.positive_spans).eq(indexes(&other.positive_spans))
            && indexes(&self.negative_spans).eq(indexes(&other.negative_spans))
    }

    /// Whether the two have the same buckets, so that one can be written as the difference to the other.
    fn has_layout_of(&self, other: &Self) -> bool {
        self.schema == other.schema
            && self.zero_threshold.to_bits() == other.zero_threshold.to_bits()
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && same_bits(&self.custom_values, &other.custom_values)
    }
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        self.counter_reset_hint == other.counter_reset_hint
            && self.has_layout_of(other)
            && self.sum.to_bits() == other.sum.to_bits()
            && self.counts == other.counts
    }
}

impl PartialEq for HistogramCounts {
    fn eq(&self, other: &Self) -> bool {
        use HistogramCounts::{Float, Int};
        match (self, other) {
            (
                Int { count, zero_count, positive, negative },
                Int { count: count2, zero_count: zero_count2, positive: positive2, negative: negative2 },
            ) => count == count2 && zero_count == zero_count2 && positive == positive2 && negative == negative2,
            (
                Float { count, zero_count, positive, negative },
                Float { count: count2, zero_count: zero_count2, positive: positive2, negative: negative2 },
            ) => {
                count.to_bits() == count2.to_bits()
                    && zero_count.to_bits() == zero_count2.to_bits()
                    && same_bits(positive, positive2)
                    && same_bits(negative, negative2)
            }
            _ => false,
        }
    }
}

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// The bucket indexes of spans. Lazy: foreign spans may claim billions of buckets.
fn indexes(spans: &[Span]) -> impl Iterator<Item = i32> + '_ {
    let mut next = 0i32;
    spans.iter().flat_map(move |span| {
        let first = next.wrapping_add(span.offset);
        next = first.wrapping_add(span.length.cast_signed());
        (0..span.length).map(move |i| first.wrapping_add(i.cast_signed()))
    })
}

/// Absolute counts of buckets.
enum BucketCounts<'a> {
    Int(&'a [i64], i64),
    Float(&'a [f64]),
}

impl Iterator for BucketCounts<'_> {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        match self {
            BucketCounts::Int(deltas, count) => {
                let (delta, rest) = deltas.split_first()?;
                *count = count.wrapping_add(*delta);
                *deltas = rest;
                Some(*count as f64)
            }
            BucketCounts::Float(counts) => {
                let (count, rest) = counts.split_first()?;
                *counts = rest;
                Some(*count)
            }
        }
    }
}

/// Decoded histograms of one series in two columns of equal length, `t` strictly rising.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HistogramColumns {
    /// Milliseconds since the epoch.
    pub t: Vec<i64>,
    /// The histograms.
    pub h: Vec<Histogram>,
}

impl HistogramColumns {
    /// Number of histograms.
    pub fn len(&self) -> usize {
        self.t.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.t.is_empty()
    }

    /// Empties both columns.
    pub fn clear(&mut self) {
        self.t.clear();
        self.h.clear();
    }

    /// Adds one at the end.
    pub fn push(&mut self, t: i64, h: Histogram) {
        self.t.push(t);
        self.h.push(h);
    }

    /// Of those from place `from` on keeps the ones whose time `is_kept` accepts.
    pub(crate) fn retain_from(&mut self, from: usize, is_kept: impl Fn(i64) -> bool) {
        let (times, histograms) = (self.t.split_off(from), self.h.split_off(from));
        for (t, h) in times.into_iter().zip(histograms).filter(|(t, _)| is_kept(*t)) {
            self.push(t, h);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
