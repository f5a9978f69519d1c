//! One target's scrape loop: wait, fetch, read, store, report; and the farewell when the target is gone.
//!
//! Here: when things happen. Elsewhere: how (`fetch`, `page`, `report`), who starts and stops loops (`manager`).
//!
//! A target's ticks lie on a grid that its hash shifts within the interval, so that targets spread and a restart keeps
//! the spacing. A scrape that starts within [`TICK_TOLERANCE_MS`] of its tick carries the tick's time: equal spacing
//! compresses.
//!
//! Invariant: a loop is the only one to append samples of its target; a successor begins when it has ended.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use storage::{Appended, Batch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cache::SeriesCache;
use super::fetch::{FetchError, Fetcher, Page};
use super::metrics::Metrics;
use super::page::{PageCounts, PageError, PageReader, PageRules};
use super::report::Report;
use super::sink::Sink;
use super::status::{LastScrape, Running};
use super::target::next_tick;
use crate::clock::Clock;
use crate::exposition::{Format, PageFormat};

/// Prometheus' `scrape.timestamp-tolerance`, but never more than a hundredth of the interval.
const TICK_TOLERANCE_MS: i64 = 2;

/// Pages above this are read off the async threads; below, the hand-over costs more than the reading.
const INLINE_BYTES_MAX: usize = 128 << 10;

/// What all loops share.
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) metrics: Metrics,
    /// Shifts all grids, so that two servers do not scrape one target at the same moment.
    pub(crate) seed: u64,
}

/// Why a loop ends, if not because the server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Another loop goes on with the same target.
    Replaced,
    /// The target is gone: its series end.
    Removed,
}

/// How a loop is told to end. `end` is set before `stop` is cancelled.
#[derive(Debug, Clone)]
pub(crate) struct Orders {
    pub(crate) stop: CancellationToken,
    pub(crate) end: Arc<OnceLock<End>>,
    /// Cancelled: no farewell, since the series go on elsewhere or the server stops.
    pub(crate) no_farewell: CancellationToken,
}

/// A loop at work.
pub(crate) struct TargetLoop {
    shared: Arc<Shared>,
    running: Arc<Running>,
    fetcher: Fetcher,
    orders: Orders,
    reader: PageReader,
    report: Report,
    batch: Batch,
    last_start: Option<Instant>,
    /// Whether the report series have samples and must be ended.
    has_reported: bool,
}

/// What came of the page.
struct Outcome {
    counts: PageCounts,
    error: Option<String>,
    /// Kept until the samples are stored: the store may ask for labels again.
    page: Option<Page>,
}

impl TargetLoop {
    pub(crate) fn new(
        shared: Arc<Shared>,
        running: Arc<Running>,
        fetcher: Fetcher,
        rules: PageRules,
        orders: Orders,
    ) -> Self {
        let report = Report::new(&running.target.labels);
        let reader = PageReader::new(rules, SeriesCache::new());
        TargetLoop {
            shared,
            running,
            fetcher,
            orders,
            reader,
            report,
            batch: Batch::new(),
            last_start: None,
            has_reported: false,
        }
    }

