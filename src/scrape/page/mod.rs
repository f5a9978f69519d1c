//! One scraped page becomes a batch.
//!
//! Here: labels of samples (`honor_labels`, metric relabelling), times (`honor_timestamps`), limits, duplicates,
//! metadata.
//! Elsewhere: `_created` lines (`created`), the format (`exposition`), what is known of each series (`cache`), the series about the scrape
//! (`report`).
//!
//! The very same series twice on one page, without times that differ, makes the page bad, with line and byte.
//! (Prometheus keeps the first, warns and counts. But such an exporter is broken, and which of two values is right
//! nobody knows.) Two series that only relabelling makes one are kept, as there, first come first served, and counted
//! by what the store refuses.
//!
//! Invariant: a page is stored whole or, but for the markers of what ended, not at all.

mod created;

use std::sync::Arc;

use storage::{Appended, Batch, Labels, LabelsBuilder, RefuseReason, SeriesId, stale_nan};

use self::created::CreatedLines;
use super::cache::{Fate, Seen, SeriesCache, Slot};
use super::metadata::MetadataCache;
use super::relabel::{Verdict, relabel};
use crate::config::{RelabelConfig, ScrapeLimits};
use crate::exposition::error::ParseError;
use crate::exposition::series::{Pairs, RawSeries};
use crate::exposition::{Entry, Format, Parser, Sample};

/// How a target's samples are treated; shared by the targets of a pool but for `target_labels`.
#[derive(Debug, Clone)]
pub(crate) struct PageRules {
    pub(crate) target_labels: Labels,
    pub(crate) honor_labels: bool,
    pub(crate) honor_timestamps: bool,
    pub(crate) track_timestamps_staleness: bool,
    pub(crate) metric_relabel: Arc<[RelabelConfig]>,
    pub(crate) limits: ScrapeLimits,
    /// Whether `_created` lines are start timestamps rather than samples.
    pub(crate) has_starts: bool,
}

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
    #[error("sample limit exceeded: the page holds {found} samples, sample_limit is {limit}")]
    SampleLimit { found: u64, limit: u64 },
    #[error("{0}")]
    LabelLimit(String),
}

/// Reads the pages of one target. Owned by its loop; its memory is reused from scrape to scrape.
#[derive(Debug)]
pub(crate) struct PageReader {
    pub(crate) cache: SeriesCache,
    pub(crate) metadata: MetadataCache,
    rules: PageRules,
    /// For each sample in the batch, in order: its entry, and where its series' text is in the body.
    placed: Vec<Placed>,
    fresh_count: usize,
    /// Series that ended and whose markers wait until the fresh series have their ids; if storing fails, until the next
    /// scrape.
    ended: Vec<SeriesId>,
}

#[derive(Debug, Clone, Copy)]
struct Placed {
    slot: Slot,
    is_fresh: bool,
    t: i64,
    v: f64,
    text_start: usize,
    text_end: usize,
}

/// What the store made of a page, beyond what was stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Refusals {
    pub(crate) duplicate_timestamp: u64,
    pub(crate) out_of_bounds: u64,
}

