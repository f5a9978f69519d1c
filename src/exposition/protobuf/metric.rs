//! The fields of one `io.prometheus.client.Metric`.
//!
//! Here: its value of any type, decoded into memory that the metrics of a page share. Elsewhere: what is made of it
//! (`protobuf`), its labels (`series`).

use storage::{HISTOGRAM_BUCKETS_MAX, Histogram, HistogramCounts, Labels};

use super::super::error::ProtobufError;
use super::super::number::with_plain_nan;
use super::super::{Exemplar, Kind};
use crate::wire::histogram::{double, push, read_deltas, read_doubles, read_span, unzigzag32, varint};
use crate::wire::{DecodeError, Reader, Wire};

/// Most exemplars of one series that are read; libraries send ten at most.
const EXEMPLARS_MAX: usize = 256;

/// A metric, of whichever type.
#[derive(Debug, Default)]
pub(super) struct Metric<'a> {
    /// From the first field of a label to the end of the last one.
    pub(super) labels: Reader<'a>,
    pub(super) timestamp_ms: Option<i64>,
    pub(super) start_ms: i64,
    /// Of a counter, a gauge, an untyped one.
    pub(super) value: f64,
    pub(super) exemplar: Option<Exemplar>,
    pub(super) summary: SummaryParts,
    pub(super) classic: ClassicParts,
    pub(super) native: NativeParts,
}

#[derive(Debug, Default)]
pub(super) struct SummaryParts {
    pub(super) count: f64,
    pub(super) sum: f64,
    pub(super) quantiles: Vec<(f64, f64)>,
}

/// What classic and native histograms share, and the classic buckets.
#[derive(Debug, Default)]
pub(super) struct ClassicParts {
    pub(super) count: f64,
    pub(super) sum: f64,
    pub(super) buckets: Vec<Bucket>,
}

#[derive(Debug)]
pub(super) struct Bucket {
    /// Cumulative.
    pub(super) count: f64,
    pub(super) bound: f64,
    pub(super) exemplar: Option<Exemplar>,
}

/// The fields of a native histogram, of either kind.
#[derive(Debug, Default)]
pub(super) struct NativeParts {
    histogram: Histogram,
    count: (u64, f64),
    zero_count: (u64, f64),
    deltas: [Vec<i64>; 2],
    counts: [Vec<f64>; 2],
    pub(super) exemplars: Vec<Exemplar>,
}

impl NativeParts {
    fn clear(&mut self) {
        self.histogram = Histogram::default();
        (self.count, self.zero_count) = ((0, 0.0), (0, 0.0));
        self.deltas.iter_mut().for_each(Vec::clear);
        self.counts.iter_mut().for_each(Vec::clear);
        self.exemplars.clear();
    }

    /// The histogram, which may break rules. Its counts are fractional if a fractional count is set.
    pub(super) fn take(&mut self) -> Histogram {
        let [positive_deltas, negative_deltas] = &mut self.deltas;
        let [positive_counts, negative_counts] = &mut self.counts;
        let counts = if self.count.1 > 0.0 || self.zero_count.1 > 0.0 {
            HistogramCounts::Float {
                count: self.count.1,
                zero_count: self.zero_count.1,
                positive: std::mem::take(positive_counts),
                negative: std::mem::take(negative_counts),
            }
        } else {
            HistogramCounts::Int {
                count: self.count.0,
                zero_count: self.zero_count.0,
                positive: std::mem::take(positive_deltas),
                negative: std::mem::take(negative_deltas),
            }
        };
        Histogram { counts, ..std::mem::take(&mut self.histogram) }
    }
}

impl<'a> Metric<'a> {
    /// Whether the histogram says that it is native: by a span (even an empty one), a zero bucket or its width.
    pub(super) fn is_native(&self) -> bool {
        let NativeParts { histogram, zero_count, .. } = &self.native;
        !histogram.positive_spans.is_empty()
            || !histogram.negative_spans.is_empty()
            || histogram.zero_threshold > 0.0
            || zero_count.0 > 0
    }

