//! The ingester: a remote write body goes into a tenant's database.
//!
//! Here: the fast lane (known label bytes need no decoding), the slow one (decode, check, intern), and what is done
//! when the database no longer knows a remembered id; what a body has besides floats is stored with them. Elsewhere:
//! reading the body (`remote_write`, `extras`), the checks (`labels`).

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use storage::{Appended, Batch, Db, Durability, Labels, RefuseReason, Refused, Sample};
use xxhash_rust::xxh3::xxh3_128_with_secret;

use super::cache::{Cursor, LabelHash, SeriesCache};
use super::extras::Extras;
use super::labels::label_set;
use super::outcome::{Excerpt, Reason, WriteOutcome};
use super::remote_write::{Protocol, Series, WriteRequestReader, decode_write_request, decompress};
use super::remote_write_2::{WriteRequest2Reader, decode_write_request_2};
use super::{IngestError, WriteLimits};

/// Takes pushes for all tenants. One for the process, shared; it blocks on disk, so call it off the async threads.
///
/// Locks: `caches` and one tenant's cache are never held together, and none is held while the database appends.
/// Decoding only reads a cache, so that requests of one tenant are decoded side by side.
#[derive(Debug)]
pub struct Ingester {
    limits: WriteLimits,
    /// Key of the label hash, so that nobody can look for collisions.
    secret: [u8; SECRET_BYTES],
    caches: Mutex<HashMap<String, Arc<RwLock<SeriesCache>>>>,
    /// Whether start timestamps are stored.
    has_starts: bool,
    /// Whether series get labels of their metric's type and unit.
    has_types: bool,
    /// Memory of finished requests, for the next ones.
    spare: Mutex<Vec<Scratch>>,
}

/// As long as XXH3's own.
const SECRET_BYTES: usize = 192;
/// Scratch memory that is kept; a request at more than this many at once brings its own.
const SPARE_MAX: usize = 8;
/// A scratch that a large request has blown up beyond this is not kept.
const SPARE_BODY_BYTES_MAX: usize = 8 << 20;
/// A cache is given back after so many look-ups, so that requests with new series need not wait for a large one.
const LOOKUPS_MAX: usize = 4096;

#[derive(Debug, Default)]
struct Scratch {
    protocol: Protocol,
    /// The unpacked body is at its beginning.
    room: Vec<u8>,
    body_len: usize,
    batch: Batch,
    /// Of the series at hand.
    samples: Vec<Sample>,
    /// Their start timestamps.
    starts: Vec<i64>,
    /// For each series of the request, the place of its first sample in the batch. It has none there if the next one
    /// begins at the same place.
    firsts: Vec<usize>,
    /// The series whose labels were decoded, rising.
    fresh: Vec<Fresh>,
}

/// A series that came by the slow lane.
#[derive(Debug)]
struct Fresh {
    /// Its place among the request's series.
    series_index: usize,
    /// `None` if its labels cannot be told by their bytes.
    hash: Option<LabelHash>,
    /// Length of its labels' bytes.
    length: usize,
}

/// A request of either version.
enum Request<'a> {
    V1(WriteRequestReader<'a>),
    V2(WriteRequest2Reader<'a>),
}

impl<'a> Request<'a> {
    fn new(protocol: Protocol, body: &'a [u8], limits: &WriteLimits, has_types: bool) -> Result<Self, IngestError> {
        Ok(match protocol {
            Protocol::V1 => Request::V1(decode_write_request(body)),
            Protocol::V2 => Request::V2(decode_write_request_2(body, limits, has_types)?),
        })
    }

    #[inline]
    fn next<'s>(
        &'s mut self,
        samples: &'s mut Vec<Sample>,
        starts: &'s mut Vec<i64>,
    ) -> Result<Option<Series<'s, 's>>, IngestError> {
        match self {
            Request::V1(request) => Ok(request.next(samples)?),
            Request::V2(request) => request.next(samples, starts),
        }
    }

    /// As [`WriteRequestReader::next_known`]; what is known of version 2 saves no reading.
    #[inline]
    fn next_known<'s>(
        &'s mut self,
        samples: &'s mut Vec<Sample>,
        starts: &'s mut Vec<i64>,
        known: impl FnOnce(&[u8]) -> Option<usize>,
    ) -> Result<Option<Series<'s, 's>>, IngestError> {
        match self {
            Request::V1(request) => Ok(request.next_known(samples, known)?),
            Request::V2(request) => request.next(samples, starts),
        }
    }

    fn metadata_count(&self) -> u64 {
        match self {
            Request::V1(request) => request.metadata_count(),
            Request::V2(request) => request.metadata_count(),
        }
    }
}

