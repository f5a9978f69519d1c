//! The protobuf format: `io.prometheus.client.MetricFamily` messages one after the other, each after its length.
//!
//! Here: families, and which series a metric is, in Prometheus' order. Elsewhere: the fields of one metric (`metric`), its
//! series (`series`), the wire format (`wire`), classic buckets made native (`custom_buckets`).
//!
//! Where a message repeats a field that is to be there once, the last one counts.
//!
//! Invariant: nothing in a body panics, every error names the byte, and of one metric at most so many buckets, quantiles
//! and exemplars are held as a histogram may have.

#[cfg(test)]
pub(crate) mod messages;
mod metric;
mod series;

use std::borrow::Cow;

use storage::{CounterResetHint, Histogram, SCHEMA_MAX};

use self::metric::{Bucket, ClassicParts, Metric, SummaryParts};
pub use self::series::Series;
use self::series::{Bound, Suffix};
use super::custom_buckets::ClassicBuckets;
use super::error::ProtobufError;
use super::{Entry, Exemplar, Kind};
use crate::wire::{Reader, Wire};

/// What becomes of histograms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HistogramRules {
    /// Native ones are read (`scrape_native_histograms`).
    pub native: bool,
    /// Classic series are read even if there is a native histogram (`always_scrape_classic_histograms`).
    pub classic: bool,
    /// Classic ones become native ones with custom buckets (`convert_classic_histograms_to_nhcb`).
    pub custom_buckets: bool,
}

/// One sample of a page.
#[derive(Debug)]
pub struct Sample<'a, 'm> {
    /// Its name and labels.
    pub series: Series<'a>,
    /// What was measured.
    pub value: Value<'m>,
    /// Milliseconds since the epoch, if the page gives a time.
    pub timestamp_ms: Option<i64>,
    /// Since when it has been counting, in milliseconds since the epoch; 0 if the page does not say.
    pub start_ms: i64,
    /// Observations that it is made of.
    pub exemplars: &'m [Exemplar],
}

/// A sample's value.
#[derive(Debug)]
pub enum Value<'m> {
    /// A NaN is always the ordinary one.
    Float(f64),
    /// A sound one, without empty buckets; to be taken.
    Histogram(&'m mut Histogram),
}

/// Hands all that `body` says to `take`, in the order of the body, until either fails.
pub fn read_page<'a, E: From<ProtobufError>>(
    body: &'a [u8],
    rules: HistogramRules,
    mut take: impl FnMut(Entry<'a, Sample<'a, '_>>) -> Result<(), E>,
) -> Result<(), E> {
    let mut page = Reader::new(body, "the page");
    let mut scratch = Scratch::default();
    while !page.is_at_end() {
        let family = page.message("a metric family").map_err(ProtobufError::from)?;
        read_family(family, rules, &mut scratch, &mut take)?;
    }
    Ok(())
}

/// Memory that metrics share.
#[derive(Default)]
struct Scratch<'a> {
    metric: Metric<'a>,
    converter: ClassicBuckets,
    exemplars: Vec<Exemplar>,
}

/// What a family says about itself.
#[derive(Debug, Clone, Copy)]
struct Family<'a> {
    name: &'a str,
    help: &'a str,
    unit: &'a str,
    kind: Kind,
    has_metrics: bool,
}

impl<'a> Family<'a> {
    fn read(mut message: Reader<'a>) -> Result<Self, ProtobufError> {
        let start = message.pos();
        let mut family = Family { name: "", help: "", unit: "", kind: Kind::Counter, has_metrics: false };
        while let Some((number, wire)) = message.field()? {
            match (number, wire) {
                (1, Wire::Len) => family.name = text(&mut message, "the name of a metric family")?,
                (2, Wire::Len) => family.help = text(&mut message, "the help of a metric family")?,
                (3, Wire::Varint) => family.kind = kind_of(&mut message)?,
                (4, Wire::Len) => {
                    message.bytes()?;
                    family.has_metrics = true;
                }
                (5, Wire::Len) => family.unit = text(&mut message, "the unit of a metric family")?,
                (1 | 2 | 5, _) => return Err(message.wrong_wire("a string").into()),
                (3, _) => return Err(message.wrong_wire("a varint").into()),
                (4, _) => return Err(message.wrong_wire("a message").into()),
                _ => message.skip(number, wire)?,
            }
        }
        if family.has_metrics && family.name.is_empty() {
            return Err(ProtobufError::new(start, "a metric family without a name"));
        }
        Ok(family)
    }
}