impl PageReader {
    pub(crate) fn new(rules: PageRules, cache: SeriesCache) -> Self {
        let metadata = MetadataCache::default();
        PageReader { cache, metadata, rules, placed: Vec::new(), fresh_count: 0, ended: Vec::new() }
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
        format: Format,
        t: i64,
        batch: &mut Batch,
    ) -> (PageCounts, Result<(), PageError>) {
        let mut counts = PageCounts::default();
        self.start();
        // Prometheus takes an empty answer for an empty page, in any format.
        let result = if body.is_empty() { Ok(()) } else { self.read_entries(body, format, t, batch, &mut counts) };
        match &result {
            Ok(()) => {
                self.cache.finish(&mut self.ended);
                if self.fresh_count == 0 {
                    self.push_ended(t, batch);
                }
            }
            Err(_) => {
                batch.clear();
                self.placed.clear();
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
        self.placed.clear();
        self.fresh_count = 0;
    }

    fn push_ended(&mut self, t: i64, batch: &mut Batch) {
        self.cache.drop_continued(&mut self.ended);
        for id in self.ended.drain(..) {
            batch.push_known(id, t, stale_nan());
        }
    }

    fn read_entries(
        &mut self,
        body: &[u8],
        format: Format,
        t: i64,
        batch: &mut Batch,
        counts: &mut PageCounts,
    ) -> Result<(), PageError> {
        self.metadata.begin();
        let mut scratch = Scratch::default();
        let mut created = (self.rules.has_starts && format == Format::OpenMetrics).then(CreatedLines::default);
        for entry in Parser::new(body, format) {
            let entry = entry?;
            if let Some(created) = &mut created
                && let Entry::Type { family, .. } | Entry::Help { family, .. } | Entry::Unit { family, .. } = &entry
            {
                created.enter(family, batch)?;
            }
            match entry {
                Entry::Type { family, kind } => {
                    created.iter_mut().for_each(|created| created.set_kind(kind));
                    self.metadata.set_kind(&family, kind);
                }
                Entry::Help { family, help } => self.metadata.set_help(&family, &help),
                Entry::Unit { family, unit } => self.metadata.set_unit(&family, unit),
                Entry::Sample(sample) if created.as_mut().is_some_and(|created| created.takes(&sample)) => {}
                Entry::Sample(sample) => {
                    let place = batch.len();
                    self.sample(&sample, t, batch, counts, &mut scratch)?;
                    if batch.len() > place {
                        created.iter_mut().for_each(|created| created.note(place, sample.series));
                    }
                }
            }
        }
        if let Some(mut created) = created {
            created.end_family(batch)?;
        }
        self.metadata.finish();
        let limit = self.rules.limits.samples;
        match limit > 0 && counts.kept > limit {
            true => Err(PageError::SampleLimit { found: counts.kept, limit }),
            false => Ok(()),
        }
    }

    fn sample<'a>(
        &mut self,
        sample: &Sample<'a>,
        t: i64,
        batch: &mut Batch,
        counts: &mut PageCounts,
        scratch: &mut Scratch<'a>,
    ) -> Result<(), PageError> {
        let slot = match self.cache.find(sample.series.text()) {
            Some(slot) => slot,
            None => self.learn(sample.series, scratch)?,
        };
        counts.scraped += 1;
        let own_time = sample.timestamp_ms.filter(|_| self.rules.honor_timestamps);
        let is_tracked = own_time.is_none() || self.rules.track_timestamps_staleness;
        let is_new = match self.cache.see(slot, sample.timestamp_ms, is_tracked) {
            Seen::Once { is_new } => is_new,
            Seen::Again => false,
            Seen::Duplicate => return Err(duplicate(sample.series).into()),
        };
        let mut is_fresh = false;
        let (t, v) = (own_time.unwrap_or(t), sample.value);
        match self.cache.fate(slot) {
            Fate::Dropped => return Ok(()),
            Fate::Known(id) => batch.push_known(id, t, v),
            Fate::Fresh => {
                let Some(labels) = self.stored_labels(sample.series, scratch)? else {
                    self.cache.set_fate(slot, Fate::Dropped);
                    return Ok(());
                };
                batch.push(labels, t, v);
                self.fresh_count += 1;
                is_fresh = true;
            }
        }
        counts.kept += 1;
        counts.added += u64::from(is_new);
        let text_start = sample.series.offset();
        self.placed.push(Placed {
            slot,
            is_fresh,
            t,
            v,
            text_start,
            text_end: text_start + sample.series.text().len(),
        });
        Ok(())
    }

    /// A text that the cache does not know: checked and sorted, then it does.
    fn learn<'a>(&mut self, series: RawSeries<'a>, scratch: &mut Scratch<'a>) -> Result<Slot, PageError> {
        series.read_pairs(&mut scratch.pairs)?;
        let mut sorted: Vec<(&str, &str)> = scratch.pairs.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
        sorted.sort_unstable();
        Ok(self.cache.learn(series.text(), &sorted))
    }

