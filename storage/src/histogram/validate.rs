//! Which histograms are sound.
//!
//! Here: Prometheus' rules, in its order and with its words (`model/histogram`, 3.14), and one limit of ours.
//! Elsewhere: what happens to one that is not (`append` refuses it, the server counts it).

use super::{HISTOGRAM_BUCKETS_MAX, Histogram, HistogramCounts, SCHEMA_CUSTOM, SCHEMA_MAX, SCHEMA_MIN, Span};

/// Which buckets are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Above zero.
    Positive,
    /// Below zero.
    Negative,
    /// Those with bounds of their own.
    Custom,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Side::Positive => "positive side",
            Side::Negative => "negative side",
            Side::Custom => "custom buckets",
        })
    }
}

/// What is wrong with a histogram. All but [`HistogramError::TooManyBuckets`] are Prometheus' rules.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum HistogramError {
    /// Whole counts: more in the buckets than in all, which even NaN observations cannot explain.
    #[error(
        "{buckets} observations found in buckets, but the Count field is {count}: histogram's observation count should be at least the number of observations found in the buckets"
    )]
    CountNotBigEnough {
        /// In the buckets.
        buckets: u64,
        /// In all.
        count: u64,
    },
    /// Whole counts: the buckets do not add up.
    #[error(
        "{buckets} observations found in buckets, but the Count field is {count}: histogram's observation count should equal the number of observations found in the buckets (in absence of NaN)"
    )]
    CountMismatch {
        /// In the buckets.
        buckets: u64,
        /// In all.
        count: u64,
    },
    /// Fractional counts: below zero.
    #[error("observation count is {0}: histogram's observation count is negative")]
    NegativeCount(f64),
    /// A bucket below zero; its number counts from one.
    #[error(
        "{side}: bucket number {number} has observation count of {count}: histogram has a bucket whose observation count is negative"
    )]
    NegativeBucketCount {
        /// Where.
        side: Side,
        /// Which.
        number: usize,
        /// As given.
        count: f64,
    },
    /// The zero bucket below zero.
    #[error("zero bucket has observation count of {0}: histogram has a bucket whose observation count is negative")]
    NegativeZeroCount(f64),
    /// A span that begins before the end of the one before it.
    #[error("{side}: span number {number} with offset {offset}: histogram has a span whose offset is negative")]
    SpanNegativeOffset {
        /// Where.
        side: Side,
        /// Which, from one.
        number: usize,
        /// As given.
        offset: i32,
    },
    /// Spans and buckets do not fit.
    #[error(
        "{side}: spans need {spans} buckets, have {buckets} buckets: histogram spans specify different number of buckets than provided"
    )]
    SpansBucketsMismatch {
        /// Where.
        side: Side,
        /// The spans' lengths.
        spans: u64,
        /// Buckets given.
        buckets: usize,
    },
    /// Fewer bounds than buckets.
    #[error(
        "custom buckets: only {bounds} custom bounds defined which is insufficient to cover total span length of {spans}: histogram custom bounds are too few"
    )]
    CustomBucketsMismatch {
        /// Bounds given.
        bounds: usize,
        /// Lengths and gaps of the spans.
        spans: u64,
    },
    /// Bounds that do not rise.
    #[error(
        "custom buckets: previous bound is {previous:.6} and current is {current:.6}: histogram custom bounds must be in strictly increasing order"
    )]
    CustomBucketsNotRising {
        /// The one before.
        previous: f64,
        /// The one that is not above it.
        current: f64,
    },
    /// The last bound is always there and must not be given.
    #[error("custom buckets: last +Inf bound must not be explicitly defined: histogram custom bounds must be finite")]
    CustomBucketsInfinite,
    /// A bound that is not a number.
    #[error("custom buckets: histogram custom bounds must not be NaN")]
    CustomBucketsNan,
    /// Custom buckets have no zero bucket.
    #[error("custom buckets: must have zero count of 0")]
    CustomBucketsZeroCount,
    /// Custom buckets have no zero bucket.
    #[error("custom buckets: must have zero threshold of 0")]
    CustomBucketsZeroThreshold,
    /// Custom buckets have one side.
    #[error("custom buckets: must not have negative spans")]
    CustomBucketsNegativeSpans,
    /// Custom buckets have one side.
    #[error("custom buckets: must not have negative buckets")]
    CustomBucketsNegativeBuckets,
    /// Bounds where the schema gives them.
    #[error("histogram with exponential schema must not have custom bounds")]
    ExponentialWithBounds,
    /// A schema that nobody has defined or that is not stored.
    #[error(
        "histogram has an invalid schema, which must be between {SCHEMA_MIN} and {SCHEMA_MAX} for exponential buckets, or {SCHEMA_CUSTOM} for custom buckets, got schema {0}"
    )]
    InvalidSchema(i32),
    /// More than one sample may take.
    #[error("{side}: the histogram has {buckets} buckets or spans, more than the limit of {HISTOGRAM_BUCKETS_MAX}")]
    TooManyBuckets {
        /// Where.
        side: Side,
        /// As given.
        buckets: usize,
    },
}

