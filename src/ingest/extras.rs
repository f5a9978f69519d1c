//! What a remote write request has besides floats: native histograms, exemplars, metadata.
//!
//! Here: a second walk over the body, made only if the first one met any of them, so that pushes of floats pay nothing.
//! Elsewhere: the same of version 2.0 (`extras_2`), floats (`remote_write`), the fields of a histogram (`histogram`), storing all of it (`ingester`).
//!
//! Invariant: as for floats - what is damaged stops the whole request before anything is stored, what breaks a rule is
//! left out alone and counted.

use storage::{Exemplar, Histogram, HistogramError, Labels, MetricMetadata, ReduceError, SCHEMA_MAX};

use super::histogram::read_histogram;
use super::labels::label_set;
use super::outcome::{Excerpt, Reason, WriteOutcome};
use super::remote_write::{REQUEST, SERIES, read_label, read_labels};
use super::{IngestError, WriteLimits};
use crate::wire::{DecodeError, Reader, Wire};

/// So many buckets weigh as one sample against the limit of samples.
const BUCKETS_PER_SAMPLE: usize = 8;

/// What was found, in the request's order.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// Sound ones.
    pub(super) histograms: Vec<PushedHistogram>,
    /// Of any length and order: the database has rules for them.
    pub(super) exemplars: Vec<(Labels, Exemplar)>,
    /// Metric and what it means.
    pub(super) metadata: Vec<(String, MetricMetadata)>,
    /// Exemplars and metadata that are no text.
    pub(super) invalid: u64,
    weight: usize,
}

/// A native histogram of a series.
#[derive(Debug)]
pub(super) struct PushedHistogram {
    pub(super) labels: Labels,
    pub(super) t: i64,
    /// 0 if it does not say.
    pub(super) start: i64,
    pub(super) histogram: Histogram,
}

impl Extras {
    /// Reads a decompressed body. Histograms that break a rule are counted in `outcome`.
    pub(super) fn read(body: &[u8], limits: &WriteLimits, outcome: &mut WriteOutcome) -> Result<Self, IngestError> {
        let mut extras = Extras::default();
        let mut request = Reader::new(body, REQUEST);
        while let Some((number, wire)) = request.field()? {
            match (number, wire) {
                (1, Wire::Len) => extras.read_series(request.message(SERIES)?, limits, outcome)?,
                (3, Wire::Len) => {
                    let read = read_metadata(request.message("metadata")?)?;
                    extras.weigh(1, limits)?;
                    match read {
                        Some(entry) => extras.metadata.push(entry),
                        None => extras.invalid += 1,
                    }
                }
                _ => request.skip(number, wire)?,
            }
        }
        Ok(extras)
    }

    fn read_series(
        &mut self,
        message: Reader<'_>,
        limits: &WriteLimits,
        outcome: &mut WriteOutcome,
    ) -> Result<(), IngestError> {
        let mut reader = message;
        // Decoded at the first extra that needs them; a series that is refused is remembered as such.
        let mut labels: Option<Result<Labels, (Reason, String)>> = None;
        while let Some((number, wire)) = reader.field()? {
            if !matches!((number, wire), (3 | 4, Wire::Len)) {
                reader.skip(number, wire)?;
                continue;
            }
            if labels.is_none() {
                let mut pairs = Vec::new();
                read_labels(message, &mut pairs)?;
                labels = Some(label_set(&pairs, limits, &mut Vec::new()));
            }
            let Some(labels) = &labels else { continue };
            if number == 3 {
                let exemplar = read_exemplar(reader.message("an exemplar")?)?;
                self.weigh(1, limits)?;
                match (labels, exemplar) {
                    (Ok(labels), Some(exemplar)) => self.exemplars.push((labels.clone(), exemplar)),
                    _ => self.invalid += 1,
                }
            } else {
                let (t, histogram) = read_histogram(reader.message("a histogram")?)?;
                self.weigh(1 + histogram.bucket_count() / BUCKETS_PER_SAMPLE, limits)?;
                match labels {
                    Ok(labels) => self.take_histogram(labels, (t, 0), histogram, outcome),
                    Err((reason, example)) => outcome.discard(*reason, 1, || example.clone()),
                }
            }
        }
        Ok(())
    }

    /// Bounds the memory of a request: a few bytes on the wire can be a structure of hundreds.
    pub(super) fn weigh(&mut self, samples: usize, limits: &WriteLimits) -> Result<(), IngestError> {
        self.weight += samples;
        if self.weight > limits.request_samples_max {
            return Err(IngestError::TooManySamples { max: limits.request_samples_max });
        }
        Ok(())
    }

    pub(super) fn take_histogram(
        &mut self,
        labels: &Labels,
        (t, start): (i64, i64),
        mut histogram: Histogram,
        outcome: &mut WriteOutcome,
    ) {
        match make_storable(&mut histogram) {
            Ok(()) => self.histograms.push(PushedHistogram { labels: labels.clone(), t, start, histogram }),
            Err(error) => {
                let example = || format!("{error}: series {}", Excerpt(&labels.to_string()));
                outcome.discard(Reason::InvalidHistogram, 1, example);
            }
        }
    }
}

