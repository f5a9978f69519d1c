//! The ingester: a remote write body goes into a tenant's database.
//!
//! Here: the fast lane (known label bytes need no decoding), the slow one (decode, check, intern), and what is done
//! when the database no longer knows a remembered id. Elsewhere: reading the body (`remote_write`), the checks
//! (`labels`).

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard};

use storage::{Appended, Batch, Db, Durability, Labels, RefuseReason, Sample, SeriesId};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::cache::{LabelHash, SeriesCache};
use super::labels::label_set;
use super::outcome::{Excerpt, Reason, WriteOutcome};
use super::remote_write::{Series, decode_write_request, decompress};
use super::{IngestError, WriteLimits};

/// Takes pushes for all tenants. One for the process, shared; it blocks on disk, so call it off the async threads.
///
/// Locks: `caches` and one tenant's cache are never held together, and none is held while the database appends.
#[derive(Debug)]
pub struct Ingester {
    limits: WriteLimits,
    hash_seed: u64,
    caches: Mutex<HashMap<String, Arc<Mutex<SeriesCache>>>>,
    /// Memory of finished requests, for the next ones.
    spare: Mutex<Vec<Scratch>>,
}

/// Scratch memory that is kept; a request at more than this many at once brings its own.
const SPARE_MAX: usize = 8;
/// A scratch that a large request has blown up beyond this is not kept.
const SPARE_BODY_BYTES_MAX: usize = 8 << 20;

#[derive(Debug, Default)]
struct Scratch {
    body: Vec<u8>,
    batch: Batch,
    samples: Vec<Sample>,
    runs: Vec<Run>,
}

/// The samples of one series, which stand together in the batch.
#[derive(Debug)]
struct Run {
    first: usize,
    count: usize,
    /// `None` if its labels cannot be told by their bytes.
    hash: Option<LabelHash>,
    /// The labels where they were decoded; `None` in the fast lane.
    labels: Option<Labels>,
    /// The place among the request's series, to find the labels again.
    series_index: usize,
}

impl Ingester {
    /// An ingester with empty caches.
    pub fn new(limits: WriteLimits) -> Self {
        // The standard library takes this from the operating system's randomness.
        let hash_seed = RandomState::new().hash_one(0u64);
        Ingester { limits, hash_seed, caches: Mutex::default(), spare: Mutex::default() }
    }

    /// The limits.
    pub fn limits(&self) -> &WriteLimits {
        &self.limits
    }

    /// Stores a remote write 1.0 body (a snappy block) for `tenant`, whose database is `db`. `now` is milliseconds
    /// since the epoch. On `Ok` the good samples are durable as `durability` says; on `Err` nothing was stored, except
    /// for [`IngestError::Append`] with a disk that failed half-way, where a part may have been.
    pub fn write(
        &self,
        tenant: &str,
        db: &Arc<Db>,
        body: &[u8],
        now: i64,
        durability: Durability,
    ) -> Result<WriteOutcome, IngestError> {
        let mut scratch = lock(&self.spare).pop().unwrap_or_default();
        let written = self.write_with(&mut scratch, tenant, db, body, now, durability);
        scratch.batch.clear();
        scratch.runs.clear();
        let mut spare = lock(&self.spare);
        if spare.len() < SPARE_MAX && scratch.body.capacity() <= SPARE_BODY_BYTES_MAX {
            spare.push(scratch);
        }
        written
    }

    /// Forgets a tenant's ids, e.g. when it is removed.
    pub fn forget(&self, tenant: &str) {
        lock(&self.caches).remove(tenant);
    }

    #[cfg(test)]
    pub(super) fn replace_ids(&self, tenant: &str, id: SeriesId) {
        lock(&self.cache_of(tenant)).replace_ids(id);
    }

    fn write_with(
        &self,
        scratch: &mut Scratch,
        tenant: &str,
        db: &Arc<Db>,
        body: &[u8],
        now: i64,
        durability: Durability,
    ) -> Result<WriteOutcome, IngestError> {
        decompress(body, &self.limits, &mut scratch.body)?;
        let cache = self.cache_of(tenant);
        let mut outcome = WriteOutcome::default();
        self.fill_batch(scratch, &cache, db, &mut outcome)?;
        if scratch.batch.is_empty() {
            return Ok(outcome);
        }
        let appended = db.append(&mut scratch.batch, now, durability)?;
        self.remember_new(scratch, &cache, db);
        let forgotten = self.settle(scratch, &appended, &mut outcome);
        if !forgotten.is_empty() {
            self.append_again(scratch, &forgotten, &cache, db, now, durability, &mut outcome)?;
        }
        Ok(outcome)
    }

    fn cache_of(&self, tenant: &str) -> Arc<Mutex<SeriesCache>> {
        let mut caches = lock(&self.caches);
        match caches.get(tenant) {
            Some(cache) => cache.clone(),
            None => caches.entry(tenant.to_owned()).or_default().clone(),
        }
    }

    /// Reads the whole body into the batch; afterwards nothing can be wrong with it any more.
    fn fill_batch(
        &self,
        scratch: &mut Scratch,
        cache: &Mutex<SeriesCache>,
        db: &Arc<Db>,
        outcome: &mut WriteOutcome,
    ) -> Result<(), IngestError> {
        let Scratch { body, batch, samples, runs } = scratch;
        batch.clear();
        runs.clear();
        let mut cache = lock(cache);
        cache.belong_to(db);
        let mut request = decode_write_request(body);
        let mut series_index = 0;
        while let Some(series) = request.next(samples)? {
            if batch.len() + series.samples.len() > self.limits.request_samples_max {
                return Err(IngestError::TooManySamples { max: self.limits.request_samples_max });
            }
            outcome.exemplars_unsupported += series.exemplars;
            outcome.histograms_unsupported += series.histograms;
            let hash = series.label_bytes.map(|bytes| xxh3_128_with_seed(bytes, self.hash_seed));
            let known = hash.and_then(|hash| cache.get(hash, self.limits.cached_series_max));
            let first = batch.len();
            let labels = match known {
                Some(id) => {
                    push_known(batch, id, series.samples);
                    None
                }
                None => self.push_new(batch, &series, series.samples, outcome)?,
            };
            let count = batch.len() - first;
            if count > 0 {
                runs.push(Run { first, count, hash, labels, series_index });
            }
            series_index += 1;
        }
        outcome.metadata_unsupported = request.metadata_count();
        Ok(())
    }

