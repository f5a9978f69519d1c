//! One scraped page becomes a batch.
//!
//! Here: times (`honor_timestamps`), limits, duplicates, starts, exemplars, metadata.
//! Elsewhere: which samples a page has (`walk`), their labels (`labels`), the rules (`rules`), what is known of each series
//! (`cache`), the series about the scrape (`report`).
//!
//! The very same series twice on one page, without times that differ, makes the page bad, with line and byte.
//! (Prometheus keeps the first, warns and counts. But such an exporter is broken, and which of two values is right
//! nobody knows.) Two series that only relabelling makes one are kept, as there, first come first served, and counted
//! by what the store refuses.
//!
//! Invariant: a page is stored whole or, but for the markers of what ended, not at all.

mod again;
mod classic;
mod created;
mod labels;
mod reading;
mod rules;
mod series;
mod walk;

use storage::{Appended, Batch, Exemplar, Histogram, RefuseReason, SeriesId, stale_nan};

use self::reading::Reading;
pub(crate) use self::rules::PageRules;
pub use self::rules::StartRules;
use self::walk::{Place, walk};
use super::cache::{Ended, Fate, SeriesCache, Slot};
use super::metadata::MetadataCache;
use crate::exposition::PageFormat;
use crate::exposition::error::{ParseError, ProtobufError};

/// Numbers about a page, as the `scrape_*` series tell them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PageCounts {
    /// Samples on the page (up to the fault, if there is one).
    pub(crate) scraped: u64,
    /// Of these, what metric relabelling left.
    pub(crate) kept: u64,
    /// Series that the last good page did not have.
    pub(crate) added: u64,
}

/// Why a page is not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PageError {
    #[error(transparent)]
    Parse(#[from] ParseError),
    #[error(transparent)]
    Protobuf(#[from] ProtobufError),
    #[error("sample limit exceeded: the page holds {found} samples, sample_limit is {limit}")]
    SampleLimit { found: u64, limit: u64 },
    #[error(
        "histogram bucket limit exceeded: {series} has {found} buckets at the coarsest, native_histogram_bucket_limit is {limit}"
    )]
    BucketLimit { series: String, found: usize, limit: u64 },
    #[error("{0}")]
    LabelLimit(String),
}

/// Reads the pages of one target. Owned by its loop; its memory is reused from scrape to scrape.
#[derive(Debug)]
pub(crate) struct PageReader {
    pub(crate) cache: SeriesCache,
    pub(crate) metadata: MetadataCache,
    rules: PageRules,
    /// For each float in the batch, in order: its entry, and which sample of the page it is.
    floats: Vec<Placed>,
    /// The same for native histograms.
    histograms: Vec<Placed>,
    exemplars: Vec<(Place, Exemplar)>,
    fresh_count: usize,
    /// Series that ended and whose markers wait until the fresh series have their ids; if storing fails, until the next
    /// scrape.
    ended: Vec<Ended>,
}

#[derive(Debug, Clone, Copy)]
struct Placed {
    slot: Slot,
    is_fresh: bool,
    t: i64,
    /// 0 for histograms, which the batch has.
    v: f64,
    /// Which sample of the page, from 0; [`ZERO`] for one that is not there.
    ordinal: u64,
}

/// Stands for a zero where a counter began.
const ZERO: u64 = u64::MAX;

/// What the store made of a page, beyond what was stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Refusals {
    pub(crate) duplicate_timestamp: u64,
    pub(crate) out_of_bounds: u64,
}

impl PageReader {
    pub(crate) fn new(rules: PageRules, cache: SeriesCache) -> Self {
        PageReader {
            cache,
            metadata: MetadataCache::default(),
            rules,
            floats: Vec::new(),
            histograms: Vec::new(),
            exemplars: Vec::new(),
            fresh_count: 0,
            ended: Vec::new(),
        }
    }

