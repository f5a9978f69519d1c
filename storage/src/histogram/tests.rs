//! Round trips of records and chunks, and what damage does to them.

use proptest::prelude::*;

use super::chunk::{CHUNK_HISTOGRAMS, OpenChunk, decode_into};
use super::*;
use crate::bytes::Reader;

/// A sound histogram of either kind; `seed` chooses everything.
pub(crate) fn any_histogram() -> impl Strategy<Value = Histogram> {
    prop_oneof![
        8 => (any_layout(), any_float(), 0u64..1 << 40).prop_flat_map(|(layout, sum, zero)| any_int(layout, sum, zero)),
        4 => (any_layout(), any_float()).prop_flat_map(|(layout, sum)| any_fractional(layout, sum)),
        1 => Just(Histogram::stale()),
        2 => any_custom(),
    ]
}

fn any_float() -> impl Strategy<Value = f64> {
    prop_oneof![
        (0u32..1000).prop_map(f64::from),
        any::<u64>().prop_map(f64::from_bits),
        Just(crate::stale_nan()),
        -1e6..1e6f64
    ]
}

fn any_spans() -> impl Strategy<Value = Vec<Span>> {
    (-40i32..40, proptest::collection::vec((0i32..6, 0u32..7), 0..5)).prop_map(|(first, rest)| {
        let spans = rest.into_iter().enumerate();
        spans.map(|(at, (gap, length))| Span { offset: if at == 0 { first } else { gap }, length }).collect()
    })
}

fn any_layout() -> impl Strategy<Value = Histogram> {
    let hint = prop_oneof![
        Just(CounterResetHint::Unknown),
        Just(CounterResetHint::CounterReset),
        Just(CounterResetHint::NotCounterReset),
        Just(CounterResetHint::Gauge)
    ];
    let threshold = prop_oneof![Just(0.0), Just(f64::powi(2.0, -128)), 0.0..1.0f64];
    (hint, SCHEMA_MIN..=SCHEMA_MAX, threshold, any_spans(), any_spans()).prop_map(
        |(counter_reset_hint, schema, zero_threshold, positive_spans, negative_spans)| Histogram {
            counter_reset_hint,
            schema,
            zero_threshold,
            positive_spans,
            negative_spans,
            ..Histogram::default()
        },
    )
}

fn length(spans: &[Span]) -> usize {
    spans.iter().map(|s| s.length as usize).sum()
}

fn to_deltas(counts: &[u64]) -> Vec<i64> {
    let before = std::iter::once(0).chain(counts.iter().map(|c| *c as i64));
    counts.iter().zip(before).map(|(c, b)| *c as i64 - b).collect()
}

fn any_int(layout: Histogram, sum: f64, zero_count: u64) -> impl Strategy<Value = Histogram> {
    let bucket = prop_oneof![Just(0u64), 0u64..50, 0u64..1 << 40];
    let counts = |spans: &[Span]| proptest::collection::vec(bucket.clone(), length(spans));
    (counts(&layout.positive_spans), counts(&layout.negative_spans)).prop_map(move |(above, below)| {
        let count = zero_count + above.iter().sum::<u64>() + below.iter().sum::<u64>();
        let counts =
            HistogramCounts::Int { count, zero_count, positive: to_deltas(&above), negative: to_deltas(&below) };
        Histogram { counts, sum, ..layout.clone() }
    })
}

fn any_fractional(layout: Histogram, sum: f64) -> impl Strategy<Value = Histogram> {
    let bucket = prop_oneof![Just(0.0), 0.0..1e9f64, Just(f64::NAN), Just(1.0)];
    let counts = |spans: &[Span]| proptest::collection::vec(bucket.clone(), length(spans));
    (bucket.clone(), counts(&layout.positive_spans), counts(&layout.negative_spans)).prop_map(
        move |(count, positive, negative)| {
            let counts = HistogramCounts::Float { count, zero_count: count, positive, negative };
            Histogram { counts, sum, ..layout.clone() }
        },
    )
}