    /// The slow lane: decode and check; a bad series is counted and left out.
    fn push_new(
        &self,
        batch: &mut Batch,
        series: &Series<'_, '_>,
        samples: &[Sample],
        outcome: &mut WriteOutcome,
    ) -> Result<Option<Labels>, IngestError> {
        let mut pairs = Vec::new();
        series.read_labels(&mut pairs)?;
        match label_set(&pairs, &self.limits) {
            Ok(labels) => {
                for sample in samples {
                    batch.push(labels.clone(), sample.t, sample.v);
                }
                Ok(Some(labels))
            }
            Err((reason, example)) => {
                outcome.discard(reason, samples.len() as u64, || example);
                Ok(None)
            }
        }
    }

    fn remember_new(&self, scratch: &Scratch, cache: &Mutex<SeriesCache>, db: &Arc<Db>) {
        let mut cache = lock(cache);
        // Another request may have come by with a newer Db.
        cache.belong_to(db);
        for run in scratch.runs.iter().filter(|run| run.labels.is_some()) {
            if let (Some(hash), Some(id)) = (run.hash, scratch.batch.id(run.first)) {
                cache.insert(hash, id, self.limits.cached_series_max);
            }
        }
    }

    /// Counts what the database said; gives the entries whose id it no longer knows.
    fn settle(&self, scratch: &Scratch, appended: &Appended, outcome: &mut WriteOutcome) -> Vec<usize> {
        outcome.accepted += appended.accepted;
        outcome.duplicates += appended.duplicates;
        outcome.series_created += appended.series_created;
        let mut forgotten = Vec::new();
        for refused in &appended.refused {
            let run = run_of(&scratch.runs, refused.index);
            if refused.reason == RefuseReason::UnknownSeries && run.is_some_and(|run| run.labels.is_none()) {
                forgotten.push(refused.index);
            } else {
                let labels = || run.and_then(|run| self.labels_of(scratch, run)).unwrap_or_default();
                let example = || format!("{}: series {}", refused.reason, Excerpt(&labels().to_string()));
                outcome.discard(Reason::of_refusal(refused.reason), 1, example);
            }
        }
        forgotten
    }

    /// The labels of a run, decoded again if it came by the fast lane.
    fn labels_of(&self, scratch: &Scratch, run: &Run) -> Option<Labels> {
        if run.labels.is_some() {
            return run.labels.clone();
        }
        let (mut samples, mut pairs) = (Vec::new(), Vec::new());
        let mut request = decode_write_request(&scratch.body);
        for _ in 0..run.series_index {
            request.next(&mut samples).ok()??;
        }
        request.next(&mut samples).ok()??.read_labels(&mut pairs).ok()?;
        label_set(&pairs, &self.limits).ok()
    }

    /// Pushes the samples of forgotten series with their labels. That happens after the database dropped idle series.
    #[expect(clippy::too_many_arguments, reason = "one caller, and the parts of one request")]
    fn append_again(
        &self,
        scratch: &mut Scratch,
        forgotten: &[usize],
        cache: &Mutex<SeriesCache>,
        db: &Arc<Db>,
        now: i64,
        durability: Durability,
        outcome: &mut WriteOutcome,
    ) -> Result<(), IngestError> {
        let Scratch { body, batch, samples, runs } = scratch;
        let old_runs = std::mem::take(runs);
        batch.clear();
        {
            let mut cache = lock(cache);
            let mut request = decode_write_request(body);
            let mut series_index = 0;
            let mut left = forgotten;
            while let Some(series) = request.next(samples)? {
                let Some(run) = left.first().and_then(|index| run_of(&old_runs, *index)) else { break };
                if run.series_index == series_index {
                    let end = run.first + run.count;
                    let (mine, others) = left.split_at(left.partition_point(|index| *index < end));
                    left = others;
                    run.hash.inspect(|hash| cache.remove(*hash));
                    let again: Vec<Sample> =
                        mine.iter().filter_map(|index| series.samples.get(index - run.first).copied()).collect();
                    let first = batch.len();
                    let labels = self.push_new(batch, &series, &again, outcome)?;
                    let count = batch.len() - first;
                    runs.push(Run { first, count, hash: run.hash, labels, series_index });
                }
                series_index += 1;
            }
        }
        let appended = db.append(batch, now, durability)?;
        self.remember_new(scratch, cache, db);
        self.settle(scratch, &appended, outcome);
        Ok(())
    }
}

fn push_known(batch: &mut Batch, id: SeriesId, samples: &[Sample]) {
    for sample in samples {
        batch.push_known(id, sample.t, sample.v);
    }
}

/// The run that the batch's entry belongs to.
fn run_of(runs: &[Run], entry: usize) -> Option<&Run> {
    let after = runs.partition_point(|run| run.first <= entry);
    runs.get(after.checked_sub(1)?).filter(|run| entry < run.first + run.count)
}

/// A panic while a lock is held leaves a cache or a list of scratch memory that is still sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}