/// Schemas that are finer than those that are stored are made coarser, as Prometheus does.
fn make_storable(histogram: &mut Histogram) -> Result<(), HistogramError> {
    if histogram.schema > SCHEMA_MAX {
        match histogram.reduce_to(SCHEMA_MAX) {
            // `validate` says that the schema is unknown.
            Ok(()) | Err(ReduceError::Schema { .. }) => {}
            Err(ReduceError::Invalid(error)) => return Err(error),
        }
    }
    histogram.validate()
}

/// `None` if its labels are no label set.
fn read_exemplar(mut message: Reader<'_>) -> Result<Option<Exemplar>, DecodeError> {
    let (mut pairs, mut t, mut v) = (Vec::new(), 0, 0.0);
    while let Some((number, wire)) = message.field()? {
        match (number, wire) {
            (1, Wire::Len) => pairs.push(read_label(message.message("a label")?)?),
            (2, Wire::Fixed64) => v = f64::from_bits(message.fixed64()?),
            (3, Wire::Varint) => t = message.varint()?.cast_signed(),
            (1, _) => return Err(message.wrong_wire("a message")),
            (2, _) => return Err(message.wrong_wire("a double")),
            (3, _) => return Err(message.wrong_wire("a varint")),
            _ => message.skip(number, wire)?,
        }
    }
    Ok(exemplar_labels(&pairs).map(|labels| Exemplar { labels, t, v }))
}

/// `None` if they are no label set.
pub(super) fn exemplar_labels(pairs: &[(&[u8], &[u8])]) -> Option<Labels> {
    let texts = pairs.iter().map(|(name, value)| Some((str::from_utf8(name).ok()?, str::from_utf8(value).ok()?)));
    Labels::from_pairs(texts.collect::<Option<Vec<(&str, &str)>>>()?).ok()
}

/// `None` if it is no text or has no name.
fn read_metadata(mut message: Reader<'_>) -> Result<Option<(String, MetricMetadata)>, DecodeError> {
    let mut kind = 0;
    let mut texts = [&[][..]; 3];
    while let Some((number, wire)) = message.field()? {
        match (number, wire) {
            (1, Wire::Varint) => kind = message.varint()?,
            (2, Wire::Len) => texts[0] = message.bytes()?,
            (4, Wire::Len) => texts[1] = message.bytes()?,
            (5, Wire::Len) => texts[2] = message.bytes()?,
            (1, _) => return Err(message.wrong_wire("a varint")),
            (2 | 4 | 5, _) => return Err(message.wrong_wire("a string")),
            _ => message.skip(number, wire)?,
        }
    }
    let [Ok(metric), Ok(help), Ok(unit)] = texts.map(str::from_utf8) else { return Ok(None) };
    if metric.is_empty() {
        return Ok(None);
    }
    Ok(Some((metric.to_owned(), MetricMetadata::new(kind_of(kind), help, unit))))
}

/// `MetricMetadata.MetricType`, in the words of `/api/v1/metadata`.
pub(super) fn kind_of(number: u64) -> &'static str {
    match number {
        1 => "counter",
        2 => "gauge",
        3 => "histogram",
        4 => "gaugehistogram",
        5 => "summary",
        6 => "info",
        7 => "stateset",
        _ => UNKNOWN,
    }
}

