//! Empty buckets out: programs expose them, and nobody needs them.
//!
//! Here: rewriting spans and counts. Elsewhere: merging buckets (`reduce`), which spans are sound (`validate`).

use super::{Histogram, HistogramCounts, Span, indexes};

impl Histogram {
    /// Leaves out buckets without observations, and spans without buckets. For histograms that
    /// [`Histogram::validate`] accepts.
    pub fn compact(&mut self) {
        match &mut self.counts {
            HistogramCounts::Int { positive, negative, .. } => {
                compact_deltas(&mut self.positive_spans, positive);
                compact_deltas(&mut self.negative_spans, negative);
            }
            HistogramCounts::Float { positive, negative, .. } => {
                compact_counts(&mut self.positive_spans, positive);
                compact_counts(&mut self.negative_spans, negative);
            }
        }
    }
}

fn compact_deltas(spans: &mut Vec<Span>, deltas: &mut Vec<i64>) {
    let (mut kept, mut count, mut last) = (Spans::default(), 0i64, 0i64);
    let mut new_deltas = Vec::with_capacity(deltas.len());
    for (index, delta) in indexes(spans).zip(&*deltas) {
        count = count.wrapping_add(*delta);
        if count != 0 {
            kept.push(index);
            new_deltas.push(count.wrapping_sub(last));
            last = count;
        }
    }
    (*spans, *deltas) = (kept.spans, new_deltas);
}

fn compact_counts(spans: &mut Vec<Span>, counts: &mut Vec<f64>) {
    let mut kept = Spans::default();
    let mut new_counts = Vec::with_capacity(counts.len());
    for (index, count) in indexes(spans).zip(&*counts) {
        if *count != 0.0 {
            kept.push(index);
            new_counts.push(*count);
        }
    }
    (*spans, *counts) = (kept.spans, new_counts);
}

/// Spans of buckets that come one by one, by rising index.
#[derive(Default)]
struct Spans {
    spans: Vec<Span>,
    last: Option<i32>,
}

impl Spans {
    fn push(&mut self, index: i32) {
        let gap = self.last.map(|last| index.wrapping_sub(last).wrapping_sub(1));
        match (gap, self.spans.last_mut()) {
            (Some(0), Some(span)) => span.length += 1,
            (gap, _) => self.spans.push(Span { offset: gap.unwrap_or(index), length: 1 }),
        }
        self.last = Some(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(offset: i32, length: u32) -> Span {
        Span { offset, length }
    }

    /// Index and count.
    type Buckets = Vec<(i32, f64)>;

    fn buckets(h: &Histogram) -> (Buckets, Buckets) {
        (h.positive_buckets().collect(), h.negative_buckets().collect())
    }

    #[test]
    fn empty_buckets_and_spans_go_and_the_others_stay_where_they_are() {
        let counts = HistogramCounts::Int {
            count: 12,
            zero_count: 0,
            positive: vec![0, 2, -2, 0, 3, 0, 1],
            negative: vec![0, 0],
        };
        let mut h = Histogram {
            positive_spans: vec![span(-3, 3), span(0, 0), span(0, 1), span(4, 3)],
            negative_spans: vec![span(0, 2)],
            counts,
            ..Histogram::default()
        };
        h.validate().unwrap();
        let before = buckets(&h).0.into_iter().filter(|(_, count)| *count != 0.0).collect::<Vec<_>>();
        h.compact();
        assert_eq!(buckets(&h), (before, vec![]));
        assert_eq!((h.positive_spans, h.negative_spans), (vec![span(-2, 1), span(6, 3)], vec![]));
    }

    #[test]
    fn fractional_counts_likewise() {
        let counts =
            HistogramCounts::Float { count: 2.5, zero_count: 0.0, positive: vec![0.5, 0.0, 2.0], negative: vec![] };
        let mut h = Histogram { positive_spans: vec![span(7, 3)], counts, ..Histogram::default() };
        h.compact();
        assert_eq!(buckets(&h).0, [(7, 0.5), (9, 2.0)]);
        assert_eq!(h.positive_spans, [span(7, 1), span(1, 1)]);
        let mut none = Histogram { positive_spans: vec![span(0, 0)], ..Histogram::default() };
        none.compact();
        assert_eq!(none, Histogram::default());
    }
}