impl Histogram {
    /// Checks spans against buckets and counts against zero and each other, as Prometheus does before it stores one.
    pub fn validate(&self) -> Result<(), HistogramError> {
        self.check_limits()?;
        match &self.counts {
            HistogramCounts::Int { count, zero_count, positive, negative } => {
                self.check_layout(positive.len(), negative.len(), *zero_count == 0)?;
                let mut in_buckets = u128::from(*zero_count);
                if self.schema != SCHEMA_CUSTOM {
                    in_buckets += add_up(negative, Side::Negative)?;
                    self.check_no_bounds()?;
                }
                in_buckets += add_up(positive, Side::Positive)?;
                self.check_count(in_buckets, *count)
            }
            HistogramCounts::Float { count, zero_count, positive, negative } => {
                self.check_layout(positive.len(), negative.len(), *zero_count == 0.0)?;
                if self.schema != SCHEMA_CUSTOM {
                    check_counts(negative, Side::Negative)?;
                    if *zero_count < 0.0 {
                        return Err(HistogramError::NegativeZeroCount(*zero_count));
                    }
                    self.check_no_bounds()?;
                }
                if *count < 0.0 {
                    return Err(HistogramError::NegativeCount(*count));
                }
                check_counts(positive, Side::Positive)
            }
        }
    }

    fn check_limits(&self) -> Result<(), HistogramError> {
        let (positive, negative) = match &self.counts {
            HistogramCounts::Int { positive, negative, .. } => (positive.len(), negative.len()),
            HistogramCounts::Float { positive, negative, .. } => (positive.len(), negative.len()),
        };
        for (side, buckets) in [
            (Side::Positive, positive.max(self.positive_spans.len())),
            (Side::Negative, negative.max(self.negative_spans.len())),
            (Side::Custom, self.custom_values.len()),
        ] {
            if buckets > HISTOGRAM_BUCKETS_MAX {
                return Err(HistogramError::TooManyBuckets { side, buckets });
            }
        }
        Ok(())
    }

    fn check_layout(&self, positive: usize, negative: usize, is_zero_empty: bool) -> Result<(), HistogramError> {
        match self.schema {
            SCHEMA_CUSTOM => {
                check_bounds(&self.custom_values)?;
                check_custom_spans(&self.positive_spans, positive, self.custom_values.len())?;
                if !is_zero_empty {
                    return Err(HistogramError::CustomBucketsZeroCount);
                }
                if self.zero_threshold != 0.0 {
                    return Err(HistogramError::CustomBucketsZeroThreshold);
                }
                if !self.negative_spans.is_empty() {
                    return Err(HistogramError::CustomBucketsNegativeSpans);
                }
                if negative > 0 {
                    return Err(HistogramError::CustomBucketsNegativeBuckets);
                }
                Ok(())
            }
            SCHEMA_MIN..=SCHEMA_MAX => {
                check_spans(&self.positive_spans, positive, Side::Positive)?;
                check_spans(&self.negative_spans, negative, Side::Negative)
            }
            other => Err(HistogramError::InvalidSchema(other)),
        }
    }

    fn check_no_bounds(&self) -> Result<(), HistogramError> {
        if self.custom_values.is_empty() { Ok(()) } else { Err(HistogramError::ExponentialWithBounds) }
    }