/// The type of a metric that nobody tells.
pub(super) const UNKNOWN: &str = "unknown";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    /// prost's view of the messages; histograms have a test of their own.
    mod reference {
        #[derive(Clone, PartialEq, prost::Message)]
        pub(super) struct WriteRequest {
            #[prost(message, repeated, tag = "1")]
            pub(super) timeseries: Vec<TimeSeries>,
            #[prost(message, repeated, tag = "3")]
            pub(super) metadata: Vec<Metadata>,
        }

        #[derive(Clone, PartialEq, prost::Message)]
        pub(super) struct TimeSeries {
            #[prost(message, repeated, tag = "1")]
            pub(super) labels: Vec<Label>,
            #[prost(message, repeated, tag = "3")]
            pub(super) exemplars: Vec<Exemplar>,
            #[prost(message, repeated, tag = "4")]
            pub(super) histograms: Vec<Histogram>,
        }

        #[derive(Clone, PartialEq, prost::Message)]
        pub(super) struct Label {
            #[prost(string, tag = "1")]
            pub(super) name: String,
            #[prost(string, tag = "2")]
            pub(super) value: String,
        }

        #[derive(Clone, PartialEq, prost::Message)]
        pub(super) struct Exemplar {
            #[prost(message, repeated, tag = "1")]
            pub(super) labels: Vec<Label>,
            #[prost(double, tag = "2")]
            pub(super) value: f64,
            #[prost(int64, tag = "3")]
            pub(super) timestamp: i64,
        }

        /// As much of it as makes one with a single bucket.
        #[derive(Clone, PartialEq, prost::Message)]
        pub(super) struct Histogram {
            #[prost(uint64, tag = "1")]
            pub(super) count: u64,
            #[prost(sint32, tag = "4")]
            pub(super) schema: i32,
            #[prost(uint64, tag = "6")]
            pub(super) zero_count: u64,
            #[prost(int64, tag = "15")]
            pub(super) timestamp: i64,
        }

        #[derive(Clone, PartialEq, prost::Message)]
        pub(super) struct Metadata {
            #[prost(int32, tag = "1")]
            pub(super) kind: i32,
            #[prost(string, tag = "2")]
            pub(super) metric: String,
            #[prost(string, tag = "4")]
            pub(super) help: String,
            #[prost(string, tag = "5")]
            pub(super) unit: String,
        }
    }

    fn label(name: &str, value: &str) -> reference::Label {
        reference::Label { name: name.to_owned(), value: value.to_owned() }
    }

    fn exemplar() -> impl Strategy<Value = reference::Exemplar> {
        (any::<u64>(), any::<i64>(), "[a-f0-9]{0,8}").prop_map(|(bits, timestamp, trace)| reference::Exemplar {
            labels: vec![label("trace_id", &trace)],
            value: f64::from_bits(bits),
            timestamp,
        })
    }

    fn metadata() -> impl Strategy<Value = reference::Metadata> {
        (-1i32..9, "[a-z_]{1,9}", ".{0,9}", "[a-z]{0,4}").prop_map(|(kind, metric, help, unit)| reference::Metadata {
            kind,
            metric,
            help,
            unit,
        })
    }

    fn read(request: &reference::WriteRequest) -> (Result<Extras, IngestError>, WriteOutcome) {
        let mut outcome = WriteOutcome::default();
        (Extras::read(&request.encode_to_vec(), &WriteLimits::default(), &mut outcome), outcome)
    }

    proptest! {
        #[test]
        fn exemplars_and_metadata_read_as_prost_writes_them(
            exemplars in proptest::collection::vec(exemplar(), 0..4),
            metadata in proptest::collection::vec(metadata(), 0..4),
        ) {
            let labels = vec![label("__name__", "up"), label("job", "a")];
            let series = reference::TimeSeries { labels, exemplars: exemplars.clone(), histograms: vec![] };
            let (found, _) = read(&reference::WriteRequest { timeseries: vec![series], metadata: metadata.clone() });
            let found = found.unwrap();
            let series = Labels::from_pairs([("__name__", "up"), ("job", "a")]).unwrap();
            let expected: Vec<(Labels, Exemplar)> = exemplars.iter().map(|e| {
                let labels = Labels::from_pairs([("trace_id", &*e.labels[0].value)]).unwrap();
                (series.clone(), Exemplar { labels, t: e.timestamp, v: e.value })
            }).collect();
            prop_assert_eq!(found.exemplars, expected);
            let kind = |kind: i32| kind_of(u64::try_from(kind).unwrap_or(u64::MAX));
            let expected: Vec<(String, MetricMetadata)> = metadata.iter()
                .map(|m| (m.metric.clone(), MetricMetadata::new(kind(m.kind), &m.help, &m.unit))).collect();
            prop_assert_eq!((found.metadata, found.invalid), (expected, 0));
        }

        #[test]
        fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Extras::read(&body, &WriteLimits::default(), &mut WriteOutcome::default());
        }
    }

    fn with_histogram(schema: i32, count: u64) -> reference::WriteRequest {
        let histogram = reference::Histogram { count, schema, zero_count: 2, timestamp: 7 };
        let labels = vec![label("__name__", "latency")];
        let series = reference::TimeSeries { labels, exemplars: vec![], histograms: vec![histogram; 2] };
        reference::WriteRequest { timeseries: vec![series], metadata: vec![] }
    }

    #[test]
    fn a_histogram_that_breaks_a_rule_is_left_out_and_told() {
        let (found, outcome) = read(&with_histogram(3, 2));
        assert_eq!((found.unwrap().histograms.len(), outcome.discarded.len()), (2, 0));
        let (found, outcome) = read(&with_histogram(3, 5));
        assert_eq!((found.unwrap().histograms.len(), outcome.discarded_samples()), (0, 2));
        let message = outcome.message().unwrap();
        assert!(message.contains("2 observations found in buckets, but the Count field is 5"), "{message}");
        assert!(message.contains("series latency (err-cairn-invalid-native-histogram)"), "{message}");
    }

    #[test]
    fn finer_schemas_are_made_coarser() {
        let (found, _) = read(&with_histogram(20, 2));
        assert!(found.unwrap().histograms.iter().all(|h| h.histogram.schema == SCHEMA_MAX));
        let (found, outcome) = read(&with_histogram(53, 2));
        assert_eq!((found.unwrap().histograms.len(), outcome.discarded_samples()), (0, 2));
    }

    #[test]
    fn buckets_count_against_the_limit_of_samples() {
        let limits = WriteLimits { request_samples_max: 1, ..WriteLimits::default() };
        let body = with_histogram(3, 2).encode_to_vec();
        let refused = Extras::read(&body, &limits, &mut WriteOutcome::default());
        assert!(matches!(refused, Err(IngestError::TooManySamples { max: 1 })));
    }
}
