//! A native histogram of remote write as the storage has it: `prometheus.Histogram`, and that of version 2.0, which says
//! when it began.
//!
//! Here: its fields, whole or fractional. Elsewhere: who asks for it (`extras`), which histograms are sound (`storage`).
//!
//! As Prometheus: the kind is that of the count; fields of the other kind are passed over.

use storage::{CounterResetHint, Histogram, HistogramCounts};

use crate::wire::histogram::{double, push, read_deltas, read_doubles, read_span, unzigzag32, varint};
use crate::wire::{DecodeError, Reader, Wire};

/// The two kinds of a number in one field of the message.
#[derive(Debug, Clone, Copy)]
enum Count {
    Int(u64),
    Float(f64),
}

/// What is needed to choose the kind at the message's end.
#[derive(Debug)]
struct Parts {
    t: i64,
    start: i64,
    histogram: Histogram,
    count: Count,
    zero_count: Count,
    positive_deltas: Vec<i64>,
    negative_deltas: Vec<i64>,
    positive_counts: Vec<f64>,
    negative_counts: Vec<f64>,
}

/// Reads one message: its time and the histogram, which may break the rules of [`Histogram::validate`].
pub(super) fn read_histogram(reader: Reader<'_>) -> Result<(i64, Histogram), DecodeError> {
    read_started_histogram(reader).map(|(t, _, histogram)| (t, histogram))
}

/// The same of version 2.0: time, start timestamp, histogram.
pub(super) fn read_started_histogram(mut reader: Reader<'_>) -> Result<(i64, i64, Histogram), DecodeError> {
    let mut parts = Parts {
        t: 0,
        start: 0,
        histogram: Histogram::default(),
        count: Count::Int(0),
        zero_count: Count::Int(0),
        positive_deltas: Vec::new(),
        negative_deltas: Vec::new(),
        positive_counts: Vec::new(),
        negative_counts: Vec::new(),
    };
    while let Some((number, wire)) = reader.field()? {
        parts.read_field(&mut reader, number, wire)?;
    }
    Ok(parts.finish())
}

impl Parts {
    fn read_field(&mut self, reader: &mut Reader<'_>, number: u32, wire: Wire) -> Result<(), DecodeError> {
        let histogram = &mut self.histogram;
        match number {
            1 => self.count = Count::Int(varint(reader, wire)?),
            2 => self.count = Count::Float(double(reader, wire)?),
            3 => histogram.sum = double(reader, wire)?,
            4 => histogram.schema = unzigzag32(varint(reader, wire)?),
            5 => histogram.zero_threshold = double(reader, wire)?,
            6 => self.zero_count = Count::Int(varint(reader, wire)?),
            7 => self.zero_count = Count::Float(double(reader, wire)?),
            8 => push(&mut histogram.negative_spans, read_span(reader, wire)?),
            9 => read_deltas(reader, wire, &mut self.negative_deltas)?,
            10 => read_doubles(reader, wire, &mut self.negative_counts)?,
            11 => push(&mut histogram.positive_spans, read_span(reader, wire)?),
            12 => read_deltas(reader, wire, &mut self.positive_deltas)?,
            13 => read_doubles(reader, wire, &mut self.positive_counts)?,
            14 => histogram.counter_reset_hint = hint_of(varint(reader, wire)?),
            15 => self.t = varint(reader, wire)?.cast_signed(),
            16 => read_doubles(reader, wire, &mut histogram.custom_values)?,
            17 if wire == Wire::Varint => self.start = reader.varint()?.cast_signed(),
            _ => reader.skip(number, wire)?,
        }
        Ok(())
    }

    fn finish(self) -> (i64, i64, Histogram) {
        let counts = match self.count {
            Count::Int(count) => HistogramCounts::Int {
                count,
                zero_count: if let Count::Int(zero_count) = self.zero_count { zero_count } else { 0 },
                positive: self.positive_deltas,
                negative: self.negative_deltas,
            },
            Count::Float(count) => HistogramCounts::Float {
                count,
                zero_count: if let Count::Float(zero_count) = self.zero_count { zero_count } else { 0.0 },
                positive: self.positive_counts,
                negative: self.negative_counts,
            },
        };
        (self.t, self.start, Histogram { counts, ..self.histogram })
    }
}