fn any_custom() -> impl Strategy<Value = Histogram> {
    (proptest::collection::btree_set(-5000i32..5000, 1..20), any_float()).prop_map(|(bounds, sum)| {
        // Tens of thousandths: some are whole thousandths, some are not.
        let custom_values: Vec<f64> = bounds.into_iter().map(|b| f64::from(b) / 10_000.0 + 0.0).collect();
        let positive = vec![1i64; 1];
        let counts = HistogramCounts::Int { count: 1, zero_count: 0, positive, negative: Vec::new() };
        let positive_spans = vec![Span { offset: custom_values.len() as i32, length: 1 }];
        Histogram { schema: SCHEMA_CUSTOM, sum, positive_spans, counts, custom_values, ..Histogram::default() }
    })
}

/// The next sample of the same series: the same layout, counts that grew.
fn grown(histogram: &Histogram, by: u64) -> Histogram {
    let mut next = histogram.clone();
    next.sum += by as f64 * 0.1;
    match &mut next.counts {
        HistogramCounts::Int { count, positive, .. } => {
            if let [first, rest @ ..] = positive.as_mut_slice() {
                *first += by as i64;
                if let Some(second) = rest.first_mut() {
                    *second -= by as i64;
                }
                *count += by;
            }
        }
        HistogramCounts::Float { count, .. } => *count += 0.5,
    }
    next
}

fn chunk_of(samples: &[(i64, Histogram)]) -> OpenChunk {
    let mut open = OpenChunk::default();
    for (t, h) in samples {
        assert!(open.push(*t, h));
    }
    open
}

fn decoded(open: &OpenChunk, min_t: i64, max_t: i64) -> HistogramColumns {
    let mut out = HistogramColumns::default();
    decode_into(open.bytes(), open.count(), min_t, max_t, &mut out).unwrap();
    out
}

proptest! {
    #[test]
    fn generated_histograms_are_sound(h in any_histogram()) {
        prop_assert_eq!(h.validate(), Ok(()));
        prop_assert!(h.is_same_sample(&h.clone()));
    }

    #[test]
    fn chunks_give_back_every_bit(
        start in any::<i32>(),
        samples in proptest::collection::vec((any_histogram(), 1i64..100_000, 0u64..4), 1..12),
    ) {
        let mut t = i64::from(start);
        let mut all = Vec::new();
        for (h, step, repeats) in samples {
            for by in 0..=repeats {
                t += step;
                all.push((t, grown(&h, by)));
            }
        }
        let open = chunk_of(&all);
        let found = decoded(&open, i64::MIN, i64::MAX);
        prop_assert_eq!(&found.t, &all.iter().map(|(t, _)| *t).collect::<Vec<_>>());
        prop_assert_eq!(&found.h, &all.iter().map(|(_, h)| h.clone()).collect::<Vec<_>>());
        let (from, to) = (all[all.len() / 3].0, all[all.len() * 2 / 3].0);
        let part = decoded(&open, from, to);
        prop_assert!(part.t.iter().all(|t| (from..to).contains(t)));
        prop_assert_eq!(part.len(), all.iter().filter(|(t, _)| (from..to).contains(t)).count());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), count in 0u32..50) {
        let mut out = HistogramColumns::default();
        let _ = decode_into(&bytes, count, i64::MIN, i64::MAX, &mut out);
        let _ = codec::decode(&mut Reader::new(&bytes), Some(&Histogram::stale()));
    }

    #[test]
    fn a_cut_or_flipped_chunk_does_not_panic(h in any_histogram(), cut in any::<prop::sample::Index>(), bit in 0u8..8) {
        let samples: Vec<(i64, Histogram)> = (0..9).map(|i| (i * 15_000, grown(&h, i as u64))).collect();
        let open = chunk_of(&samples);
        let mut out = HistogramColumns::default();
        let at = cut.index(open.bytes().len());
        prop_assert!(decode_into(&open.bytes()[..at], open.count(), i64::MIN, i64::MAX, &mut out).is_none());
        let mut flipped = open.bytes().to_vec();
        flipped[at] ^= 1 << bit;
        let _ = decode_into(&flipped, open.count(), i64::MIN, i64::MAX, &mut out);
    }
}