impl Scratch {
    fn begin_batch(&mut self) {
        self.batch.clear();
        self.firsts.clear();
        self.fresh.clear();
    }

    /// The unpacked body.
    fn body(&self) -> &[u8] {
        &self.room[..self.body_len]
    }

    /// The series that a batch's entry belongs to.
    fn series_of(&self, entry: usize) -> usize {
        self.firsts.partition_point(|&first| first <= entry).saturating_sub(1)
    }

    fn is_fresh(&self, series_index: usize) -> bool {
        self.fresh.binary_search_by_key(&series_index, |fresh| fresh.series_index).is_ok()
    }
}

impl Ingester {
    /// An ingester with empty caches.
    pub fn new(limits: WriteLimits) -> Self {
        // The standard library takes this from the operating system's randomness.
        let random = RandomState::new();
        let mut secret = [0; SECRET_BYTES];
        for (n, bytes) in secret.chunks_exact_mut(8).enumerate() {
            bytes.copy_from_slice(&random.hash_one(n).to_le_bytes());
        }
        Ingester {
            limits,
            secret,
            caches: Mutex::default(),
            has_starts: false,
            has_types: false,
            spare: Mutex::default(),
        }
    }

    /// The same, storing start timestamps if `has_starts`.
    pub fn with_starts(self, has_starts: bool) -> Self {
        Ingester { has_starts, ..self }
    }

    /// The same, with labels that say the type and the unit of a metric, where remote write 2.0 tells them.
    pub fn with_type_and_unit_labels(self, has_types: bool) -> Self {
        Ingester { has_types, ..self }
    }

    /// The limits.
    pub fn limits(&self) -> &WriteLimits {
        &self.limits
    }

    /// Stores a remote write body (a snappy block) for `tenant`, whose database is `db`. `now` is milliseconds
    /// since the epoch. On `Ok` the good samples are durable as `durability` says; on `Err` nothing was stored, except
    /// for [`IngestError::Append`] with a disk that failed half-way, where a part may have been.
    pub fn write(
        &self,
        tenant: &str,
        db: &Arc<Db>,
        (protocol, body): (Protocol, &[u8]),
        now: i64,
        durability: Durability,
    ) -> Result<WriteOutcome, IngestError> {
        let mut scratch = lock(&self.spare).pop().unwrap_or_default();
        scratch.protocol = protocol;
        let written = self.write_with(&mut scratch, tenant, db, body, now, durability);
        scratch.begin_batch();
        let mut spare = lock(&self.spare);
        if spare.len() < SPARE_MAX && scratch.room.capacity() <= SPARE_BODY_BYTES_MAX {
            spare.push(scratch);
        }
        written
    }

    /// Forgets a tenant's ids, e.g. when it is removed.
    pub fn forget(&self, tenant: &str) {
        lock(&self.caches).remove(tenant);
    }