    /// Runs until told to end; gives the cache to a successor.
    pub(crate) async fn run(mut self, predecessor: Option<JoinHandle<SeriesCache>>) -> SeriesCache {
        if let Some(predecessor) = predecessor {
            // It panicked if this fails: then there is nothing to take over.
            if let Ok(cache) = predecessor.await {
                self.reader.cache = SeriesCache::succeed(cache);
                self.has_reported = true;
            }
        }
        let interval_ms = i64::try_from(self.running.target.interval.as_millis()).unwrap_or(i64::MAX).max(1);
        let offset_ms = ((self.running.target.hash() ^ self.shared.seed) % interval_ms as u64) as i64;
        let tolerance_ms = TICK_TOLERANCE_MS.min(interval_ms / 100);
        let stop = self.orders.stop.clone();
        let now = self.shared.clock.now_ms();
        // Nobody is spared by waiting for a collector of our own, and the first page of a fresh start fills sooner.
        let at_once = matches!(self.fetcher, Fetcher::Local(_)) && !self.has_reported;
        let mut tick = if at_once { now } else { next_tick(now, interval_ms, offset_ms) };
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.shared.clock.sleep_until(tick) => {}
            }
            let now = self.shared.clock.now_ms();
            let t = if now - tick <= tolerance_ms { tick } else { now };
            if !self.scrape(t).await {
                break;
            }
            // Ticks that passed meanwhile (a suspended machine) are left out.
            tick = next_tick(self.shared.clock.now_ms().max(tick), interval_ms, offset_ms);
        }
        if self.orders.end.get() == Some(&End::Removed) {
            self.say_farewell(tick).await;
            // Tells the manager that there is nothing left to stop.
            self.orders.no_farewell.cancel();
        }
        self.reader.cache
    }

    /// One scrape with time `t`; false if it was cut short because the loop shall end.
    async fn scrape(&mut self, t: i64) -> bool {
        let start = Instant::now();
        if let Some(last) = self.last_start.replace(start) {
            let interval = self.running.target.interval;
            self.shared.metrics.intervals.observe(interval, (start - last).as_secs_f64());
        }
        let stop = self.orders.stop.clone();
        let fetched = tokio::select! {
            biased;
            () = stop.cancelled() => return false,
            fetched = self.fetcher.fetch(self.running.target.timeout) => fetched,
        };
        self.batch.clear();
        let outcome = match fetched {
            Ok(page) => self.read(page, t).await,
            Err(error) => self.give_up(&error, t),
        };
        let took = start.elapsed();
        self.report.push(&mut self.batch, t, outcome.error.is_none(), took, outcome.counts);
        let stored = self.store(&outcome, t, took).await;
        self.has_reported |= stored.is_ok();
        self.publish_metadata();
        let error = outcome.error.or(stored.err().map(|e| format!("the samples could not be stored: {e}")));
        if let Some(error) = &error {
            tracing::debug!(url = self.running.target.url, error, "scrape failed");
        }
        self.running.set_last(LastScrape { at_ms: t, took, samples: outcome.counts.scraped, error });
        true
    }

    /// Reads the page into the batch.
    async fn read(&mut self, page: Page, t: i64) -> Outcome {
        if page.body.len() <= INLINE_BYTES_MAX {
            let (counts, result) = self.reader.read(&page.body, page.format, t, &mut self.batch);
            return self.outcome(counts, result, page);
        }
        let mut reader = self.reader.take();
        let mut batch = std::mem::take(&mut self.batch);
        let read = tokio::task::spawn_blocking(move || {
            let (counts, result) = reader.read(&page.body, page.format, t, &mut batch);
            (reader, batch, counts, result, page)
        });
        match read.await {
            Ok((reader, batch, counts, result, page)) => {
                (self.reader, self.batch) = (reader, batch);
                self.outcome(counts, result, page)
            }
            // Only a runtime that shuts down gets here.
            Err(e) => Outcome { counts: PageCounts::default(), error: Some(e.to_string()), page: None },
        }
    }

    fn outcome(&self, counts: PageCounts, result: Result<(), PageError>, page: Page) -> Outcome {
        if let Err(error) = &result {
            self.count_fault(error);
        }
        Outcome { counts, error: result.err().map(|e| e.to_string()), page: Some(page) }
    }

    /// There is no page.
    fn give_up(&mut self, error: &FetchError, t: i64) -> Outcome {
        if matches!(error, FetchError::BodyLimit { .. }) {
            self.shared.metrics.exceeded_body_size_limit.inc();
        }
        self.reader.fail(t, &mut self.batch);
        Outcome { counts: PageCounts::default(), error: Some(error.to_string()), page: None }
    }

    fn count_fault(&self, error: &PageError) {
        match error {
            PageError::SampleLimit { .. } => drop(self.shared.metrics.exceeded_sample_limit.inc()),
            PageError::BucketLimit { .. } => drop(self.shared.metrics.exceeded_bucket_limit.inc()),
            PageError::LabelLimit(_) => drop(self.shared.metrics.exceeded_label_limits.inc()),
            PageError::Parse(_) | PageError::Protobuf(_) => {}
        }
    }

    /// Stores the batch, and a second one where the store's answer asks for it.
    async fn store(&mut self, outcome: &Outcome, t: i64, took: Duration) -> Result<(), String> {
        let done = self.append().await?;
        let is_forgotten = self.report.settle(&self.batch, &done);
        let mut again = Batch::new();
        let page = outcome.page.as_ref();
        let no_page = (&[][..], PageFormat::Text(Format::Text));
        let (body, format) = page.map_or(no_page, |p| (p.body.as_slice(), p.format));
        let exemplars = self.reader.take_exemplars(&self.batch);
        let refusals = self.reader.settle(body, format, t, &self.batch, &done, &mut again);
        self.shared.metrics.duplicate_timestamp.inc_by(refusals.duplicate_timestamp);
        self.shared.metrics.out_of_bounds.inc_by(refusals.out_of_bounds);
        if is_forgotten {
            self.report.push(&mut again, t, outcome.error.is_none(), took, outcome.counts);
        }
        if !again.is_empty() {
            self.batch = again;
            let done = self.append().await?;
            if is_forgotten {
                self.report.settle(&self.batch, &done);
            }
        }
        if !exemplars.is_empty() {
            self.shared.sink.append_exemplars(exemplars).await?;
        }
        Ok(())
    }

    async fn append(&mut self) -> Result<Appended, String> {
        let batch = std::mem::take(&mut self.batch);
        match self.shared.sink.append(batch).await {
            Ok((batch, done)) => {
                self.batch = batch;
                Ok(done)
            }
            Err(error) => {
                self.shared.metrics.append_failed.inc();
                Err(error)
            }
        }
    }

    fn publish_metadata(&mut self) {
        if let Some((changed, all)) = self.reader.metadata.take_changes() {
            for family in &changed {
                self.shared.sink.observe_metadata(family);
            }
            self.running.set_families(all);
        }
    }

    /// Ends all series at the tick that will not be. Prometheus waits longer, in case another server's loop goes on
    /// with them; here a takeover is known at once and cancels the farewell.
    async fn say_farewell(&mut self, tick: i64) {
        tokio::select! {
            biased;
            () = self.orders.no_farewell.cancelled() => return,
            () = self.shared.clock.sleep_until(tick) => {}
        }
        self.batch.clear();
        self.reader.fail(tick, &mut self.batch);
        if self.has_reported {
            self.report.push_end(&mut self.batch, tick);
        }
        if !self.batch.is_empty() {
            // Counted in `append`; there is nobody left to tell.
            let _ = self.append().await;
        }
    }
}
