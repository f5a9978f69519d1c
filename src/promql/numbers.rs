//! What a query has used: samples, series, time.
//!
//! Here: counters that whoever evaluates the query adds to, and a copy of them. Elsewhere: what they may come to
//! (`eval::budget`), JSON (`api`).
//!
//! Samples are counted as Prometheus does; `eval::counting` says how.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counters of one query.
#[derive(Debug, Default)]
pub struct QueryNumbers {
    looked_at: AtomicU64,
    read: AtomicU64,
    samples_peak: AtomicU64,
    series: AtomicU64,
    steps: Option<Mutex<Vec<Samples>>>,
    prepare_ns: AtomicU64,
    inner_ns: AtomicU64,
    sort_ns: AtomicU64,
}

/// Samples, counted in two ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Samples {
    /// Those that a step looked at, again for each step.
    pub looked_at: u64,
    /// Those of them that no step before it had looked at.
    pub read: u64,
}

impl std::ops::AddAssign for Samples {
    fn add_assign(&mut self, other: Self) {
        self.looked_at += other.looked_at;
        self.read += other.read;
    }
}

impl std::ops::Sub for Samples {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Samples { looked_at: self.looked_at - other.looked_at, read: self.read - other.read }
    }
}

/// A copy of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    /// Samples that were looked at and read.
    pub samples: Samples,
    /// Most samples that were held at one moment.
    pub samples_peak: u64,
    /// Series that were selected.
    pub series: u64,
    /// The same for each step; empty unless asked for.
    pub samples_per_step: Vec<Samples>,
    /// Parsing.
    pub prepare: Duration,
    /// Evaluating.
    pub inner: Duration,
    /// Sorting the answer.
    pub sort: Duration,
}

/// What the time went into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Prepare,
    Inner,
    Sort,
}

impl QueryNumbers {
    /// Counters for each step, too.
    pub(super) fn with_steps() -> Self {
        QueryNumbers { steps: Some(Mutex::default()), ..QueryNumbers::default() }
    }

    /// A copy.
    pub fn used(&self) -> Used {
        let time = |ns: &AtomicU64| Duration::from_nanos(ns.load(Ordering::Relaxed));
        Used {
            samples: self.samples(),
            samples_peak: self.samples_peak.load(Ordering::Relaxed),
            series: self.series.load(Ordering::Relaxed),
            samples_per_step: self.steps.as_ref().map(|s| lock(s).clone()).unwrap_or_default(),
            prepare: time(&self.prepare_ns),
            inner: time(&self.inner_ns),
            sort: time(&self.sort_ns),
        }
    }

    pub(super) fn has_steps(&self) -> bool {
        self.steps.is_some()
    }

    /// How many steps there are, so that those without samples show.
    pub(super) fn expect_steps(&self, count: usize) {
        if let Some(steps) = &self.steps {
            lock(steps).resize(count, Samples::default());
        }
    }

    /// Samples that were looked at and read so far.
    pub(super) fn samples(&self) -> Samples {
        Samples { looked_at: self.looked_at.load(Ordering::Relaxed), read: self.read.load(Ordering::Relaxed) }
    }

    pub(super) fn saw_peak(&self, held: u64) {
        // Mostly it is no peak, and looking costs less than writing.
        if held > self.samples_peak.load(Ordering::Relaxed) {
            self.samples_peak.fetch_max(held, Ordering::Relaxed);
        }
    }

    pub(super) fn saw_series(&self, count: u64) {
        self.series.fetch_add(count, Ordering::Relaxed);
    }

    /// Samples that were looked at and read, all steps together.
    pub(super) fn saw_samples(&self, found: Samples) {
        self.looked_at.fetch_add(found.looked_at, Ordering::Relaxed);
        self.read.fetch_add(found.read, Ordering::Relaxed);
    }

    /// The same, for each step; only where steps are counted.
    pub(super) fn saw_at_steps(&self, counts: impl Iterator<Item = (usize, Samples)>) {
        let Some(steps) = &self.steps else { return };
        let mut steps = lock(steps);
        for (step, count) in counts {
            if steps.len() <= step {
                steps.resize(step + 1, Samples::default());
            }
            steps[step] += count;
        }
    }

    pub(super) fn took(&self, phase: Phase, time: Duration) {
        let ns = match phase {
            Phase::Prepare => &self.prepare_ns,
            Phase::Inner => &self.inner_ns,
            Phase::Sort => &self.sort_ns,
        };
        ns.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

fn lock(steps: &Mutex<Vec<Samples>>) -> std::sync::MutexGuard<'_, Vec<Samples>> {
    steps.lock().unwrap_or_else(PoisonError::into_inner)
}
