//! Batches: what is appended, and what became of it.
//!
//! Here: [`Batch`], [`Appended`] and the reasons for refusal.
//! Elsewhere: the way into log and head (`append`).
//!
//! Invariant: a refusal concerns one sample; the rest of its batch is stored.

use crate::wal::record::WalSample;
use crate::{Histogram, Labels, SeriesId};

/// One request's samples, appended together. Keep and reuse it: its memory is recycled.
#[derive(Debug, Default)]
pub struct Batch {
    /// In batch order, as the log wants them: a batch of known series is logged as it stands. The `id` is the series'
    /// number, or [`NEW`] and the place among `new`.
    pub(crate) samples: Vec<WalSample>,
    /// Series that came with their labels, in the order of their first samples.
    pub(crate) new: Vec<NewSeries>,
    /// After an append: the entries that were refused before they had a series, rising.
    pub(crate) without_id: Vec<usize>,
    /// Native histograms, which have places of their own.
    pub(crate) histograms: Vec<BatchHistogram>,
    /// Start timestamps of samples: place and start, by rising place. Most batches have none.
    pub(crate) starts: Vec<(usize, i64)>,
    /// Places of samples that are stored only if they are newer than all others of their series, rising.
    pub(crate) newest_only: Vec<usize>,
    /// The last append came to its end.
    pub(crate) is_appended: bool,
}

/// A native histogram on its way.
#[derive(Debug)]
pub(crate) struct BatchHistogram {
    pub(crate) series: HistogramSeries,
    pub(crate) t: i64,
    pub(crate) histogram: Histogram,
    /// Its start timestamp, 0 if it has none.
    pub(crate) start: i64,
    /// Whether it is stored only if it is newer than all samples of its series.
    pub(crate) newest_only: bool,
    /// Once an append has found or created its series.
    pub(crate) id: Option<SeriesId>,
}

#[derive(Debug)]
pub(crate) enum HistogramSeries {
    Known(SeriesId),
    New(Labels),
}

/// A series of a batch that came with its labels.
#[derive(Debug)]
pub(crate) struct NewSeries {
    pub(crate) labels: Labels,
    /// Once an append has found or created it.
    pub(crate) id: Option<SeriesId>,
}