    #[cfg(test)]
    pub(super) fn replace_ids(&self, tenant: &str, id: storage::SeriesId) {
        write(&self.cache_of(tenant)).replace_ids(id);
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
        scratch.body_len = decompress(body, &self.limits, &mut scratch.room)?.len();
        let cache = self.cache_of(tenant);
        let mut outcome = WriteOutcome::default();
        if !self.fill_batch(scratch, &cache, db, &mut outcome)? {
            self.append(scratch, &cache, db, now, durability, &mut outcome)?;
            return Ok(outcome);
        }
        let mut extras = match scratch.protocol {
            Protocol::V1 => Extras::read(scratch.body(), &self.limits, &mut outcome)?,
            Protocol::V2 => Extras::read_2(scratch.body(), &self.limits, self.has_types, &mut outcome)?,
        };
        let owners: Vec<Labels> = extras.histograms.iter().map(|pushed| pushed.labels.clone()).collect();
        for pushed in extras.histograms.drain(..) {
            scratch.batch.push_histogram(pushed.labels, pushed.t, pushed.histogram);
            if self.has_starts {
                scratch.batch.set_histogram_start(pushed.start);
            }
        }
        // One sync at the end is for all of it.
        let refused = self.append(scratch, &cache, db, now, Durability::Written, &mut outcome)?;
        outcome.histograms = (owners.len() - refused.len()) as u64;
        for refused in refused {
            let labels = owners.get(refused.index).map(Labels::to_string).unwrap_or_default();
            let example = || format!("{}: series {}", refused.reason, Excerpt(&labels));
            outcome.discard(Reason::of_refusal(refused.reason), 1, example);
        }
        // After the samples: exemplars need their series.
        outcome.exemplars = db.append_exemplars(&extras.exemplars, Durability::Written)?;
        outcome.metadata = db.append_metadata(&extras.metadata, Durability::Written)?;
        outcome.extras_invalid = extras.invalid;
        if durability == Durability::Synced {
            db.sync()?;
        }
        Ok(outcome)
    }

    /// Stores the batch; gives what became of the native histograms that were refused.
    fn append(
        &self,
        scratch: &mut Scratch,
        cache: &RwLock<SeriesCache>,
        db: &Arc<Db>,
        now: i64,
        durability: Durability,
        outcome: &mut WriteOutcome,
    ) -> Result<Vec<Refused>, IngestError> {
        if scratch.batch.is_empty() {
            return Ok(Vec::new());
        }
        let appended = db.append(&mut scratch.batch, now, durability)?;
        self.remember_new(scratch, cache, db);
        let forgotten = self.settle(scratch, &appended, outcome);
        if !forgotten.is_empty() {
            self.append_again(scratch, &forgotten, cache, db, now, durability, outcome)?;
        }
        Ok(appended.refused_histograms)
    }

    fn cache_of(&self, tenant: &str) -> Arc<RwLock<SeriesCache>> {
        let mut caches = lock(&self.caches);
        match caches.get(tenant) {
            Some(cache) => cache.clone(),
            None => caches.entry(tenant.to_owned()).or_default().clone(),
        }
    }