    /// The reader itself, to be used on another thread; what stays is an empty one under the same rules.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, PageReader::new(self.rules.clone(), SeriesCache::new()))
    }

    /// Reads a good answer. Fills the empty `batch` with its samples and, if no new series is among them, with the
    /// markers of what ended; a page that cannot be stored leaves only markers. `t` is the scrape's time.
    pub(crate) fn read(
        &mut self,
        body: &[u8],
        format: PageFormat,
        t: i64,
        batch: &mut Batch,
    ) -> (PageCounts, Result<(), PageError>) {
        let mut counts = PageCounts::default();
        self.start();
        // Prometheus takes an empty answer for an empty page, in any format.
        let result = if body.is_empty() { Ok(()) } else { self.read_samples(body, format, t, batch, &mut counts) };
        match &result {
            Ok(()) => {
                self.cache.finish(&mut self.ended);
                if self.fresh_count == 0 {
                    self.push_ended(t, batch);
                }
            }
            Err(_) => {
                batch.clear();
                self.forget_placed();
                self.cache.finish_failed(&mut self.ended);
                self.push_ended(t, batch);
            }
        }
        (counts, result)
    }

    /// There is no page: everything live gets its marker.
    pub(crate) fn fail(&mut self, t: i64, batch: &mut Batch) {
        self.start();
        self.cache.finish_failed(&mut self.ended);
        self.push_ended(t, batch);
    }

    fn start(&mut self) {
        self.cache.begin();
        self.forget_placed();
        self.fresh_count = 0;
    }

    fn forget_placed(&mut self) {
        self.floats.clear();
        self.histograms.clear();
        self.exemplars.clear();
    }

    fn push_ended(&mut self, t: i64, batch: &mut Batch) {
        self.cache.drop_continued(&mut self.ended);
        for Ended { id, is_histogram } in self.ended.drain(..) {
            match is_histogram {
                true => batch.push_known_histogram(id, t, Histogram::stale()),
                false => batch.push_known(id, t, stale_nan()),
            }
        }
    }

    fn read_samples(
        &mut self,
        body: &[u8],
        format: PageFormat,
        t: i64,
        batch: &mut Batch,
        counts: &mut PageCounts,
    ) -> Result<(), PageError> {
        self.metadata.begin();
        // The rules are behind an Arc or small, and the reading changes all else.
        let rules = self.rules.clone();
        let mut reading = Reading::new(self, &rules, t, batch, counts);
        walk(body, format, &rules, &mut reading)?;
        let fault = reading.into_fault();
        self.metadata.finish();
        let limit = rules.limits.samples;
        match fault {
            _ if limit > 0 && counts.kept > limit => Err(PageError::SampleLimit { found: counts.kept, limit }),
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    /// The exemplars of the page with the ids that an append gave to their series. To be called before
    /// [`PageReader::settle`].
    pub(crate) fn take_exemplars(&mut self, batch: &Batch) -> Vec<(SeriesId, Exemplar)> {
        let id = |place| match place {
            Place::Float(index) => batch.id(index),
            Place::Histogram(index) => batch.histogram_id(index),
        };
        self.exemplars.drain(..).filter_map(|(place, exemplar)| Some((id(place)?, exemplar))).collect()
    }

    /// Takes the ids of fresh series from an appended batch and counts what was refused. Fills `again` with what has to
    /// be appended after it: samples of series that the store had forgotten, and markers that had to wait for the ids.
    pub(crate) fn settle(
        &mut self,
        body: &[u8],
        format: PageFormat,
        t: i64,
        batch: &Batch,
        done: &Appended,
        again: &mut Batch,
    ) -> Refusals {
        for (index, placed) in self.floats.iter().enumerate().filter(|(_, p)| p.is_fresh) {
            if let Some(id) = batch.id(index) {
                self.cache.set_fate(placed.slot, Fate::Known(id));
            }
        }
        for (index, placed) in self.histograms.iter().enumerate().filter(|(_, p)| p.is_fresh) {
            if let Some(id) = batch.histogram_id(index) {
                self.cache.set_fate(placed.slot, Fate::Known(id));
            }
        }
        let mut refusals = Refusals::default();
        let mut forgotten = Vec::new();
        let floats = done.refused.iter().map(|refused| (refused, Place::Float(refused.index)));
        let histograms = done.refused_histograms.iter().map(|refused| (refused, Place::Histogram(refused.index)));
        for (refused, place) in floats.chain(histograms) {
            // Beyond the samples come markers: nobody misses one.
            let Some(placed) = self.placed(place).filter(|p| p.ordinal != ZERO) else { continue };
            match refused.reason {
                RefuseReason::DuplicateTimestamp => refusals.duplicate_timestamp += 1,
                RefuseReason::UnknownSeries => {
                    self.cache.set_fate(placed.slot, Fate::Fresh);
                    forgotten.push((placed.ordinal, place));
                }
                _ => refusals.out_of_bounds += 1,
            }
        }
        if !forgotten.is_empty() {
            self.push_again(body, format, &forgotten, batch, again);
        }
        self.push_ended(t, again);
        self.cache.tidy();
        refusals
    }

    fn placed(&self, place: Place) -> Option<Placed> {
        match place {
            Place::Float(index) => self.floats.get(index).copied(),
            Place::Histogram(index) => self.histograms.get(index).copied(),
        }
    }
}

#[cfg(test)]
mod histogram_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod type_tests;