fn hint_of(value: u64) -> CounterResetHint {
    match value {
        1 => CounterResetHint::CounterReset,
        2 => CounterResetHint::NotCounterReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use storage::{HISTOGRAM_BUCKETS_MAX, Span};

    use super::*;
    use crate::ingest::tests::with_damage;

    /// prost's view of the messages.
    mod reference {
        #[derive(Clone, PartialEq, prost::Message)]
        pub(super) struct Histogram {
            #[prost(oneof = "Count", tags = "1, 2")]
            pub(super) count: Option<Count>,
            #[prost(double, tag = "3")]
            pub(super) sum: f64,
            #[prost(sint32, tag = "4")]
            pub(super) schema: i32,
            #[prost(double, tag = "5")]
            pub(super) zero_threshold: f64,
            #[prost(oneof = "ZeroCount", tags = "6, 7")]
            pub(super) zero_count: Option<ZeroCount>,
            #[prost(message, repeated, tag = "8")]
            pub(super) negative_spans: Vec<Span>,
            #[prost(sint64, repeated, tag = "9")]
            pub(super) negative_deltas: Vec<i64>,
            #[prost(double, repeated, tag = "10")]
            pub(super) negative_counts: Vec<f64>,
            #[prost(message, repeated, tag = "11")]
            pub(super) positive_spans: Vec<Span>,
            #[prost(sint64, repeated, tag = "12")]
            pub(super) positive_deltas: Vec<i64>,
            #[prost(double, repeated, packed = "false", tag = "13")]
            pub(super) positive_counts: Vec<f64>,
            #[prost(int32, tag = "14")]
            pub(super) reset_hint: i32,
            #[prost(int64, tag = "15")]
            pub(super) timestamp: i64,
            #[prost(double, repeated, tag = "16")]
            pub(super) custom_values: Vec<f64>,
        }

        #[derive(Clone, PartialEq, prost::Oneof)]
        pub(super) enum Count {
            #[prost(uint64, tag = "1")]
            Int(u64),
            #[prost(double, tag = "2")]
            Float(f64),
        }

        #[derive(Clone, PartialEq, prost::Oneof)]
        pub(super) enum ZeroCount {
            #[prost(uint64, tag = "6")]
            Int(u64),
            #[prost(double, tag = "7")]
            Float(f64),
        }

        #[derive(Clone, Copy, PartialEq, prost::Message)]
        pub(super) struct Span {
            #[prost(sint32, tag = "1")]
            pub(super) offset: i32,
            #[prost(uint32, tag = "2")]
            pub(super) length: u32,
        }
    }

    fn ours(body: &[u8]) -> Result<(i64, Histogram), DecodeError> {
        read_histogram(Reader::new(body, "a histogram"))
    }

    fn theirs(body: &[u8]) -> Result<(i64, Histogram), prost::DecodeError> {
        let h = reference::Histogram::decode(body)?;
        let spans = |spans: Vec<reference::Span>| {
            spans.into_iter().map(|s| Span { offset: s.offset, length: s.length }).collect()
        };
        let counts = match h.count {
            Some(reference::Count::Float(count)) => HistogramCounts::Float {
                count,
                zero_count: if let Some(reference::ZeroCount::Float(zero)) = h.zero_count { zero } else { 0.0 },
                positive: h.positive_counts,
                negative: h.negative_counts,
            },
            other => HistogramCounts::Int {
                count: if let Some(reference::Count::Int(count)) = other { count } else { 0 },
                zero_count: if let Some(reference::ZeroCount::Int(zero)) = h.zero_count { zero } else { 0 },
                positive: h.positive_deltas,
                negative: h.negative_deltas,
            },
        };
        let histogram = Histogram {
            counter_reset_hint: hint_of(u64::try_from(h.reset_hint).unwrap_or(u64::MAX)),
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            sum: h.sum,
            positive_spans: spans(h.positive_spans),
            negative_spans: spans(h.negative_spans),
            counts,
            custom_values: h.custom_values,
        };
        Ok((h.timestamp, histogram))
    }

    fn float() -> impl Strategy<Value = f64> {
        any::<u64>().prop_map(f64::from_bits)
    }

    fn spans() -> impl Strategy<Value = Vec<reference::Span>> {
        let span = (any::<i32>(), any::<u32>()).prop_map(|(offset, length)| reference::Span { offset, length });
        proptest::collection::vec(span, 0..4)
    }

    fn message() -> impl Strategy<Value = reference::Histogram> {
        let count = proptest::option::of(prop_oneof![
            any::<u64>().prop_map(reference::Count::Int),
            float().prop_map(reference::Count::Float)
        ]);
        let zero_count = proptest::option::of(prop_oneof![
            any::<u64>().prop_map(reference::ZeroCount::Int),
            float().prop_map(reference::ZeroCount::Float)
        ]);
        let deltas = || proptest::collection::vec(any::<i64>(), 0..5);
        let doubles = || proptest::collection::vec(float(), 0..5);
        let buckets = (deltas(), deltas(), doubles(), doubles(), doubles());
        let others = (float(), any::<i32>(), float(), -1i32..6, any::<i64>());
        (count, zero_count, spans(), spans(), buckets, others).prop_map(
            |(count, zero_count, negative_spans, positive_spans, buckets, others)| reference::Histogram {
                count,
                sum: others.0,
                schema: others.1,
                zero_threshold: others.2,
                zero_count,
                negative_spans,
                negative_deltas: buckets.0,
                negative_counts: buckets.2,
                positive_spans,
                positive_deltas: buckets.1,
                positive_counts: buckets.3,
                reset_hint: others.3,
                timestamp: others.4,
                custom_values: buckets.4,
            },
        )
    }

    proptest! {
        #[test]
        fn sound_histograms_read_as_prost_reads_them(message in message()) {
            let body = message.encode_to_vec();
            prop_assert_eq!(ours(&body).unwrap(), theirs(&body).unwrap());
        }

        #[test]
        fn damaged_histograms_are_judged_as_prost_judges_them(
            message in message(),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in any::<prop::sample::Index>(),
        ) {
            let body = with_damage(message.encode_to_vec(), &damage, cut);
            match (ours(&body), theirs(&body)) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
                (Err(_), Err(_)) => {}
                (ours, theirs) => prop_assert!(false, "{:?} but {:?}", ours, theirs),
            }
        }
    }

    #[test]
    fn more_buckets_than_the_limit_are_seen_but_not_kept() {
        let spans = vec![reference::Span { offset: 0, length: 100_000 }];
        let message = reference::Histogram {
            positive_spans: spans,
            positive_deltas: vec![0; 100_000],
            ..reference::Histogram::default()
        };
        let (_, histogram) = ours(&message.encode_to_vec()).unwrap();
        assert_eq!(histogram.bucket_count(), HISTOGRAM_BUCKETS_MAX + 1);
        assert!(histogram.validate().unwrap_err().to_string().contains("limit of 65536"));
    }
}
