//! What a request of remote write 2.0 has besides floats.
//!
//! Here: the same second walk as `extras` makes, for messages that name symbols. Elsewhere: the rules for what is found
//! (`extras`), floats (`remote_write_2`).
//!
//! Metadata stands with each series there: it is kept once for each metric of a request, under the name that scrapes give
//! it, so without the suffixes of classic histograms and summaries.

use std::collections::HashSet;

use storage::{Exemplar, Labels, METRIC_NAME, MetricMetadata};

use super::extras::{Extras, exemplar_labels};
use super::histogram::read_started_histogram;
use super::labels::label_set;
use super::outcome::{Reason, WriteOutcome};
use super::remote_write::{REQUEST, SERIES};
use super::remote_write_2::{Metadata, Symbols, read_refs};
use super::{IngestError, WriteLimits};
use crate::wire::{DecodeError, Reader, Wire};

/// So many buckets weigh as one sample against the limit of samples.
const BUCKETS_PER_SAMPLE: usize = 8;

/// A walk over one request.
struct Walk<'a, 'w> {
    symbols: Symbols<'a>,
    limits: &'w WriteLimits,
    has_types: bool,
    outcome: &'w mut WriteOutcome,
    /// Metrics whose metadata was read.
    told: HashSet<&'a str>,
    found: Extras,
}

/// What the message of a series is made of, read once.
#[derive(Default)]
struct Parts<'a> {
    refs: Vec<u32>,
    histograms: Vec<Reader<'a>>,
    exemplars: Vec<Reader<'a>>,
    metadata: Option<Reader<'a>>,
}

impl Extras {
    /// As [`Extras::read`], of version 2.0; `has_types` as for `decode_write_request_2`.
    pub(super) fn read_2(
        body: &[u8],
        limits: &WriteLimits,
        has_types: bool,
        outcome: &mut WriteOutcome,
    ) -> Result<Self, IngestError> {
        let symbols = Symbols::read(body, limits)?;
        let mut walk = Walk { symbols, limits, has_types, outcome, told: HashSet::new(), found: Extras::default() };
        let mut request = Reader::new(body, REQUEST);
        while let Some((number, wire)) = request.field()? {
            match (number, wire) {
                (5, Wire::Len) => walk.series(request.message(SERIES)?)?,
                _ => request.skip(number, wire)?,
            }
        }
        Ok(walk.found)
    }
}

impl<'a> Walk<'a, '_> {
    fn series(&mut self, mut reader: Reader<'a>) -> Result<(), IngestError> {
        let mut parts = Parts::default();
        while let Some((number, wire)) = reader.field()? {
            match (number, wire) {
                (1, wire) => read_refs(&mut reader, wire, &mut parts.refs)?,
                (3, Wire::Len) => parts.histograms.push(reader.message("a histogram")?),
                (4, Wire::Len) => parts.exemplars.push(reader.message("an exemplar")?),
                (5, Wire::Len) => parts.metadata = Some(reader.message("metadata")?).filter(|m| !m.is_at_end()),
                _ => reader.skip(number, wire)?,
            }
            self.found.weigh(usize::from(matches!(number, 3 | 4)), self.limits)?;
        }
        let mut pairs = Vec::new();
        self.symbols.pairs(&parts.refs, &reader, &mut pairs)?;
        if let Some(metadata) = parts.metadata {
            let metadata = self.symbols.metadata(metadata)?;
            self.take_metadata(&pairs, metadata)?;
            if self.has_types {
                metadata.put_labels(&mut pairs);
            }
        }
        if parts.histograms.is_empty() && parts.exemplars.is_empty() {
            return Ok(());
        }
        let labels = label_set(&pairs, self.limits, &mut Vec::new());
        for message in parts.histograms {
            self.histogram(&labels, message)?;
        }
        for message in parts.exemplars {
            match (&labels, self.exemplar(message)?) {
                (Ok(labels), Some(exemplar)) => self.found.exemplars.push((labels.clone(), exemplar)),
                _ => self.found.invalid += 1,
            }
        }
        Ok(())
    }

    fn histogram(&mut self, labels: &Result<Labels, (Reason, String)>, message: Reader<'_>) -> Result<(), IngestError> {
        let (t, start, histogram) = read_started_histogram(message)?;
        self.found.weigh(histogram.bucket_count() / BUCKETS_PER_SAMPLE, self.limits)?;
        match labels {
            Ok(labels) => self.found.take_histogram(labels, (t, start), histogram, self.outcome),
            Err((reason, example)) => self.outcome.discard(*reason, 1, || example.clone()),
        }
        Ok(())
    }

    fn exemplar(&mut self, mut message: Reader<'_>) -> Result<Option<Exemplar>, DecodeError> {
        let (mut refs, mut t, mut v) = (Vec::new(), 0, 0.0);
        while let Some((number, wire)) = message.field()? {
            match (number, wire) {
                (1, wire) => read_refs(&mut message, wire, &mut refs)?,
                (2, Wire::Fixed64) => v = f64::from_bits(message.fixed64()?),
                (3, Wire::Varint) => t = message.varint()?.cast_signed(),
                (2, _) => return Err(message.wrong_wire("a double")),
                (3, _) => return Err(message.wrong_wire("a varint")),
                _ => message.skip(number, wire)?,
            }
        }
        let mut pairs = Vec::new();
        self.symbols.pairs(&refs, &message, &mut pairs)?;
        Ok(exemplar_labels(&pairs).map(|labels| Exemplar { labels, t, v }))
    }

    fn take_metadata(
        &mut self,
        pairs: &[(&'a [u8], &'a [u8])],
        Metadata { kind, help, unit }: Metadata<'_>,
    ) -> Result<(), IngestError> {
        let texts = [help, unit].map(str::from_utf8);
        let name = pairs.iter().find(|(name, _)| *name == METRIC_NAME.as_bytes()).map(|(_, value)| *value);
        let name = name.and_then(|name| str::from_utf8(name).ok()).filter(|name| !name.is_empty());
        let (Some(name), [Ok(help), Ok(unit)]) = (name, texts) else {
            self.found.invalid += 1;
            return Ok(());
        };
        let metric = family(name, kind);
        if self.told.insert(metric) {
            self.found.weigh(1, self.limits)?;
            self.found.metadata.push((metric.to_owned(), MetricMetadata::new(kind, help, unit)));
        }
        Ok(())
    }
}

/// The metric that a series of it belongs to.
fn family<'n>(name: &'n str, kind: &str) -> &'n str {
    let suffixes: &[&str] = match kind {
        "histogram" | "gaugehistogram" => &["_bucket", "_count", "_sum"],
        "summary" => &["_count", "_sum"],
        _ => &[],
    };
    suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).filter(|name| !name.is_empty()).unwrap_or(name)
}