    /// NaN observations are in no bucket, but make the sum NaN.
    fn check_count(&self, in_buckets: u128, count: u64) -> Result<(), HistogramError> {
        // Prometheus lets the sum of counts wrap around; such a histogram says nothing, so it is refused here.
        let buckets = u64::try_from(in_buckets).unwrap_or(u64::MAX);
        match (self.sum.is_nan(), in_buckets.cmp(&u128::from(count))) {
            (true, std::cmp::Ordering::Greater) => Err(HistogramError::CountNotBigEnough { buckets, count }),
            (false, order) if order.is_ne() => Err(HistogramError::CountMismatch { buckets, count }),
            _ => Ok(()),
        }
    }
}

fn check_spans(spans: &[Span], buckets: usize, side: Side) -> Result<(), HistogramError> {
    let mut needed = 0u64;
    for (at, span) in spans.iter().enumerate() {
        if at > 0 && span.offset < 0 {
            return Err(HistogramError::SpanNegativeOffset { side, number: at + 1, offset: span.offset });
        }
        needed += u64::from(span.length);
    }
    if needed != buckets as u64 {
        return Err(HistogramError::SpansBucketsMismatch { side, spans: needed, buckets });
    }
    Ok(())
}

fn check_custom_spans(spans: &[Span], buckets: usize, bounds: usize) -> Result<(), HistogramError> {
    let side = Side::Custom;
    if let Some(first) = spans.first().filter(|span| span.offset < 0) {
        return Err(HistogramError::SpanNegativeOffset { side, number: 1, offset: first.offset });
    }
    check_spans(spans, buckets, side)?;
    let reach: u64 = spans.iter().map(|s| u64::from(s.length) + u64::from(s.offset.unsigned_abs())).sum();
    if (bounds as u64 + 1) < reach {
        return Err(HistogramError::CustomBucketsMismatch { bounds, spans: reach });
    }
    Ok(())
}

fn check_bounds(bounds: &[f64]) -> Result<(), HistogramError> {
    let mut previous: Option<f64> = None;
    for &current in bounds {
        if current.is_nan() {
            return Err(HistogramError::CustomBucketsNan);
        }
        match previous {
            Some(previous) if current <= previous => {
                return Err(HistogramError::CustomBucketsNotRising { previous, current });
            }
            _ => previous = Some(current),
        }
    }
    if previous == Some(f64::INFINITY) { Err(HistogramError::CustomBucketsInfinite) } else { Ok(()) }
}

fn add_up(deltas: &[i64], side: Side) -> Result<u128, HistogramError> {
    let (mut sum, mut count) = (0u128, 0i64);
    for (at, delta) in deltas.iter().enumerate() {
        count = count.wrapping_add(*delta);
        let bucket = u64::try_from(count).map_err(|_| HistogramError::NegativeBucketCount {
            side,
            number: at + 1,
            count: count as f64,
        })?;
        sum += u128::from(bucket);
    }
    Ok(sum)
}

