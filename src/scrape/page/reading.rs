//! One page on its way into the batch: each sample finds its series, gets its time, and is held against the limits.
//!
//! Elsewhere: which samples the page has (`walk`), what follows when it is read (`page`).

use storage::{Batch, Exemplar, Histogram, Labels, SCHEMA_CUSTOM, SCHEMA_MIN, SeriesId};

use super::rules::PageRules;
use super::series::{PageSeries, excerpt};
use super::walk::{Described, Exposed, Place, Visit};
use super::{PageCounts, PageError, PageReader, Placed, ZERO};
use crate::exposition::protobuf::Value;
use crate::exposition::series::Pairs;
use crate::scrape::cache::{Fate, Seen, Slot};
use crate::scrape::synthesis::Synthesized;

/// The page at hand.
pub(super) struct Reading<'r, 'a> {
    reader: &'r mut PageReader,
    rules: &'r PageRules,
    /// The scrape's time.
    t: i64,
    batch: &'r mut Batch,
    counts: &'r mut PageCounts,
    key: Vec<u8>,
    pairs: Pairs<'a>,
    /// What keeps the page from being stored although it is read to its end.
    fault: Option<PageError>,
}

/// Whose sample it is, for the store.
enum Stored {
    Known(SeriesId),
    Fresh(Labels),
}

impl<'r, 'a> Reading<'r, 'a> {
    pub(super) fn new(
        reader: &'r mut PageReader,
        rules: &'r PageRules,
        t: i64,
        batch: &'r mut Batch,
        counts: &'r mut PageCounts,
    ) -> Self {
        Reading { reader, rules, t, batch, counts, key: Vec::new(), pairs: Pairs::new(), fault: None }
    }

    /// Why the page is not stored, if it is not.
    pub(super) fn into_fault(self) -> Option<PageError> {
        self.fault
    }

    /// A series that the cache does not know by its key: checked and sorted, then it does.
    fn learn<S: PageSeries<'a>>(&mut self, series: &S) -> Result<Slot, PageError> {
        series.read_pairs(&mut self.pairs)?;
        let mut sorted: Vec<(&str, &str)> = self.pairs.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
        sorted.sort_unstable();
        Ok(self.reader.cache.learn(series.key(&mut self.key), &sorted))
    }

    /// `None` if relabelling drops it.
    fn stored<S: PageSeries<'a>>(&mut self, slot: Slot, series: &S) -> Result<Option<Stored>, PageError> {
        match self.reader.cache.fate(slot) {
            Fate::Dropped => Ok(None),
            Fate::Known(id) => Ok(Some(Stored::Known(id))),
            Fate::Fresh => {
                let labels = self.rules.stored_labels(series, &mut self.pairs)?;
                if labels.is_none() {
                    self.reader.cache.set_fate(slot, Fate::Dropped);
                }
                Ok(labels.map(Stored::Fresh))
            }
        }
    }

    fn push_float(&mut self, stored: Stored, placed: Placed) -> Place {
        let Placed { t, v, .. } = placed;
        match stored {
            Stored::Known(id) => self.batch.push_known(id, t, v),
            Stored::Fresh(labels) => self.batch.push(labels, t, v),
        }
        self.reader.floats.push(placed);
        Place::Float(self.batch.len() - 1)
    }

    fn push_histogram(&mut self, stored: Stored, placed: Placed, histogram: Histogram) -> Place {
        match stored {
            Stored::Known(id) => self.batch.push_known_histogram(id, placed.t, histogram),
            Stored::Fresh(labels) => self.batch.push_histogram(labels, placed.t, histogram),
        }
        self.reader.histograms.push(placed);
        Place::Histogram(self.batch.histogram_count() - 1)
    }

    /// Makes a histogram as coarse as the rules ask; false if it has too many buckets even then.
    fn fit(&self, histogram: &mut Histogram) -> bool {
        let max = usize::try_from(self.rules.limits.buckets).unwrap_or(usize::MAX);
        if histogram.schema > self.rules.schema_max {
            // It is sound, so this cannot fail.
            let _ = histogram.reduce_to(self.rules.schema_max);
        }
        while max > 0 && histogram.bucket_count() > max {
            let can_reduce = histogram.schema != SCHEMA_CUSTOM && histogram.schema > SCHEMA_MIN;
            if !can_reduce || histogram.reduce_to(histogram.schema - 1).is_err() {
                return false;
            }
        }
        true
    }
}