/// UTF-8.
fn text<'a>(message: &mut Reader<'a>, what: &str) -> Result<&'a str, ProtobufError> {
    let bytes = message.bytes()?;
    let start = message.pos() - bytes.len();
    str::from_utf8(bytes).map_err(|e| ProtobufError::new(start + e.valid_up_to(), format!("{what} is not UTF-8")))
}

fn kind_of(message: &mut Reader<'_>) -> Result<Kind, ProtobufError> {
    let start = message.pos();
    Ok(match message.varint()? {
        0 => Kind::Counter,
        1 => Kind::Gauge,
        2 => Kind::Summary,
        3 => Kind::Unknown,
        4 => Kind::Histogram,
        5 => Kind::GaugeHistogram,
        other => return Err(ProtobufError::new(start, format!("expected a metric type from 0 to 5, found {other}"))),
    })
}

fn read_family<'a, E: From<ProtobufError>>(
    message: Reader<'a>,
    rules: HistogramRules,
    scratch: &mut Scratch<'a>,
    take: &mut impl FnMut(Entry<'a, Sample<'a, '_>>) -> Result<(), E>,
) -> Result<(), E> {
    let family = Family::read(message)?;
    if !family.has_metrics {
        return Ok(());
    }
    let name = || Cow::Borrowed(family.name);
    take(Entry::Help { family: name(), help: Cow::Borrowed(family.help) })?;
    if !family.unit.is_empty() {
        take(Entry::Unit { family: name(), unit: family.unit })?;
    }
    take(Entry::Type { family: name(), kind: family.kind })?;
    let mut rest = message;
    while let Some((number, wire)) = rest.field().map_err(ProtobufError::from)? {
        match (number, wire) {
            (4, Wire::Len) => {
                let metric = rest.message("a metric").map_err(ProtobufError::from)?;
                let place = metric.pos();
                scratch.metric.read(metric, family.kind)?;
                Emitter { family, rules, place, take }.metric(scratch)?;
            }
            _ => rest.skip(number, wire).map_err(ProtobufError::from)?,
        }
    }
    Ok(())
}

/// Makes samples of one metric.
struct Emitter<'a, 't, F> {
    family: Family<'a>,
    rules: HistogramRules,
    /// Where the metric stands in the body.
    place: usize,
    take: &'t mut F,
}