/// Something like an HTTP server's latencies: 40 buckets, a few of which grow.
fn latencies(i: u64) -> Histogram {
    let buckets: Vec<u64> = (0..40u64).map(|b| 1000 + b * b % 97 + i * u64::from(b % 4 == 0)).collect();
    let counts = HistogramCounts::Int {
        count: buckets.iter().sum::<u64>() + 3,
        zero_count: 3,
        positive: to_deltas(&buckets),
        negative: Vec::new(),
    };
    Histogram {
        schema: 3,
        zero_threshold: USUAL,
        sum: 1234.5 + i as f64 * 0.731,
        positive_spans: vec![Span { offset: -20, length: 30 }, Span { offset: 4, length: 10 }],
        counts,
        ..Histogram::default()
    }
}

const USUAL: f64 = f64::from_bits(0x37F0_0000_0000_0000);

#[test]
fn a_chunk_fills_up_and_refuses_what_is_not_later() {
    let mut open = OpenChunk::default();
    assert!(open.push(5, &latencies(0)));
    assert!(!open.push(5, &latencies(1)));
    assert!(!open.push(4, &latencies(1)));
    let mut pushed = 1;
    while open.push(5 + pushed * 15_000, &latencies(pushed as u64)) {
        pushed += 1;
    }
    assert_eq!((open.count(), open.span()), (CHUNK_HISTOGRAMS, Some((5, 5 + 119 * 15_000))));
    assert_eq!(decoded(&open, i64::MIN, i64::MAX).h[119], latencies(119));
    assert_eq!(open.last(), Some((5 + 119 * 15_000, &latencies(119))));
    let per_sample = open.bytes().len() / 120;
    assert!(per_sample < 45, "{per_sample} bytes for a histogram of 40 buckets of which ten grow");
}

#[test]
fn the_usual_cases_are_small() {
    let mut out = Vec::new();
    codec::encode(&Histogram::stale(), Some(&latencies(1)), &mut out);
    assert_eq!(out.len(), 1);
    out.clear();
    codec::encode(&latencies(1), Some(&latencies(1)), &mut out);
    // Flags, sum, count, zero count, a run of 40 buckets that stayed; an empty side takes nothing.
    assert_eq!(out, [8, 0, 0, 0, 0, 39]);
}

#[test]
fn a_histogram_of_the_largest_size_is_kept_and_bombs_are_refused() {
    let spans = vec![Span { offset: 0, length: HISTOGRAM_BUCKETS_MAX as u32 }];
    let counts = HistogramCounts::Int {
        count: 0,
        zero_count: 0,
        positive: vec![0; HISTOGRAM_BUCKETS_MAX],
        negative: Vec::new(),
    };
    let largest = Histogram { positive_spans: spans, counts, ..Histogram::default() };
    assert_eq!(largest.validate(), Ok(()));
    let mut open = OpenChunk::default();
    let mut count = 0;
    while open.push(count, &largest) {
        count += 1;
    }
    assert_eq!(count, 3, "a chunk of huge histograms is cut by their size in memory");
    assert_eq!(decoded(&open, i64::MIN, i64::MAX).len(), 3);
    // The same few bytes repeated would be gigabytes.
    let mut bomb = open.bytes().to_vec();
    let record = [0u8, 8, 0, 0, 0, 0, 0xff, 0xff, 3];
    (0..1000).for_each(|_| bomb.extend_from_slice(&record));
    let mut out = HistogramColumns::default();
    assert!(decode_into(&bomb, 1003, i64::MIN, i64::MAX, &mut out).is_none());
    assert!(out.len() <= 4);
}

#[test]
fn the_same_sample_again_is_known_in_spite_of_hint_and_empty_spans() {
    let mut again = latencies(4);
    again.counter_reset_hint = CounterResetHint::NotCounterReset;
    again.positive_spans.insert(1, Span { offset: 0, length: 0 });
    assert!(again.is_same_sample(&latencies(4)));
    assert_ne!(again, latencies(4));
    again.sum += 1.0;
    assert!(!again.is_same_sample(&latencies(4)));
}