impl<'a> Visit<'a> for Reading<'_, 'a> {
    fn describe(&mut self, family: &str, what: Described<'_>) {
        let metadata = &mut self.reader.metadata;
        match what {
            Described::Kind(kind) => metadata.set_kind(family, kind),
            Described::Help(help) => metadata.set_help(family, help),
            Described::Unit(unit) => metadata.set_unit(family, unit),
        }
    }

    #[inline]
    fn sample<S: PageSeries<'a>>(&mut self, exposed: Exposed<'_, S>) -> Result<Option<Place>, PageError> {
        let Exposed { series, mut value, timestamp_ms, mut start_ms, exemplars, is_counter } = exposed;
        let slot = match self.reader.cache.find(series.key(&mut self.key)) {
            Some(slot) => slot,
            None => self.learn(&series)?,
        };
        let ordinal = self.counts.scraped;
        self.counts.scraped += 1;
        let own_time = timestamp_ms.filter(|_| self.rules.honor_timestamps);
        let is_tracked = own_time.is_none() || self.rules.track_timestamps_staleness;
        let is_new = match self.reader.cache.see(slot, timestamp_ms, is_tracked) {
            Seen::Once { is_new } => is_new,
            Seen::Again => false,
            Seen::Duplicate => return Err(duplicate(&series)),
        };
        self.reader.cache.set_histogram(slot, matches!(value, Value::Histogram(_)));
        let Some(stored) = self.stored(slot, &series)? else { return Ok(None) };
        let is_fresh = matches!(stored, Stored::Fresh(_));
        self.counts.kept += 1;
        self.counts.added += u64::from(is_new);
        let mut placed = Placed { slot, is_fresh, t: own_time.unwrap_or(self.t), v: 0.0, ordinal };
        if is_counter && start_ms == 0 && self.rules.starts.synthesized {
            let synthesis = self.reader.cache.synthesis(slot, is_new);
            let made = match &mut value {
                Value::Float(v) => synthesis.float(v, placed.t),
                Value::Histogram(histogram) => synthesis.histogram(histogram, placed.t),
            };
            match made {
                Synthesized::First => return Ok(None),
                Synthesized::Since(start) => start_ms = start,
            }
        }
        let place = match value {
            Value::Float(v) => {
                placed.v = v;
                self.push_float(stored, placed)
            }
            Value::Histogram(histogram) => {
                if !self.fit(histogram) {
                    let (found, limit) = (histogram.bucket_count(), self.rules.limits.buckets);
                    let fault = || PageError::BucketLimit { series: excerpt(&series), found, limit };
                    self.fault.get_or_insert_with(fault);
                    return Ok(None);
                }
                self.push_histogram(stored, placed, std::mem::take(histogram))
            }
        };
        self.reader.fresh_count += usize::from(is_fresh);
        if start_ms != 0 {
            self.set_start(place, start_ms);
        }
        for exemplar in exemplars {
            let t = exemplar.timestamp_ms.unwrap_or(placed.t);
            let exemplar = Exemplar { labels: exemplar.labels.clone(), t, v: exemplar.value };
            self.reader.exemplars.push((place, exemplar));
        }
        Ok(Some(place))
    }

    fn set_start(&mut self, place: Place, start_ms: i64) {
        let starts = self.rules.starts;
        if starts.stored {
            match place {
                Place::Float(index) => self.batch.set_start_of(index, start_ms),
                Place::Histogram(index) => self.batch.set_histogram_start_of(index, start_ms),
            }
        }
        let Some(placed) = self.reader.placed(place).filter(|p| starts.zeros && start_ms < p.t) else { return };
        // Where nothing changed, the zero is there already, or was refused for good.
        if start_ms == 0 || !self.reader.cache.set_start(placed.slot, start_ms) {
            return;
        }
        let zero = Placed { is_fresh: false, t: start_ms, v: 0.0, ordinal: ZERO, ..placed };
        match place {
            Place::Float(index) => {
                self.batch.push_zero_of(index, start_ms);
                self.reader.floats.push(zero);
            }
            Place::Histogram(index) => {
                self.batch.push_zero_histogram_of(index, start_ms);
                self.reader.histograms.push(zero);
            }
        }
    }
}

fn duplicate<'a>(series: &impl PageSeries<'a>) -> PageError {
    let name = excerpt(series);
    series.fault(format!("the series {name} is on this page twice without different timestamps; remove one of them"))
}
