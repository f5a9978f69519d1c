//! What a query has used: samples, series, time.
//!
//! Here: counters that whoever evaluates the query adds to, and a copy of them. Elsewhere: what they may come to
//! (`eval::budget`), JSON (`api`).
//!
//! Samples are counted as Prometheus does: an instant selector looks at one for each series and step, a range function at
//! all of its window; what happens inside a subquery is not counted, its windows are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counters of one query.
#[derive(Debug, Default)]
pub struct QueryNumbers {
    samples: AtomicU64,
    samples_peak: AtomicU64,
    series: AtomicU64,
    steps: Option<Mutex<Vec<u64>>>,
    prepare_ns: AtomicU64,
    inner_ns: AtomicU64,
    sort_ns: AtomicU64,
}

/// A copy of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Used {
    /// Samples that were looked at.
    pub samples: u64,
    /// Most samples that were held at one moment.
    pub samples_peak: u64,
    /// Series that were selected.
    pub series: u64,
    /// Samples that were looked at, for each step; empty unless asked for.
    pub samples_per_step: Vec<u64>,
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
            samples: self.samples.load(Ordering::Relaxed),
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

    /// Samples that were looked at so far.
    pub(super) fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
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

    /// Samples that were looked at, all steps together.
    pub(super) fn saw_samples(&self, count: u64) {
        self.samples.fetch_add(count, Ordering::Relaxed);
    }

    /// The same, for each step; only where steps are counted.
    pub(super) fn saw_at_steps(&self, counts: impl Iterator<Item = (usize, u64)>) {
        let Some(steps) = &self.steps else { return };
        let mut steps = lock(steps);
        for (step, count) in counts {
            if steps.len() <= step {
                steps.resize(step + 1, 0);
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

fn lock(steps: &Mutex<Vec<u64>>) -> std::sync::MutexGuard<'_, Vec<u64>> {
    steps.lock().unwrap_or_else(PoisonError::into_inner)
}