/// This bit of a sample's `id` says that the rest is a place among the batch's new series.
pub(crate) const NEW: u64 = 1 << 63;

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Times of all its samples and histograms.
    pub(crate) fn times(&self) -> impl Iterator<Item = i64> + Clone {
        self.samples.iter().map(|s| s.t).chain(self.histograms.iter().map(|h| h.t))
    }

    /// Adds a sample of the series with these labels, creating the series at append if need be. Several samples of one
    /// series cost least one after the other.
    pub fn push(&mut self, labels: Labels, t: i64, v: f64) {
        if self.new.last().is_none_or(|last| last.labels != labels) {
            self.new.push(NewSeries { labels, id: None });
        }
        self.samples.push(WalSample { id: NEW | (self.new.len() as u64 - 1), t, v });
    }

    /// Adds a sample of a series whose id an earlier append gave ([`Batch::id`]): the fast lane.
    #[inline]
    pub fn push_known(&mut self, id: SeriesId, t: i64, v: f64) {
        // An id that no append gave is refused at append, whatever its bits.
        self.samples.push(WalSample { id: id.0.min(NEW - 1), t, v });
    }

    /// Adds a native histogram of the series with these labels, creating the series at append if need be. Histograms
    /// are numbered apart from the samples that are floats, and stored after them.
    pub fn push_histogram(&mut self, labels: Labels, t: i64, histogram: Histogram) {
        self.push_histogram_of(HistogramSeries::New(labels), t, histogram);
    }

    /// Adds a native histogram of a series whose id an earlier append gave.
    pub fn push_known_histogram(&mut self, id: SeriesId, t: i64, histogram: Histogram) {
        self.push_histogram_of(HistogramSeries::Known(id), t, histogram);
    }

    fn push_histogram_of(&mut self, series: HistogramSeries, t: i64, histogram: Histogram) {
        self.histograms.push(BatchHistogram { series, t, histogram, start: 0, newest_only: false, id: None });
    }

    /// Adds a zero at `t` to the series of the sample at `index`: where its counter began. It is stored only if the series
    /// has no sample of that time or later, those of this batch aside; else refused with [`RefuseReason::NotNewest`].
    pub fn push_zero_of(&mut self, index: usize, t: i64) {
        let Some(sample) = self.samples.get(index) else { return };
        self.newest_only.push(self.samples.len());
        self.samples.push(WalSample { id: sample.id, t, v: 0.0 });
    }

    /// The same for native histogram `index`: one of its kind and layout without observations.
    pub fn push_zero_histogram_of(&mut self, index: usize, t: i64) {
        let Some(entry) = self.histograms.get(index) else { return };
        let series = match &entry.series {
            HistogramSeries::Known(id) => HistogramSeries::Known(*id),
            HistogramSeries::New(labels) => HistogramSeries::New(labels.clone()),
        };
        let histogram = entry.histogram.zero();
        self.push_histogram_of(series, t, histogram);
        self.histograms.iter_mut().last().into_iter().for_each(|last| last.newest_only = true);
    }

    /// Says since when (milliseconds since the epoch) the counter of the sample that was pushed last has been counting;
    /// 0 means that nobody knows, as without this. It is kept as it is, also where it makes no sense.
    pub fn set_start(&mut self, start: i64) {
        if let Some(last) = self.samples.len().checked_sub(1).filter(|_| start != 0) {
            self.starts.push((last, start));
        }
    }

    /// The same of the sample at `index`, whatever was pushed since. Cheapest for the last one that has a start.
    pub fn set_start_of(&mut self, index: usize, start: i64) {
        if start == 0 || index >= self.samples.len() {
            return;
        }
        match self.starts.binary_search_by_key(&index, |(there, _)| *there) {
            Ok(at) => self.starts[at].1 = start,
            Err(at) => self.starts.insert(at, (index, start)),
        }
    }

    /// The start of the sample at `index`, 0 if it has none.
    pub fn start_of(&self, index: usize) -> i64 {
        let found = self.starts.binary_search_by_key(&index, |(there, _)| *there);
        found.map_or(0, |at| self.starts[at].1)
    }

    /// The same of the native histogram that was pushed last.
    pub fn set_histogram_start(&mut self, start: i64) {
        if let Some(last) = self.histograms.last_mut() {
            last.start = start;
        }
    }

    /// The same of native histogram `index`, whatever was pushed since.
    pub fn set_histogram_start_of(&mut self, index: usize, start: i64) {
        if let Some(entry) = self.histograms.get_mut(index) {
            entry.start = start;
        }
    }

    /// Native histogram `index` with its start, 0 if it has none.
    pub fn histogram(&self, index: usize) -> Option<(&Histogram, i64)> {
        self.histograms.get(index).map(|entry| (&entry.histogram, entry.start))
    }

    /// Number of native histograms.
    pub fn histogram_count(&self) -> usize {
        self.histograms.len()
    }

    /// After an append: the series of native histogram `index`, `None` where it was refused before it had one.
    pub fn histogram_id(&self, index: usize) -> Option<SeriesId> {
        self.histograms.get(index).filter(|_| self.is_appended)?.id
    }

    /// Number of samples that are floats.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// True if there is no sample, of either kind.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty() && self.histograms.is_empty()
    }

    /// Empties the batch, keeping its memory.
    pub fn clear(&mut self) {
        self.samples.clear();
        self.new.clear();
        self.histograms.clear();
        self.starts.clear();
        self.newest_only.clear();
        self.forget_ids();
    }

    /// After an append: the series of entry `index`, `None` where the entry was refused before it had one.
    pub fn id(&self, index: usize) -> Option<SeriesId> {
        let id = self.samples.get(index)?.id;
        if !self.is_appended || self.without_id.binary_search(&index).is_ok() {
            return None;
        }
        if id & NEW == 0 { Some(SeriesId(id)) } else { self.new.get((id & !NEW) as usize)?.id }
    }

    /// As before any append.
    pub(crate) fn forget_ids(&mut self) {
        self.new.iter_mut().for_each(|series| series.id = None);
        self.without_id.clear();
        self.is_appended = false;
    }
}

/// What became of a batch. Refusals are values, not errors: the rest of the batch is stored.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Appended {
    /// Samples stored.
    pub accepted: u64,
    /// Samples that were there already with the same value; counted as success.
    pub duplicates: u64,
    /// Series created.
    pub series_created: u64,
    /// The samples that were not stored, in batch order.
    pub refused: Vec<Refused>,
    /// The same for native histograms, by their own places.
    pub refused_histograms: Vec<Refused>,
}

/// One sample that was not stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// Its place in the batch.
    pub index: usize,
    /// Why.
    pub reason: RefuseReason,
}

/// Why a sample was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefuseReason {
    /// Same series, same time, another value.
    #[error("duplicate sample for timestamp")]
    DuplicateTimestamp,
    /// Older than retention reaches.
    #[error("out of bounds")]
    TooOld,
    /// More than `future_ms_max` ahead of now.
    #[error("too far in the future")]
    TooFarInFuture,
    /// `push_known` with an id that this `Db` does not know (any more): push it again with its labels.
    #[error("unknown series reference")]
    UnknownSeries,
    /// It was to be stored only as the newest sample of its series, and is not.
    #[error("not newer than the newest sample of its series")]
    NotNewest,
    /// A label set without any label.
    #[error("empty label set")]
    NoLabels,
    /// A native histogram that [`crate::Histogram::validate`] refuses; that says why.
    #[error("invalid histogram")]
    InvalidHistogram,
}