fn check_counts(counts: &[f64], side: Side) -> Result<(), HistogramError> {
    match counts.iter().position(|count| *count < 0.0) {
        Some(at) => Err(HistogramError::NegativeBucketCount { side, number: at + 1, count: counts[at] }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(offset: i32, length: u32) -> Span {
        Span { offset, length }
    }

    fn int(count: u64, positive_spans: Vec<Span>, positive: Vec<i64>) -> Histogram {
        let counts = HistogramCounts::Int { count, zero_count: 0, positive, negative: Vec::new() };
        Histogram { positive_spans, counts, sum: 1.0, ..Histogram::default() }
    }

    fn custom(bounds: &[f64], spans: Vec<Span>) -> Histogram {
        let buckets: u32 = spans.iter().map(|s| s.length).sum();
        let positive = vec![1.0; buckets as usize];
        let counts = HistogramCounts::Float { count: 9.0, zero_count: 0.0, positive, negative: Vec::new() };
        Histogram {
            schema: SCHEMA_CUSTOM,
            positive_spans: spans,
            counts,
            custom_values: bounds.to_vec(),
            ..Histogram::default()
        }
    }

    /// `expected` is the message, empty for a sound histogram.
    #[track_caller]
    fn check(histogram: Histogram, expected: &str) {
        assert_eq!(histogram.validate().map_or_else(|e| e.to_string(), |()| String::new()), expected);
    }

    #[test]
    fn accepts_what_prometheus_accepts() {
        check(Histogram::default(), "");
        check(Histogram::stale(), "");
        check(int(7, vec![span(-3, 2), span(0, 0), span(4, 1)], vec![2, 1, -1]), "");
        check(Histogram { sum: f64::NAN, ..int(9, vec![span(0, 1)], vec![8]) }, "");
        check(custom(&[-1.0, 0.5, 3.0], vec![span(1, 1), span(1, 1)]), "");
        check(custom(&[], vec![span(0, 1)]), "");
    }

    #[test]
    fn refuses_counts_that_do_not_add_up() {
        check(
            int(8, vec![span(0, 2)], vec![2, 1]),
            "5 observations found in buckets, but the Count field is 8: histogram's observation count should equal the number of observations found in the buckets (in absence of NaN)",
        );
        check(
            Histogram { sum: f64::NAN, ..int(4, vec![span(0, 2)], vec![2, 1]) },
            "5 observations found in buckets, but the Count field is 4: histogram's observation count should be at least the number of observations found in the buckets",
        );
        check(
            int(8, vec![span(0, 2)], vec![2, -3]),
            "positive side: bucket number 2 has observation count of -1: histogram has a bucket whose observation count is negative",
        );
        let wraps = vec![i64::MAX, 0, 0];
        assert!(int(i64::MAX as u64 - 2, vec![span(0, 3)], wraps).validate().is_err());
    }

    #[test]
    fn refuses_spans_that_do_not_fit() {
        check(
            int(0, vec![span(0, u32::MAX), span(0, u32::MAX)], vec![]),
            "positive side: spans need 8589934590 buckets, have 0 buckets: histogram spans specify different number of buckets than provided",
        );
        check(
            int(2, vec![span(0, 1), span(-1, 1)], vec![1, 0]),
            "positive side: span number 2 with offset -1: histogram has a span whose offset is negative",
        );
        check(
            Histogram { schema: 9, ..Histogram::default() },
            "histogram has an invalid schema, which must be between -4 and 8 for exponential buckets, or -53 for custom buckets, got schema 9",
        );
        check(
            Histogram { custom_values: vec![1.0], ..Histogram::default() },
            "histogram with exponential schema must not have custom bounds",
        );
        let many = vec![0; HISTOGRAM_BUCKETS_MAX + 1];
        check(
            int(0, vec![span(0, many.len() as u32)], many),
            "positive side: the histogram has 65537 buckets or spans, more than the limit of 65536",
        );
    }

    #[test]
    fn refuses_custom_bounds_that_do_not_rise() {
        check(
            custom(&[1.0, 1.0], vec![]),
            "custom buckets: previous bound is 1.000000 and current is 1.000000: histogram custom bounds must be in strictly increasing order",
        );
        check(
            custom(&[1.0, f64::INFINITY], vec![]),
            "custom buckets: last +Inf bound must not be explicitly defined: histogram custom bounds must be finite",
        );
        check(custom(&[f64::NAN], vec![]), "custom buckets: histogram custom bounds must not be NaN");
        check(
            custom(&[1.0], vec![span(1, 2)]),
            "custom buckets: only 1 custom bounds defined which is insufficient to cover total span length of 3: histogram custom bounds are too few",
        );
        check(
            Histogram { zero_threshold: 1.0, ..custom(&[1.0], vec![]) },
            "custom buckets: must have zero threshold of 0",
        );
        check(
            Histogram { negative_spans: vec![span(0, 0)], ..custom(&[1.0], vec![]) },
            "custom buckets: must not have negative spans",
        );
    }

    #[test]
    fn refuses_fractional_counts_below_zero() {
        let counts = |count: f64, zero_count: f64| HistogramCounts::Float {
            count,
            zero_count,
            positive: vec![],
            negative: vec![],
        };
        check(
            Histogram { counts: counts(-1.0, 0.0), ..Histogram::default() },
            "observation count is -1: histogram's observation count is negative",
        );
        check(
            Histogram { counts: counts(0.0, -0.5), ..Histogram::default() },
            "zero bucket has observation count of -0.5: histogram has a bucket whose observation count is negative",
        );
        check(Histogram { counts: counts(f64::NAN, f64::NAN), ..Histogram::default() }, "");
    }
}