    /// Replaces all by what `message` says, which is a metric of this type.
    pub(super) fn read(&mut self, mut message: Reader<'a>, kind: Kind) -> Result<(), ProtobufError> {
        self.clear();
        let mut labels: Option<(usize, usize)> = None;
        let whole = message;
        loop {
            let start = message.pos();
            let Some((number, wire)) = message.field()? else { break };
            match (number, wire) {
                (1, Wire::Len) => {
                    message.bytes()?;
                    labels = Some((labels.map_or(start, |(first, _)| first), message.pos()));
                }
                (2, Wire::Len) if kind == Kind::Gauge => self.value = read_value(message.message("a gauge")?)?,
                (3, Wire::Len) if kind == Kind::Counter => self.read_counter(message.message("a counter")?)?,
                (4, Wire::Len) if kind == Kind::Summary => self.read_summary(message.message("a summary")?)?,
                (5, Wire::Len) if kind == Kind::Unknown => {
                    self.value = read_value(message.message("an untyped value")?)?;
                }
                (6, Wire::Varint) => {
                    self.timestamp_ms = Some(message.varint()?.cast_signed()).filter(|t| *t != 0);
                }
                (7, Wire::Len) if matches!(kind, Kind::Histogram | Kind::GaugeHistogram) => {
                    self.read_histogram(message.message("a histogram")?)?;
                }
                (1..=5 | 7, wire) if wire != Wire::Len => return Err(message.wrong_wire("a message").into()),
                (6, _) => return Err(message.wrong_wire("a varint").into()),
                _ => message.skip(number, wire)?,
            }
        }
        let (start, end) = labels.unwrap_or((whole.pos(), whole.pos()));
        self.labels = whole.part(start, end);
        Ok(())
    }

    fn clear(&mut self) {
        (self.timestamp_ms, self.start_ms, self.value, self.exemplar) = (None, 0, 0.0, None);
        (self.summary.count, self.summary.sum) = (0.0, 0.0);
        self.summary.quantiles.clear();
        (self.classic.count, self.classic.sum) = (0.0, 0.0);
        self.classic.buckets.clear();
        self.native.clear();
    }

    fn read_counter(&mut self, mut message: Reader<'a>) -> Result<(), ProtobufError> {
        while let Some((number, wire)) = message.field()? {
            match (number, wire) {
                (1, wire) => self.value = value(&mut message, wire)?,
                (2, Wire::Len) => self.exemplar = Some(read_exemplar(message.message("an exemplar")?)?),
                (3, Wire::Len) => self.start_ms = read_timestamp(message.message("a timestamp")?)?,
                (2 | 3, _) => return Err(message.wrong_wire("a message").into()),
                _ => message.skip(number, wire)?,
            }
        }
        Ok(())
    }

    fn read_summary(&mut self, mut message: Reader<'a>) -> Result<(), ProtobufError> {
        while let Some((number, wire)) = message.field()? {
            match (number, wire) {
                (1, wire) => self.summary.count = varint(&mut message, wire)? as f64,
                (2, wire) => self.summary.sum = value(&mut message, wire)?,
                (3, Wire::Len) => {
                    check_room(&message, self.summary.quantiles.len(), "quantiles")?;
                    self.summary.quantiles.push(read_quantile(message.message("a quantile")?)?);
                }
                (4, Wire::Len) => self.start_ms = read_timestamp(message.message("a timestamp")?)?,
                (3 | 4, _) => return Err(message.wrong_wire("a message").into()),
                _ => message.skip(number, wire)?,
            }
        }
        Ok(())
    }

    fn read_histogram(&mut self, mut message: Reader<'a>) -> Result<(), ProtobufError> {
        let Metric { native, classic, start_ms, .. } = self;
        let histogram = &mut native.histogram;
        let reader = &mut message;
        while let Some((number, wire)) = reader.field()? {
            match (number, wire) {
                (1, wire) => native.count.0 = varint(reader, wire)?,
                (2, wire) => histogram.sum = value(reader, wire)?,
                (3, Wire::Len) => {
                    check_room(reader, classic.buckets.len(), "buckets")?;
                    classic.buckets.push(read_bucket(reader.message("a bucket")?)?);
                }
                (4, wire) => native.count.1 = double(reader, wire)?,
                (5, wire) => histogram.schema = unzigzag32(varint(reader, wire)?),
                (6, wire) => histogram.zero_threshold = double(reader, wire)?,
                (7, wire) => native.zero_count.0 = varint(reader, wire)?,
                (8, wire) => native.zero_count.1 = double(reader, wire)?,
                (9, wire) => push(&mut histogram.negative_spans, read_span(reader, wire)?),
                (10, wire) => read_deltas(reader, wire, &mut native.deltas[1])?,
                (11, wire) => read_doubles(reader, wire, &mut native.counts[1])?,
                (12, wire) => push(&mut histogram.positive_spans, read_span(reader, wire)?),
                (13, wire) => read_deltas(reader, wire, &mut native.deltas[0])?,
                (14, wire) => read_doubles(reader, wire, &mut native.counts[0])?,
                (15, Wire::Len) => *start_ms = read_timestamp(reader.message("a timestamp")?)?,
                (16, Wire::Len) if native.exemplars.len() < EXEMPLARS_MAX => {
                    native.exemplars.push(read_exemplar(reader.message("an exemplar")?)?);
                }
                (16, Wire::Len) => drop(reader.bytes()?),
                (3 | 15 | 16, _) => return Err(reader.wrong_wire("a message").into()),
                _ => reader.skip(number, wire)?,
            }
        }
        classic.count = fractional_or_whole(native.count);
        classic.sum = histogram.sum;
        Ok(())
    }
}