    /// Reads the floats of the whole body into the batch; afterwards nothing can be wrong with them any more. True if
    /// there is more than floats.
    fn fill_batch(
        &self,
        scratch: &mut Scratch,
        cache: &RwLock<SeriesCache>,
        db: &Arc<Db>,
        outcome: &mut WriteOutcome,
    ) -> Result<bool, IngestError> {
        scratch.begin_batch();
        let Scratch { protocol, room, body_len, batch, samples, starts, firsts, fresh } = scratch;
        let mut request = Request::new(*protocol, &room[..*body_len], &self.limits, self.has_types)?;
        let (mut cursor, mut room) = (Cursor::default(), LabelRoom::default());
        let mut has_extras = false;
        loop {
            let cache = read_of(cache, db);
            let tick = cache.tick();
            for _ in 0..LOOKUPS_MAX {
                // Labels of the same hash as those of the series that is expected are not read, only gone past.
                let (expected, mut foreseen) = (cache.expected(&cursor), None);
                let length = |bytes: &[u8]| {
                    foreseen =
                        expected.filter(|&(hash, length)| bytes.get(..length).is_some_and(|b| self.hash(b) == hash));
                    foreseen.map(|(_, length)| length)
                };
                let Some(series) = request.next_known(samples, starts, length)? else {
                    return Ok(has_extras || request.metadata_count() > 0);
                };
                if batch.len() + series.samples.len() > self.limits.request_samples_max {
                    return Err(IngestError::TooManySamples { max: self.limits.request_samples_max });
                }
                has_extras |= series.exemplars + series.histograms > 0;
                let series_index = firsts.len();
                firsts.push(batch.len());
                let labels = series.label_bytes;
                let length = labels.map_or(0, <[u8]>::len);
                let hash = match (foreseen, labels) {
                    (Some((hash, known)), Some(_)) if known == length => Some(hash),
                    _ => labels.map(|bytes| self.hash(bytes)),
                };
                match hash.and_then(|hash| cache.get(hash, &mut cursor, tick)) {
                    Some(id) if series.starts.is_empty() || !self.has_starts => {
                        series.samples.iter().for_each(|sample| batch.push_known(id, sample.t, sample.v));
                    }
                    Some(id) => series.samples.iter().zip(series.starts).for_each(|(sample, start)| {
                        batch.push_known(id, sample.t, sample.v);
                        batch.set_start(*start);
                    }),
                    None => {
                        self.push_new(batch, &series, 0..series.samples.len(), &mut room, outcome)?;
                        fresh.push(Fresh { series_index, hash, length });
                    }
                }
            }
        }
    }

    #[inline]
    fn hash(&self, label_bytes: &[u8]) -> LabelHash {
        LabelHash::from(xxh3_128_with_secret(label_bytes, &self.secret))
    }

    /// The slow lane: decode and check; a bad series is counted and left out.
    fn push_new(
        &self,
        batch: &mut Batch,
        series: &Series<'_, '_>,
        places: impl ExactSizeIterator<Item = usize>,
        room: &mut LabelRoom,
        outcome: &mut WriteOutcome,
    ) -> Result<(), IngestError> {
        let (mut pairs, mut texts) =
            (emptied(std::mem::take(&mut room.pairs)), emptied(std::mem::take(&mut room.texts)));
        series.read_labels(&mut pairs)?;
        match label_set(&pairs, &self.limits, &mut texts) {
            Ok(labels) => places.for_each(|place| {
                let sample = series.samples[place];
                batch.push(labels.clone(), sample.t, sample.v);
                batch.set_start(series.starts.get(place).copied().filter(|_| self.has_starts).unwrap_or(0));
            }),
            Err((reason, example)) => outcome.discard(reason, places.len() as u64, || example),
        }
        *room = LabelRoom { pairs: emptied(pairs), texts: emptied(texts) };
        Ok(())
    }

