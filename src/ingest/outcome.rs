//! What became of a push: counts, reasons, and one example for each reason.
//!
//! Here: plain values. Elsewhere: counting it in metrics and saying it to the sender (`api`).

use std::collections::BTreeMap;
use std::fmt;

use storage::{ExemplarsAppended, MetadataAppended, RefuseReason};

/// Why samples were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No label `__name__`.
    MissingMetricName,
    /// More labels than the limit.
    MaxLabelNamesPerSeries,
    /// A label without a name, or text that is not UTF-8.
    LabelInvalid,
    /// A label's name is longer than the limit.
    LabelNameTooLong,
    /// A label's value is longer than the limit.
    LabelValueTooLong,
    /// The same label twice.
    DuplicateLabelNames,
    /// Same series and time, another value.
    DuplicateTimestamp,
    /// Older than retention reaches.
    TooOld,
    /// Ahead of the clock.
    TooFarInFuture,
    /// The database did not know the series, even by its labels.
    UnknownSeries,
    /// A native histogram that breaks Prometheus' rules.
    InvalidHistogram,
}

impl Reason {
    /// For the label `reason` of `discarded_samples_total`, Mimir's values where it has them.
    pub fn as_label(self) -> &'static str {
        match self {
            Reason::MissingMetricName => "missing_metric_name",
            Reason::MaxLabelNamesPerSeries => "max_label_names_per_series",
            Reason::LabelInvalid => "label_invalid",
            Reason::LabelNameTooLong => "label_name_too_long",
            Reason::LabelValueTooLong => "label_value_too_long",
            Reason::DuplicateLabelNames => "duplicate_label_names",
            Reason::DuplicateTimestamp => "new-value-for-timestamp",
            Reason::TooOld => "sample-timestamp-too-old",
            Reason::TooFarInFuture => "too_far_in_future",
            Reason::UnknownSeries => "unknown_series",
            Reason::InvalidHistogram => "invalid-native-histogram",
        }
    }

    /// The identifier in messages, as Mimir's clients know it.
    pub fn as_error_id(self) -> &'static str {
        match self {
            Reason::MissingMetricName => "err-mimir-missing-metric-name",
            Reason::MaxLabelNamesPerSeries => "err-mimir-max-label-names-per-series",
            Reason::LabelInvalid => "err-mimir-label-invalid",
            Reason::LabelNameTooLong => "err-mimir-label-name-too-long",
            Reason::LabelValueTooLong => "err-mimir-label-value-too-long",
            Reason::DuplicateLabelNames => "err-mimir-duplicate-label-names",
            Reason::DuplicateTimestamp => "err-mimir-sample-duplicate-timestamp",
            Reason::TooOld => "err-mimir-sample-timestamp-too-old",
            Reason::TooFarInFuture => "err-mimir-too-far-in-future",
            Reason::UnknownSeries => "err-cairn-unknown-series",
            Reason::InvalidHistogram => "err-cairn-invalid-native-histogram",
        }
    }

    pub(super) fn of_refusal(reason: RefuseReason) -> Self {
        match reason {
            RefuseReason::DuplicateTimestamp => Reason::DuplicateTimestamp,
            // Pushes do not ask for the latter.
            RefuseReason::TooOld | RefuseReason::NotNewest => Reason::TooOld,
            RefuseReason::TooFarInFuture => Reason::TooFarInFuture,
            RefuseReason::UnknownSeries => Reason::UnknownSeries,
            RefuseReason::NoLabels => Reason::MissingMetricName,
            RefuseReason::InvalidHistogram => Reason::InvalidHistogram,
        }
    }
}

/// Samples left out for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discarded {
    /// How many.
    pub samples: u64,
    /// The first of them, in words.
    pub example: String,
}

/// What became of a push whose body was sound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteOutcome {
    /// Samples stored, native histograms included.
    pub accepted: u64,
    /// Samples that were there already with the same value; success.
    pub duplicates: u64,
    /// Of the samples stored or there already, those that are native histograms.
    pub histograms: u64,
    /// Series created.
    pub series_created: u64,
    /// Samples left out: the sender made a mistake, and repeating it does not help (400).
    pub discarded: BTreeMap<Reason, Discarded>,
    /// What became of exemplars; refusals are no mistake that the sender is told of, as in Prometheus.
    pub exemplars: ExemplarsAppended,
    /// What became of metadata; likewise.
    pub metadata: MetadataAppended,
    /// Exemplars and metadata left out since they are no text or belong to no valid series.
    pub extras_invalid: u64,
}

impl WriteOutcome {
    /// Samples left out, for all reasons.
    pub fn discarded_samples(&self) -> u64 {
        self.discarded.values().map(|d| d.samples).sum()
    }

    /// What the sender is told if anything was left out: the first example of each reason and the counts.
    pub fn message(&self) -> Option<String> {
        if self.discarded.is_empty() {
            return None;
        }
        let line = |(reason, d): (&Reason, &Discarded)| {
            format!("{} ({}), {} samples", d.example, reason.as_error_id(), d.samples)
        };
        let lines: Vec<String> = self.discarded.iter().map(line).collect();
        Some(format!("{} samples were not stored: {}", self.discarded_samples(), lines.join("; ")))
    }

    /// Counts `samples` under `reason`; `example` is asked for only the first time.
    pub(super) fn discard(&mut self, reason: Reason, samples: u64, example: impl FnOnce() -> String) {
        let entry = self.discarded.entry(reason).or_insert_with(|| Discarded { samples: 0, example: example() });
        entry.samples += samples;
    }
}

/// At most this many characters of foreign text in a message.
const EXCERPT_CHARS: usize = 200;

/// Foreign text for a message: cut, and harmless in a log line.
pub(super) struct Excerpt<'a>(pub(super) &'a str);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.chars();
        for c in chars.by_ref().take(EXCERPT_CHARS) {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
        }
        if chars.next().is_some() { f.write_str("…") } else { Ok(()) }
    }
}