/// As the format says: the fractional one counts if it is set.
fn fractional_or_whole((whole, fractional): (u64, f64)) -> f64 {
    if fractional == 0.0 { whole as f64 } else { fractional }
}

/// Room for one more of those that a metric has many of.
fn check_room(reader: &Reader<'_>, count: usize, what: &str) -> Result<(), ProtobufError> {
    if count < HISTOGRAM_BUCKETS_MAX {
        return Ok(());
    }
    Err(ProtobufError::new(reader.pos(), format!("a metric with more than {HISTOGRAM_BUCKETS_MAX} {what}")))
}

/// A message whose first field is the value.
fn read_value(mut message: Reader<'_>) -> Result<f64, DecodeError> {
    let mut read = 0.0;
    while let Some((number, wire)) = message.field()? {
        match number {
            1 => read = value(&mut message, wire)?,
            _ => message.skip(number, wire)?,
        }
    }
    Ok(read)
}

/// What is stored of a sample.
fn value(reader: &mut Reader<'_>, wire: Wire) -> Result<f64, DecodeError> {
    double(reader, wire).map(with_plain_nan)
}

fn read_quantile(mut message: Reader<'_>) -> Result<(f64, f64), DecodeError> {
    let (mut quantile, mut read) = (0.0, 0.0);
    while let Some((number, wire)) = message.field()? {
        match number {
            1 => quantile = double(&mut message, wire)?,
            2 => read = value(&mut message, wire)?,
            _ => message.skip(number, wire)?,
        }
    }
    Ok((quantile, read))
}

fn read_bucket(mut message: Reader<'_>) -> Result<Bucket, ProtobufError> {
    let (mut count, mut bound, mut exemplar) = ((0, 0.0), 0.0, None);
    while let Some((number, wire)) = message.field()? {
        match (number, wire) {
            (1, wire) => count.0 = varint(&mut message, wire)?,
            (2, wire) => bound = double(&mut message, wire)?,
            (3, Wire::Len) => exemplar = Some(read_exemplar(message.message("an exemplar")?)?),
            (3, _) => return Err(message.wrong_wire("a message").into()),
            (4, wire) => count.1 = double(&mut message, wire)?,
            _ => message.skip(number, wire)?,
        }
    }
    Ok(Bucket { count: fractional_or_whole(count), bound, exemplar })
}

/// `google.protobuf.Timestamp` in milliseconds; what is beyond is cut.
fn read_timestamp(mut message: Reader<'_>) -> Result<i64, DecodeError> {
    let (mut seconds, mut nanos) = (0i64, 0i64);
    while let Some((number, wire)) = message.field()? {
        match number {
            1 => seconds = varint(&mut message, wire)?.cast_signed(),
            2 => nanos = varint(&mut message, wire)?.cast_signed(),
            _ => message.skip(number, wire)?,
        }
    }
    Ok(seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000))
}

fn read_exemplar(mut message: Reader<'_>) -> Result<Exemplar, ProtobufError> {
    let place = message.pos();
    let (mut pairs, mut value, mut timestamp_ms) = (Vec::new(), 0.0, None);
    while let Some((number, wire)) = message.field()? {
        match (number, wire) {
            (1, Wire::Len) => {
                check_room(&message, pairs.len(), "labels of an exemplar")?;
                pairs.push(super::series::read_label(message.message("a label")?)?);
            }
            (2, wire) => value = double(&mut message, wire)?,
            (3, Wire::Len) => timestamp_ms = Some(read_timestamp(message.message("a timestamp")?)?),
            (1 | 3, _) => return Err(message.wrong_wire("a message").into()),
            _ => message.skip(number, wire)?,
        }
    }
    let labels = Labels::from_pairs(pairs).map_err(|e| ProtobufError::new(place, format!("an exemplar: {e}")))?;
    Ok(Exemplar { labels, value, timestamp_ms })
}
