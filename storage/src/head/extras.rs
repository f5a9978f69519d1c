//! What the head has besides floats: native histograms, start timestamps, exemplars, metadata.
//!
//! Here: the head's side of them. Elsewhere: each of them (`histogram::head`, `starts`, `exemplar`, `metadata`).
//!
//! Invariant: a series may have floats and histograms, but not at one time.

use super::Head;
use super::series::Verdict;
use crate::exemplar::ExemplarRing;
use crate::histogram::Histogram;
use crate::histogram::head::{HeadHistograms, HistogramChunk};
use crate::index::SeriesRef;
use crate::metadata::MetadataTable;
use crate::starts::{Changes, HeadStarts, WalStarts};
use crate::{SeriesId, TimeRange};

/// All of them. Series that have none of it take no memory here.
#[derive(Debug)]
pub(super) struct Extras {
    pub(super) histograms: HeadHistograms,
    pub(super) starts: HeadStarts,
    exemplars: ExemplarRing,
    metadata: MetadataTable,
}

impl Default for Extras {
    fn default() -> Self {
        Extras {
            histograms: HeadHistograms::default(),
            starts: HeadStarts::default(),
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

    /// Start timestamps of all series.
    #[inline]
    pub(crate) fn starts(&self) -> &HeadStarts {
        &self.extras.starts
    }

    /// The same, to change them.
    pub(crate) fn starts_mut(&mut self) -> &mut HeadStarts {
        &mut self.extras.starts
    }

    /// The newest sample that the series may have, of either kind.
    pub(crate) fn newest_t(&self, series: SeriesRef) -> Option<i64> {
        let last_t = self.pages.get(series).map(|s| s.last_t()).filter(|t| *t > i64::MIN);
        last_t.max(self.extras.histograms.range(series).map(|(_, max_t)| max_t))
    }

    /// Does what a record of `segment` says.
    pub(crate) fn note_starts(&mut self, said: &WalStarts, segment: u64) {
        let series = |id: u64| SeriesRef::try_from(id).ok();
        for s in &said.holding {
            series(s.id).into_iter().for_each(|series| self.extras.starts.hold(series, s.t, s.start, segment));
        }
        for s in &said.single {
            series(s.id).into_iter().for_each(|series| self.extras.starts.put(series, s.t, s.start));
        }
    }

    /// Takes back what was noted of a series that did not come to be.
    pub(crate) fn forget_starts(&mut self, id: SeriesId) {
        SeriesRef::try_from(id.0).into_iter().for_each(|series| self.extras.starts.remove(series));
    }

    /// Forgets the starts of samples that one page has no more.
    pub(crate) fn trim_starts(&mut self, page: usize) {
        for (series, s) in self.pages.page(page) {
            let oldest = join(s.range(), self.extras.histograms.range(series)).map(|(min_t, _)| min_t);
            self.extras.starts.trim(series, oldest);
        }
    }

    /// The starts of a series' samples in `range`, if one has any.
    pub(crate) fn starts_of(&self, series: SeriesRef, range: TimeRange) -> Option<Changes> {
        let own = self.extras.starts.of(series)?;
        Some(own.clipped(range.min_t, range.max_t)).filter(|changes| !changes.is_empty())
    }

    /// Native histograms of all series.
    pub(crate) fn histograms(&self) -> &HeadHistograms {
        &self.extras.histograms
    }
}
