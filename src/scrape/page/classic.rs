//! Classic histograms of text pages become native ones with custom buckets (`convert_classic_histograms_to_nhcb`).
//!
//! Here: which lines belong together: those of one family that its `# TYPE` calls a histogram, one after the other, with the
//! same labels but for `le`. Elsewhere: the conversion (`exposition`), the protobuf format, where a histogram is one message.
//!
//! A histogram whose counts contradict each other is left out, as in Prometheus.

use storage::{Histogram, METRIC_NAME};

use super::series::Joined;
use crate::exposition::custom_buckets::ClassicBuckets;
use crate::exposition::error::ParseError;
use crate::exposition::series::Pairs;
use crate::exposition::{Exemplar, Kind, Sample};

/// The lines at hand.
#[derive(Default)]
pub(super) struct ClassicSeries<'a> {
    family: String,
    is_histogram: bool,
    group: Option<Made<'a>>,
    buckets: ClassicBuckets,
}

/// What has become of some lines.
pub(super) struct Made<'a> {
    pub(super) series: Joined<'a>,
    /// Of the first of them.
    pub(super) timestamp_ms: Option<i64>,
    /// Nothing before the last one is read.
    pub(super) histogram: Histogram,
    /// Those that have a time, oldest first.
    pub(super) exemplars: Vec<Exemplar>,
}

/// What a line adds.
enum Part {
    Bucket(f64),
    Count,
    Sum,
}

impl<'a> ClassicSeries<'a> {
    /// `# TYPE`
    pub(super) fn set_kind(&mut self, family: &str, kind: Kind) {
        family.clone_into(&mut self.family);
        self.is_histogram = kind == Kind::Histogram;
    }

    /// Whether the line is part of a histogram; and the histogram that it ends, if it does not belong to that.
    pub(super) fn take(&mut self, sample: &Sample<'a>) -> Result<(bool, Option<Made<'a>>), ParseError> {
        let mut pairs = Pairs::new();
        let part = match self.is_histogram && self.may_have_part(sample.series.text()) {
            true => {
                sample.series.read_pairs(&mut pairs)?;
                self.part_of(&mut pairs)
            }
            false => None,
        };
        let Some(part) = part else { return Ok((false, self.end())) };
        let made = match &self.group {
            Some(made) if made.series.pairs == pairs => None,
            _ => self.end(),
        };
        let group = self.group.get_or_insert_with(|| Made {
            series: Joined { pairs, first: sample.series },
            timestamp_ms: sample.timestamp_ms,
            histogram: Histogram::default(),
            exemplars: Vec::new(),
        });
        group.exemplars.extend(sample.exemplar.as_deref().filter(|e| e.timestamp_ms.is_some()).cloned());
        match part {
            Part::Bucket(bound) => self.buckets.set_bucket(bound, sample.value),
            Part::Count => self.buckets.set_count(sample.value),
            Part::Sum => self.buckets.set_sum(sample.value),
        }
        Ok((true, made))
    }

    /// The histogram at hand, if there is one.
    pub(super) fn end(&mut self) -> Option<Made<'a>> {
        let mut made = self.group.take()?;
        let histogram = self.buckets.convert();
        self.buckets.clear();
        made.histogram = histogram.ok()?;
        made.exemplars.sort_by(|a, b| a.timestamp_ms.cmp(&b.timestamp_ms).then(a.value.total_cmp(&b.value)));
        Some(made)
    }

    /// Saves decoding labels of lines that are about something else.
    fn may_have_part(&self, text: &str) -> bool {
        text.trim_start_matches(['{', '"', ' ', '\t']).starts_with(&self.family) || text.contains('\\')
    }

    /// Which part a series is; `pairs` become those of the histogram, sorted.
    fn part_of(&self, pairs: &mut Pairs<'a>) -> Option<Part> {
        let name = pairs.iter_mut().find(|(name, _)| name == METRIC_NAME)?;
        let suffix = name.1.strip_prefix(self.family.as_str())?.to_owned();
        name.1 = self.family.clone().into();
        let bound = pairs.iter().find(|(name, _)| name == "le").and_then(|(_, bound)| bound.parse::<f64>().ok());
        let part = match suffix.as_str() {
            "_bucket" => Part::Bucket(bound.filter(|bound| !bound.is_nan())?),
            "_count" => Part::Count,
            "_sum" => Part::Sum,
            _ => return None,
        };
        pairs.retain(|(name, _)| name != "le");
        pairs.sort_unstable();
        Some(part)
    }
}
