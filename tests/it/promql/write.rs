//! Samples as bodies of remote write 1.0, native histograms included.

use prost::Message;
use storage::{CounterResetHint, Histogram, HistogramCounts, Span as StoredSpan};

use super::data::{Point, Series};

/// One body for each moment, oldest first: senders do not go back in time, and in a request floats come before histograms.
pub fn bodies(series: &[Series]) -> Vec<Vec<u8>> {
    let mut times: Vec<i64> = series.iter().flat_map(|s| s.points.iter().map(|p| p.0)).collect();
    times.sort_unstable();
    times.dedup();
    let mut next = vec![0; series.len()];
    let body = |t: i64| {
        let due = series.iter().zip(&mut next).filter_map(|(s, next)| {
            let (_, point) = s.points.get(*next).filter(|p| p.0 == t)?;
            *next += 1;
            Some(entry(&s.labels, t, point))
        });
        let request = WriteRequest { timeseries: due.collect() };
        snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap()
    };
    times.into_iter().map(body).collect()
}

fn entry(labels: &[(String, String)], t: i64, point: &Point) -> TimeSeries {
    let labels = labels.iter().map(|(name, value)| Label { name: name.clone(), value: value.clone() }).collect();
    match point {
        Point::Float(value) => {
            TimeSeries { labels, samples: vec![Sample { value: *value, timestamp: t }], histograms: Vec::new() }
        }
        Point::Histogram(histogram) => {
            TimeSeries { labels, samples: Vec::new(), histograms: vec![HistogramSample::new(t, histogram)] }
        }
    }
}

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<HistogramSample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

/// `prometheus.Histogram`; the kind is that of the count that is there.
#[derive(Clone, PartialEq, Message)]
struct HistogramSample {
    #[prost(uint64, optional, tag = "1")]
    count_int: Option<u64>,
    #[prost(double, optional, tag = "2")]
    count_float: Option<f64>,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(sint32, tag = "4")]
    schema: i32,
    #[prost(double, tag = "5")]
    zero_threshold: f64,
    #[prost(uint64, optional, tag = "6")]
    zero_count_int: Option<u64>,
    #[prost(double, optional, tag = "7")]
    zero_count_float: Option<f64>,
    #[prost(message, repeated, tag = "8")]
    negative_spans: Vec<Span>,
    #[prost(sint64, repeated, tag = "9")]
    negative_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "10")]
    negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "11")]
    positive_spans: Vec<Span>,
    #[prost(sint64, repeated, tag = "12")]
    positive_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "13")]
    positive_counts: Vec<f64>,
    #[prost(int32, tag = "14")]
    reset_hint: i32,
    #[prost(int64, tag = "15")]
    timestamp: i64,
    #[prost(double, repeated, tag = "16")]
    custom_values: Vec<f64>,
}

impl HistogramSample {
    fn new(t: i64, histogram: &Histogram) -> Self {
        let spans = |spans: &[StoredSpan]| -> Vec<Span> {
            spans.iter().map(|span| Span { offset: span.offset, length: span.length }).collect()
        };
        let sample = HistogramSample {
            sum: histogram.sum,
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            negative_spans: spans(&histogram.negative_spans),
            positive_spans: spans(&histogram.positive_spans),
            reset_hint: match histogram.counter_reset_hint {
                CounterResetHint::Unknown => 0,
                CounterResetHint::CounterReset => 1,
                CounterResetHint::NotCounterReset => 2,
                CounterResetHint::Gauge => 3,
            },
            timestamp: t,
            custom_values: histogram.custom_values.clone(),
            ..HistogramSample::default()
        };
        match histogram.counts.clone() {
            HistogramCounts::Int { count, zero_count, positive, negative } => HistogramSample {
                count_int: Some(count),
                zero_count_int: Some(zero_count),
                positive_deltas: positive,
                negative_deltas: negative,
                ..sample
            },
            HistogramCounts::Float { count, zero_count, positive, negative } => HistogramSample {
                count_float: Some(count),
                zero_count_float: Some(zero_count),
                positive_counts: positive,
                negative_counts: negative,
                ..sample
            },
        }
    }
}