    /// The labels under which the series is stored; `None` if relabelling drops it.
    fn stored_labels<'a>(&self, series: RawSeries<'a>, scratch: &mut Scratch<'a>) -> Result<Option<Labels>, PageError> {
        series.read_pairs(&mut scratch.pairs)?;
        let mut labels = self.merged(&scratch.pairs);
        if relabel(&mut labels, &self.rules.metric_relabel) == Verdict::Drop {
            return Ok(None);
        }
        let labels = labels.build();
        if labels.is_empty() {
            return Ok(None);
        }
        if labels.metric_name().is_empty() {
            return Err(series.error("metric relabelling left the series without a metric name").into());
        }
        check_limits(&labels, &self.rules.limits)?;
        Ok(Some(labels))
    }

    /// The page's labels and the target's, the conflicts resolved as `honor_labels` says.
    fn merged(&self, pairs: &Pairs<'_>) -> LabelsBuilder {
        let mut labels = LabelsBuilder::new();
        for (name, value) in pairs {
            labels.set(name, value.as_ref());
        }
        if self.rules.honor_labels {
            for (name, value) in self.rules.target_labels.iter() {
                // Also an empty value is the page's word: it means "without this label".
                if !pairs.iter().any(|(n, _)| n == name) {
                    labels.set(name, value);
                }
            }
            return labels;
        }
        let mut conflicts = Vec::new();
        for (name, value) in self.rules.target_labels.iter() {
            let exposed = labels.get(name);
            if !exposed.is_empty() {
                conflicts.push((name, exposed.to_owned()));
            }
            labels.set(name, value);
        }
        // Shortest first, so that `a` does not take the place of an exposed `exported_a`.
        conflicts.sort_by_key(|(name, _)| name.len());
        for (name, value) in conflicts {
            let mut free = format!("exported_{name}");
            while !labels.get(&free).is_empty() {
                free.insert_str(0, "exported_");
            }
            labels.set(&free, value);
        }
        labels
    }

    /// Takes the ids of fresh series from an appended batch and counts what was refused. Fills `again` with what has to
    /// be appended after it: samples of series that the store had forgotten, and markers that had to wait for the ids.
    pub(crate) fn settle(
        &mut self,
        body: &[u8],
        format: Format,
        t: i64,
        batch: &Batch,
        done: &Appended,
        again: &mut Batch,
    ) -> Refusals {
        for (index, placed) in self.placed.iter().enumerate().filter(|(_, p)| p.is_fresh) {
            if let Some(id) = batch.id(index) {
                self.cache.set_fate(placed.slot, Fate::Known(id));
            }
        }
        let mut refusals = Refusals::default();
        for refused in &done.refused {
            // Beyond the samples come markers: nobody misses one.
            let Some(placed) = self.placed.get(refused.index).copied() else { continue };
            match refused.reason {
                RefuseReason::DuplicateTimestamp => refusals.duplicate_timestamp += 1,
                RefuseReason::UnknownSeries => {
                    self.cache.set_fate(placed.slot, Fate::Fresh);
                    if let Some(labels) = self.labels_at(body, format, placed) {
                        again.push(labels, placed.t, placed.v);
                        again.set_start(batch.start_of(refused.index));
                    }
                }
                _ => refusals.out_of_bounds += 1,
            }
        }
        self.push_ended(t, again);
        self.cache.tidy();
        refusals
    }

    /// The stored labels of a sample of this body, read once more.
    fn labels_at(&self, body: &[u8], format: Format, placed: Placed) -> Option<Labels> {
        // The text is cut out, given a value, and read as a page of one line.
        let mut line = body.get(placed.text_start..placed.text_end)?.to_vec();
        line.extend_from_slice(b" 0\n");
        match Parser::new(&line, format).next()?.ok()? {
            Entry::Sample(sample) => self.stored_labels(sample.series, &mut Scratch::default()).ok()?,
            _ => None,
        }
    }
}

#[derive(Default)]
struct Scratch<'a> {
    pairs: Pairs<'a>,
}

fn duplicate(series: RawSeries<'_>) -> ParseError {
    let text: String = series.text().chars().take(200).collect();
    series.error(format!("the series {text} is on this page twice without different timestamps; remove one of them"))
}

fn check_limits(labels: &Labels, limits: &ScrapeLimits) -> Result<(), PageError> {
    let metric: String = labels.metric_name().chars().take(50).collect();
    let exceeds = |len: usize, limit: u64| limit > 0 && len as u64 > limit;
    let count = labels.len();
    if exceeds(count, limits.labels) {
        let message =
            format!("label_limit exceeded (metric: {metric}, number of labels: {count}, limit: {})", limits.labels);
        return Err(PageError::LabelLimit(message));
    }
    for (name, value) in labels.iter() {
        let checks = [
            ("label_name_length_limit", name.len(), limits.label_name_bytes),
            ("label_value_length_limit", value.len(), limits.label_value_bytes),
        ];
        for (key, len, limit) in checks {
            if exceeds(len, limit) {
                let name: String = name.chars().take(50).collect();
                let message =
                    format!("{key} exceeded (metric: {metric}, label name: {name}, length: {len}, limit: {limit})");
                return Err(PageError::LabelLimit(message));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
