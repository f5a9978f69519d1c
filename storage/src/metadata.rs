//! Metadata: what metrics mean - type, help text, unit.
//!
//! Here: the table of one `Db`, its limits and what of it must be written down.
//! Elsewhere: its way through log and snapshot (`append`, `snapshot`); several differing descriptions of one metric
//! (the server keeps those in memory).
//!
//! Invariant: one description for each metric, the last one that was told; no more than the limits allow.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Most bytes of one text; longer ones are cut.
pub const METADATA_TEXT_BYTES_MAX: usize = 4096;

/// What a metric means.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetricMetadata {
    /// `counter`, `gauge`, `histogram`, … or `unknown`.
    pub kind: Arc<str>,
    /// In words.
    pub help: Arc<str>,
    /// Unit of its values, mostly empty.
    pub unit: Arc<str>,
}

impl MetricMetadata {
    /// From texts, cut to [`METADATA_TEXT_BYTES_MAX`] bytes each.
    pub fn new(kind: &str, help: &str, unit: &str) -> Self {
        MetricMetadata { kind: cut(kind).into(), help: cut(help).into(), unit: cut(unit).into() }
    }
}

fn cut(text: &str) -> &str {
    let end = (0..=METADATA_TEXT_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// What became of descriptions.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct MetadataAppended {
    /// New or changed.
    pub changed: u64,
    /// Known already.
    pub unchanged: u64,
    /// Of metrics beyond [`crate::Options::metadata_max`]; the metrics themselves are stored all the same.
    pub over_limit: u64,
    /// Without a name or with one that is too long.
    pub invalid: u64,
}

impl MetadataAppended {
    pub(crate) fn count(&mut self, verdict: MetadataVerdict) {
        match verdict {
            MetadataVerdict::Change => self.changed += 1,
            MetadataVerdict::Known => self.unchanged += 1,
            MetadataVerdict::OverLimit => self.over_limit += 1,
            MetadataVerdict::Invalid => self.invalid += 1,
        }
    }
}

/// What is to become of a description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetadataVerdict {
    Change,
    Known,
    OverLimit,
    Invalid,
}

/// Metric name -> what it means.
#[derive(Debug)]
pub(crate) struct MetadataTable {
    max: usize,
    metrics: BTreeMap<Arc<str>, MetricMetadata>,
}

impl MetadataTable {
    /// An empty table of at most `max` metrics.
    pub(crate) fn new(max: usize) -> Self {
        MetadataTable { max, metrics: BTreeMap::new() }
    }

    /// What would become of a description; changes nothing. Only what is [`MetadataVerdict::Change`] need be logged.
    pub(crate) fn check(&self, metric: &str, told: &MetricMetadata) -> MetadataVerdict {
        if metric.is_empty() || metric.len() > METADATA_TEXT_BYTES_MAX {
            return MetadataVerdict::Invalid;
        }
        match self.metrics.get(metric) {
            Some(known) if known == told => MetadataVerdict::Known,
            None if self.metrics.len() >= self.max => MetadataVerdict::OverLimit,
            _ => MetadataVerdict::Change,
        }
    }

    /// Takes a description.
    pub(crate) fn set(&mut self, metric: &str, told: MetricMetadata, done: &mut MetadataAppended) {
        let verdict = self.check(metric, &told);
        done.count(verdict);
        if verdict != MetadataVerdict::Change {
            return;
        }
        match self.metrics.get_mut(metric) {
            Some(known) => *known = told,
            None => {
                self.metrics.insert(metric.into(), told);
            }
        }
    }

    /// How many metrics are described.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.metrics.len()
    }

    /// Metrics and what they mean in order of name; with `metric` only that one.
    pub(crate) fn list(&self, metric: Option<&str>) -> Vec<(Arc<str>, MetricMetadata)> {
        match metric {
            Some(metric) => {
                self.metrics.get_key_value(metric).map(|(m, d)| (m.clone(), d.clone())).into_iter().collect()
            }
            None => self.metrics.iter().map(|(m, d)| (m.clone(), d.clone())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_description_wins_within_the_limits() {
        let mut table = MetadataTable::new(2);
        let mut done = MetadataAppended::default();
        table.set("up", MetricMetadata::new("gauge", "Up.", ""), &mut done);
        table.set("up", MetricMetadata::new("gauge", "Up.", ""), &mut done);
        table.set("up", MetricMetadata::new("gauge", "Is it up?", ""), &mut done);
        table.set("down", MetricMetadata::new("gauge", "", ""), &mut done);
        table.set("sideways", MetricMetadata::new("gauge", "", ""), &mut done);
        table.set("", MetricMetadata::new("gauge", "", ""), &mut done);
        table.set(&"x".repeat(5000), MetricMetadata::new("gauge", "", ""), &mut done);
        assert_eq!(done, MetadataAppended { changed: 3, unchanged: 1, over_limit: 1, invalid: 2 });
        assert_eq!(table.len(), 2);
        assert_eq!(&*table.list(Some("up"))[0].1.help, "Is it up?");
        assert_eq!(table.list(None).iter().map(|(m, _)| &**m).collect::<Vec<_>>(), ["down", "up"]);
        assert!(table.list(Some("sideways")).is_empty());
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let told = MetricMetadata::new("counter", &"ä".repeat(METADATA_TEXT_BYTES_MAX), "");
        assert_eq!(told.help.len(), METADATA_TEXT_BYTES_MAX);
        let told = MetricMetadata::new("counter", &format!("x{}", "ä".repeat(METADATA_TEXT_BYTES_MAX)), "");
        assert_eq!(told.help.len(), METADATA_TEXT_BYTES_MAX - 1);
    }
}
