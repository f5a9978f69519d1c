//! Coarser buckets: a histogram of a schema finer than those that are stored becomes one that is.
//!
//! Here: merging neighbouring buckets. Elsewhere: who asks for it (the server, before it appends).

use super::{Histogram, HistogramCounts, HistogramError, SCHEMA_CUSTOM, Side, Span};

/// Finest schema that senders may use; those above [`super::SCHEMA_MAX`] are reserved and reduced.
const SCHEMA_MAX_RESERVED: i32 = 52;

/// Why a histogram cannot be made coarser.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ReduceError {
    /// Only exponential schemas have coarser ones.
    #[error("cannot reduce resolution of a histogram from schema {from} to schema {to}")]
    Schema {
        /// As given.
        from: i32,
        /// As wanted.
        to: i32,
    },
    /// Spans and buckets do not fit.
    #[error(transparent)]
    Invalid(#[from] HistogramError),
}

impl Histogram {
    /// Merges buckets until the schema is `to`. Nothing is lost but resolution. Unchanged after an error.
    pub fn reduce_to(&mut self, to: i32) -> Result<(), ReduceError> {
        let from = self.schema;
        if from == to {
            return Ok(());
        }
        if from == SCHEMA_CUSTOM || to > from || from > SCHEMA_MAX_RESERVED {
            return Err(ReduceError::Schema { from, to });
        }
        let by = from.abs_diff(to);
        let (positive_spans, negative_spans) = match &mut self.counts {
            HistogramCounts::Int { positive, negative, .. } => {
                let above = merge_deltas(&self.positive_spans, positive, by, Side::Positive)?;
                let below = merge_deltas(&self.negative_spans, negative, by, Side::Negative)?;
                (*positive, *negative) = (above.1, below.1);
                (above.0, below.0)
            }
            HistogramCounts::Float { positive, negative, .. } => {
                let above = merge(&self.positive_spans, positive, by, Side::Positive, |a, b| a + b)?;
                let below = merge(&self.negative_spans, negative, by, Side::Negative, |a, b| a + b)?;
                (*positive, *negative) = (above.1, below.1);
                (above.0, below.0)
            }
        };
        (self.positive_spans, self.negative_spans) = (positive_spans, negative_spans);
        self.schema = to;
        Ok(())
    }
}

fn merge_deltas(spans: &[Span], deltas: &[i64], by: u32, side: Side) -> Result<(Vec<Span>, Vec<i64>), HistogramError> {
    let running = deltas.iter().scan(0i64, |count, delta| {
        *count = count.wrapping_add(*delta);
        Some(*count)
    });
    let counts: Vec<i64> = running.collect();
    let (spans, mut counts) = merge(spans, &counts, by, side, i64::wrapping_add)?;
    let mut last = 0;
    for count in &mut counts {
        let delta = count.wrapping_sub(last);
        last = *count;
        *count = delta;
    }
    Ok((spans, counts))
}

fn merge<T: Copy>(
    spans: &[Span],
    counts: &[T],
    by: u32,
    side: Side,
    add: impl Fn(T, T) -> T,
) -> Result<(Vec<Span>, Vec<T>), HistogramError> {
    check_lengths(spans, counts.len(), side)?;
    let (mut new_spans, mut new_counts): (Vec<Span>, Vec<T>) = (Vec::new(), Vec::new());
    let mut last = None;
    for (index, &count) in super::indexes(spans).zip(counts) {
        let index = coarser(index, by);
        match (last, new_spans.last_mut(), new_counts.last_mut()) {
            (Some(at), _, Some(sum)) if at == index => *sum = add(*sum, count),
            (Some(at), Some(span), _) if index.wrapping_sub(at) == 1 => {
                span.length += 1;
                new_counts.push(count);
            }
            (at, ..) => {
                let offset = at.map_or(index, |at| index.wrapping_sub(at).wrapping_sub(1));
                new_spans.push(Span { offset, length: 1 });
                new_counts.push(count);
            }
        }
        last = Some(index);
    }
    Ok((new_spans, new_counts))
}

/// The index of the bucket that holds bucket `index` when each is `2^by` times as wide: a bucket's upper bound is
/// inclusive, hence the ones.
fn coarser(index: i32, by: u32) -> i32 {
    ((i64::from(index) - 1) >> by.min(63)) as i32 + 1
}

fn check_lengths(spans: &[Span], buckets: usize, side: Side) -> Result<(), HistogramError> {
    for (at, span) in spans.iter().enumerate().skip(1) {
        if span.offset < 0 {
            return Err(HistogramError::SpanNegativeOffset { side, number: at + 1, offset: span.offset });
        }
    }
    let needed: u64 = spans.iter().map(|s| u64::from(s.length)).sum();
    if needed != buckets as u64 {
        return Err(HistogramError::SpansBucketsMismatch { side, spans: needed, buckets });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_added_up() {
        let spans = vec![Span { offset: -3, length: 4 }, Span { offset: 3, length: 2 }];
        let counts =
            HistogramCounts::Int { count: 21, zero_count: 0, positive: vec![1, 1, 1, 1, 1, 1], negative: vec![] };
        let mut h = Histogram { schema: 9, positive_spans: spans, counts, ..Histogram::default() };
        let before: f64 = h.positive_buckets().map(|(_, c)| c).sum();
        h.reduce_to(8).unwrap();
        // Indexes -3 -2 | -1 0 | 4 5 become -1 -1 | 0 0 | 2 3.
        let found: Vec<(i32, f64)> = h.positive_buckets().collect();
        assert_eq!(found, [(-1, 3.0), (0, 7.0), (2, 5.0), (3, 6.0)]);
        assert_eq!(h.positive_spans, [Span { offset: -1, length: 2 }, Span { offset: 1, length: 2 }]);
        assert_eq!((h.schema, found.iter().map(|(_, c)| c).sum::<f64>()), (8, before));
        assert_eq!(h.validate(), Ok(()));
    }

    #[test]
    fn refuses_what_has_no_coarser_form() {
        let mut h = Histogram { schema: SCHEMA_CUSTOM, ..Histogram::default() };
        assert_eq!(h.reduce_to(8), Err(ReduceError::Schema { from: -53, to: 8 }));
        let spans = vec![Span { offset: 0, length: 2 }];
        let mut h = Histogram { schema: 10, positive_spans: spans, ..Histogram::default() };
        assert!(h.reduce_to(8).is_err());
        assert_eq!(h.schema, 10);
    }
}
