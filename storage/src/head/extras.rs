//! What the head has besides floats: native histograms, exemplars, metadata.
//!
//! Here: the head's side of them. Elsewhere: each of them (`histogram::head`, `exemplar`, `metadata`).
//!
//! Invariant: a series may have floats and histograms, but not at one time.

use super::Head;
use super::series::Verdict;
use crate::exemplar::ExemplarRing;
use crate::histogram::Histogram;
use crate::histogram::head::{HeadHistograms, HistogramChunk};
use crate::index::SeriesRef;
use crate::metadata::MetadataTable;

/// All of them. Series that have none of it take no memory here.
#[derive(Debug)]
pub(super) struct Extras {
    pub(super) histograms: HeadHistograms,
    exemplars: ExemplarRing,
    metadata: MetadataTable,
}

impl Default for Extras {
    fn default() -> Self {
        Extras {
            histograms: HeadHistograms::default(),
            exemplars: ExemplarRing::new(0),
            metadata: MetadataTable::new(0),
        }
    }
}

/// The range that holds both.
pub(super) fn join(a: Option<(i64, i64)>, b: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

impl Head {
    /// Whether a float at `t` would stand beside a histogram.
    #[inline]
    pub(super) fn has_histogram_at(&self, series: SeriesRef, t: i64) -> bool {
        !self.extras.histograms.is_empty() && self.extras.histograms.has_at(series, t)
    }

    /// What would become of a native histogram; changes nothing.
    pub(crate) fn check_histogram(&self, series: SeriesRef, t: i64, histogram: &Histogram) -> Verdict {
        // Any value will do: only whether the time is free is asked.
        let is_free = self.pages.get(series).is_none_or(|s| s.check(t, 0.0) == Verdict::Accept);
        if is_free { self.extras.histograms.check(series, t, histogram) } else { Verdict::Conflict }
    }

    /// Takes a valid native histogram of a series that is here.
    pub(crate) fn push_histogram(&mut self, series: SeriesRef, t: i64, histogram: &Histogram) -> Verdict {
        let mut verdict = self.check_histogram(series, t, histogram);
        if verdict == Verdict::Accept {
            verdict = self.extras.histograms.push(series, t, histogram, self.window.block_ms());
            self.fresh_min = self.fresh_min.min(t);
            self.range = Some(self.range.map_or((t, t), |(min, max)| (min.min(t), max.max(t))));
        }
        verdict
    }

    /// Puts back a chunk of histograms from a snapshot, those of a series in order of time. False if the series is not
    /// there, `None` if the chunk is not sound; nothing is done then.
    pub(crate) fn restore_histograms(&mut self, series: SeriesRef, chunk: HistogramChunk) -> Option<bool> {
        if self.pages.get(series).is_none() {
            return Some(false);
        }
        let span = (chunk.min_t, chunk.max_t);
        self.extras.histograms.restore(series, chunk)?;
        self.range = join(self.range, Some(span));
        Some(true)
    }

    /// Oldest and newest sample of a series, given that of its floats.
    pub(super) fn join_range(&self, series: SeriesRef, floats: Option<(i64, i64)>) -> Option<(i64, i64)> {
        join(floats, self.extras.histograms.range(series))
    }

    /// Says how many exemplars and descriptions are kept; none before. Both are empty afterwards.
    pub(crate) fn set_limits(&mut self, exemplars_max: usize, metadata_max: usize) {
        self.extras.exemplars = ExemplarRing::new(exemplars_max);
        self.extras.metadata = MetadataTable::new(metadata_max);
    }

    /// The newest exemplars.
    pub(crate) fn exemplars(&self) -> &ExemplarRing {
        &self.extras.exemplars
    }

    /// The same, to change them.
    pub(crate) fn exemplars_mut(&mut self) -> &mut ExemplarRing {
        &mut self.extras.exemplars
    }

    /// What metrics mean.
    pub(crate) fn metadata(&self) -> &MetadataTable {
        &self.extras.metadata
    }

    /// The same, to change it.
    pub(crate) fn metadata_mut(&mut self) -> &mut MetadataTable {
        &mut self.extras.metadata
    }

    /// Native histograms of all series.
    pub(crate) fn histograms(&self) -> &HeadHistograms {
        &self.extras.histograms
    }
}