impl<'a, F> Emitter<'a, '_, F> {
    fn metric<E>(&mut self, scratch: &mut Scratch<'a>) -> Result<(), E>
    where
        E: From<ProtobufError>,
        F: FnMut(Entry<'a, Sample<'a, '_>>) -> Result<(), E>,
    {
        let Scratch { metric, converter, exemplars } = scratch;
        match self.family.kind {
            Kind::Summary => self.summary(metric),
            Kind::Histogram | Kind::GaugeHistogram => self.histogram(metric, converter, exemplars),
            _ => self.float(metric, Suffix::None, None, metric.value, metric.exemplar.as_slice()),
        }
    }

    fn float<E>(
        &mut self,
        metric: &Metric<'a>,
        suffix: Suffix,
        bound: Option<Bound>,
        value: f64,
        exemplars: &[Exemplar],
    ) -> Result<(), E>
    where
        F: FnMut(Entry<'a, Sample<'a, '_>>) -> Result<(), E>,
    {
        (self.take)(Entry::Sample(Sample {
            series: Series::new(self.family.name, suffix, bound, metric.labels),
            value: Value::Float(value),
            timestamp_ms: metric.timestamp_ms,
            start_ms: metric.start_ms,
            exemplars,
        }))
    }

    fn summary<E>(&mut self, metric: &Metric<'a>) -> Result<(), E>
    where
        F: FnMut(Entry<'a, Sample<'a, '_>>) -> Result<(), E>,
    {
        let SummaryParts { count, sum, quantiles } = &metric.summary;
        self.float(metric, Suffix::Count, None, *count, &[])?;
        self.float(metric, Suffix::Sum, None, *sum, &[])?;
        for (quantile, value) in quantiles {
            self.float(metric, Suffix::None, Some(Bound::Quantile(*quantile)), *value, &[])?;
        }
        Ok(())
    }

    fn histogram<E>(
        &mut self,
        metric: &mut Metric<'a>,
        converter: &mut ClassicBuckets,
        exemplars: &mut Vec<Exemplar>,
    ) -> Result<(), E>
    where
        E: From<ProtobufError>,
        F: FnMut(Entry<'a, Sample<'a, '_>>) -> Result<(), E>,
    {
        if self.rules.native && metric.is_native() {
            let mut histogram = metric.native.take();
            self.make_sound(&mut histogram)?;
            exemplars_of_native(metric, exemplars);
            self.native(metric, &mut histogram, exemplars)?;
            let has_both = self.rules.classic && !metric.classic.buckets.is_empty();
            return if has_both { self.classic(metric) } else { Ok(()) };
        }
        if self.rules.classic || !self.rules.custom_buckets {
            self.classic(metric)?;
        }
        if self.rules.custom_buckets {
            let mut histogram = convert(&metric.classic, converter).map_err(|fault| self.fault(&fault))?;
            metric.native.exemplars.clear();
            exemplars_of_native(metric, exemplars);
            self.native(metric, &mut histogram, exemplars)?;
        }
        Ok(())
    }

    /// Buckets finer than those that are stored are merged; what is then still wrong fails the page, as in Prometheus.
    fn make_sound(&self, histogram: &mut Histogram) -> Result<(), ProtobufError> {
        if histogram.schema > SCHEMA_MAX {
            // What cannot be reduced is refused by the check.
            let _ = histogram.reduce_to(SCHEMA_MAX);
        }
        histogram.validate().map_err(|error| self.fault(&error.to_string()))?;
        histogram.compact();
        Ok(())
    }

    fn native<E>(&mut self, metric: &Metric<'a>, histogram: &mut Histogram, exemplars: &[Exemplar]) -> Result<(), E>
    where
        F: FnMut(Entry<'a, Sample<'a, '_>>) -> Result<(), E>,
    {
        if self.family.kind == Kind::GaugeHistogram {
            histogram.counter_reset_hint = CounterResetHint::Gauge;
        }
        (self.take)(Entry::Sample(Sample {
            series: Series::new(self.family.name, Suffix::None, None, metric.labels),
            value: Value::Histogram(histogram),
            timestamp_ms: metric.timestamp_ms,
            start_ms: metric.start_ms,
            exemplars,
        }))
    }

    fn classic<E>(&mut self, metric: &Metric<'a>) -> Result<(), E>
    where
        F: FnMut(Entry<'a, Sample<'a, '_>>) -> Result<(), E>,
    {
        let ClassicParts { count, sum, buckets } = &metric.classic;
        self.float(metric, Suffix::Count, None, *count, &[])?;
        self.float(metric, Suffix::Sum, None, *sum, &[])?;
        for bucket in buckets {
            let bound = Some(Bound::Le(bucket.bound));
            self.float(metric, Suffix::Bucket, bound, bucket.count, bucket.exemplar.as_slice())?;
            if bucket.bound == f64::INFINITY {
                return Ok(());
            }
        }
        self.float(metric, Suffix::Bucket, Some(Bound::Le(f64::INFINITY)), *count, &[])
    }

    fn fault(&self, message: &str) -> ProtobufError {
        ProtobufError::new(self.place, format!("histogram {:?}: {message}", self.family.name))
    }
}

/// Those of the native histogram, or else those of the classic buckets; in either case those that have a time.
fn exemplars_of_native(metric: &mut Metric<'_>, out: &mut Vec<Exemplar>) {
    out.clear();
    if metric.native.exemplars.is_empty() {
        out.extend(metric.classic.buckets.iter().filter_map(|bucket| bucket.exemplar.clone()));
    } else {
        out.append(&mut metric.native.exemplars);
    }
    out.retain(|exemplar| exemplar.timestamp_ms.is_some());
    out.sort_by(|a, b| a.timestamp_ms.cmp(&b.timestamp_ms).then(a.value.total_cmp(&b.value)));
}

fn convert(classic: &ClassicParts, converter: &mut ClassicBuckets) -> Result<Histogram, String> {
    converter.clear();
    converter.set_count(classic.count);
    converter.set_sum(classic.sum);
    for Bucket { bound, count, .. } in &classic.buckets {
        converter.set_bucket(*bound, *count);
    }
    converter.convert()
}

#[cfg(test)]
mod tests;