    fn remember_new(&self, scratch: &Scratch, cache: &RwLock<SeriesCache>, db: &Arc<Db>) {
        if scratch.fresh.is_empty() {
            return;
        }
        let mut cache = write(cache);
        // Another request may have come by with a newer Db.
        cache.belong_to(db);
        for fresh in &scratch.fresh {
            let first = scratch.firsts[fresh.series_index];
            let end = scratch.firsts.get(fresh.series_index + 1).copied().unwrap_or(scratch.batch.len());
            if let (Some(hash), Some(id)) = (fresh.hash, (first..end).find_map(|entry| scratch.batch.id(entry))) {
                cache.insert(hash, fresh.length, id, self.limits.cached_series_max);
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
            let series_index = scratch.series_of(refused.index);
            if refused.reason == RefuseReason::UnknownSeries && !scratch.is_fresh(series_index) {
                forgotten.push(refused.index);
            } else {
                let labels = || self.labels_of(scratch, series_index).unwrap_or_default();
                let example = || format!("{}: series {}", refused.reason, Excerpt(&labels().to_string()));
                outcome.discard(Reason::of_refusal(refused.reason), 1, example);
            }
        }
        forgotten
    }

    /// The labels of a series of the request, decoded again.
    fn labels_of(&self, scratch: &Scratch, series_index: usize) -> Option<Labels> {
        let (mut samples, mut starts, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
        let mut request = Request::new(scratch.protocol, scratch.body(), &self.limits, self.has_types).ok()?;
        for _ in 0..series_index {
            request.next(&mut samples, &mut starts).ok()??;
        }
        request.next(&mut samples, &mut starts).ok()??.read_labels(&mut pairs).ok()?;
        label_set(&pairs, &self.limits, &mut Vec::new()).ok()
    }

    /// Pushes the samples of forgotten series with their labels. That happens after the database dropped idle series.
    #[expect(clippy::too_many_arguments, reason = "one caller, and the parts of one request")]
    fn append_again(
        &self,
        scratch: &mut Scratch,
        forgotten: &[usize],
        cache: &RwLock<SeriesCache>,
        db: &Arc<Db>,
        now: i64,
        durability: Durability,
        outcome: &mut WriteOutcome,
    ) -> Result<(), IngestError> {
        let old_firsts = std::mem::take(&mut scratch.firsts);
        let old_len = scratch.batch.len();
        scratch.begin_batch();
        let Scratch { protocol, room, body_len, batch, samples, starts, firsts, fresh } = &mut *scratch;
        let mut request = Request::new(*protocol, &room[..*body_len], &self.limits, self.has_types)?;
        let (mut left, mut room) = (forgotten, LabelRoom::default());
        while let Some(series) = request.next(samples, starts)? {
            let series_index = firsts.len();
            firsts.push(batch.len());
            let Some(&first) = old_firsts.get(series_index).filter(|_| !left.is_empty()) else { break };
            let end = old_firsts.get(series_index + 1).copied().unwrap_or(old_len);
            let (mine, others) = left.split_at(left.partition_point(|index| *index < end));
            left = others;
            if !mine.is_empty() {
                // Reading the same bytes again gives as many samples.
                let again = mine.iter().map(|index| index - first);
                self.push_new(batch, &series, again, &mut room, outcome)?;
                let hash = series.label_bytes.map(|bytes| self.hash(bytes));
                fresh.push(Fresh { series_index, hash, length: series.label_bytes.map_or(0, <[u8]>::len) });
            }
        }
        {
            let mut cache = write(cache);
            fresh.iter().filter_map(|fresh| fresh.hash).for_each(|hash| cache.remove(hash));
        }
        let appended = db.append(&mut scratch.batch, now, durability)?;
        self.remember_new(scratch, cache, db);
        self.settle(scratch, &appended, outcome);
        Ok(())
    }
}

/// Memory to decode the labels of one series after the other.
#[derive(Default)]
struct LabelRoom {
    pairs: Vec<(&'static [u8], &'static [u8])>,
    texts: Vec<(&'static str, &'static str)>,
}

/// The memory of a list, for another one with items of the same size.
fn emptied<A, B>(mut list: Vec<A>) -> Vec<B> {
    list.clear();
    list.into_iter().filter_map(|_| None).collect()
}

/// The cache, for looking up ids of `db`.
fn read_of<'a>(cache: &'a RwLock<SeriesCache>, db: &Arc<Db>) -> RwLockReadGuard<'a, SeriesCache> {
    loop {
        let guard = cache.read().unwrap_or_else(PoisonError::into_inner);
        if guard.is_of(db) {
            return guard;
        }
        drop(guard);
        write(cache).belong_to(db);
    }
}

fn write(cache: &RwLock<SeriesCache>) -> RwLockWriteGuard<'_, SeriesCache> {
    cache.write().unwrap_or_else(PoisonError::into_inner)
}

/// A panic while a lock is held leaves a cache or a list of scratch memory that is still sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
