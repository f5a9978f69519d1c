//! Answers to range queries that are known already.
//!
//! Here: keeping pieces of answers, finding them again, and putting an answer together from pieces and from what has to be
//! evaluated. Children: `safe` (which queries may be cached at all), `chunk` (a piece), `tests`.
//! Elsewhere: evaluating (`promql`), what was changed of the past (`storage::Db::touched_since`).
//!
//! Only times that are older than the newest sample, and than now, by some minutes are kept, and only of queries whose start
//! is a multiple of their step, as dashboards ask them: others would never meet again. The text of a query is part of the
//! key as it stands, since infos say places in it.
//!
//! Invariant: what is answered from here is what an evaluation at this moment would yield. A piece is thrown away when
//! samples that it may depend on came late or were deleted; that is looked at under the lock whenever a piece is put in or
//! taken out, against a number that was read before its evaluation.

mod chunk;
mod safe;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chunk::{Chunk, keepable};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use rustc_hash::FxHashMap;
pub(super) use safe::look_back;
use storage::{Db, Labels, TimeRange};

use crate::config::TenantId;
use crate::promql::{MatrixSeries, QueryError, QueryResult, Value};
use crate::telemetry::Registry;

/// With more holes than this, one evaluation of all is cheaper than one for each.
const GAPS_MAX: usize = 3;
/// A piece that would take more than this part of the cache is not kept.
const LARGEST_PART: usize = 4;
/// Bytes of a query beside its text and chunks.
const ENTRY_BYTES: usize = 256;

/// Whose query it is, and which.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) tenant: TenantId,
    pub(super) query: String,
    pub(super) step: i64,
    pub(super) lookback_ms: i64,
}

/// What is to be answered.
pub(super) struct Wanted<'a> {
    pub(super) key: Key,
    pub(super) db: &'a Db,
    pub(super) start: i64,
    pub(super) end: i64,
    /// How far back a value looks, [`look_back`].
    pub(super) look_back_ms: i64,
    pub(super) now: i64,
}

/// Evaluates the query from a first to a last time.
pub(super) type Evaluate<'f> = dyn FnMut(i64, i64) -> Result<QueryResult, QueryError> + 'f;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

#[derive(Debug, Clone, Default)]
struct Metrics {
    requests: Family<ByResult, Counter>,
    evictions: Counter,
    invalidations: Counter,
    bytes: Gauge,
}

/// The cache, for all tenants.
#[derive(Debug)]
pub(super) struct ResultCache {
    state: Mutex<State>,
    bytes_max: AtomicUsize,
    min_age_ms: AtomicI64,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct State {
    entries: FxHashMap<Arc<Key>, Entry>,
    /// What was used when, longest ago first.
    uses: BTreeMap<u64, (Arc<Key>, i64)>,
    last_use: u64,
    bytes: usize,
}

/// What is known of one query.
#[derive(Debug)]
struct Entry {
    chunks: BTreeMap<i64, Slot>,
    look_back_ms: i64,
    /// Changes of the past up to this number are applied.
    touched: u64,
}

#[derive(Debug)]
struct Slot {
    chunk: Arc<Chunk>,
    used: u64,
    bytes: usize,
}

/// A run of steps that is known.
struct Hit {
    chunk: Arc<Chunk>,
    first: i64,
    last: i64,
}

impl ResultCache {
    pub(super) fn new(bytes_max: usize, min_age_ms: i64, registry: &Registry) -> Self {
        let metrics = Metrics::default();
        registry.with(|r| {
            let help = "Range queries that could be cached, by how much of the answer was: hit, partial, miss";
            r.register("cairn_query_cache_requests", help, metrics.requests.clone());
            let help = "Pieces of answers that had to make room for others";
            r.register("cairn_query_cache_evictions", help, metrics.evictions.clone());
            let help = "Pieces of answers that were thrown away because samples came late or were deleted";
            r.register("cairn_query_cache_invalidations", help, metrics.invalidations.clone());
            r.register("cairn_query_cache_bytes", "Bytes of pieces of answers, estimated", metrics.bytes.clone());
        });
        let (bytes_max, min_age_ms) = (bytes_max.into(), min_age_ms.into());
        ResultCache { state: Mutex::default(), bytes_max, min_age_ms, metrics }
    }

    /// Other limits; what is too much for them goes at once.
    pub(super) fn set_limits(&self, bytes_max: usize, min_age_ms: i64) {
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
        self.min_age_ms.store(min_age_ms, Ordering::Relaxed);
        self.shrink(&mut self.lock(), bytes_max);
    }

    /// Whether anything is ever kept.
    pub(super) fn is_on(&self) -> bool {
        self.bytes_max.load(Ordering::Relaxed) > 0
    }

    /// Whether answers at these times can be of use to others.
    pub(super) fn is_aligned(start: i64, step: i64) -> bool {
        step > 0 && start.rem_euclid(step) == 0
    }

    /// The answer to a query that may be cached and is aligned.
    pub(super) fn answer(&self, wanted: Wanted<'_>, evaluate: &mut Evaluate<'_>) -> Result<QueryResult, QueryError> {
        let step = wanted.key.step;
        let first = wanted.start.div_euclid(step);
        let last = first + wanted.end.saturating_sub(wanted.start) / step;
        let newest_t = wanted.db.newest_t().unwrap_or(i64::MIN).min(wanted.now);
        let kept_t = newest_t.saturating_sub(self.min_age_ms.load(Ordering::Relaxed));
        let kept_last = last.min(kept_t.div_euclid(step));
        if kept_last < first {
            return evaluate(wanted.start, wanted.end);
        }
        let key = Arc::new(wanted.key);
        // Before anything is read: what changes from now on is noted.
        let touched = wanted.db.watch_past(kept_t);
        let hits = self.look_up(wanted.db, &key, first, kept_last);
        let gaps = gaps(&hits, first, last);
        let keep = |result: &QueryResult, from: i64, to: i64| {
            let entry = Entry { chunks: BTreeMap::new(), look_back_ms: wanted.look_back_ms, touched };
            self.keep(wanted.db, &key, entry, result, from, to.min(kept_last));
        };
        let is_hit = gaps.iter().all(|(from, _)| *from > kept_last);
        self.count(if hits.is_empty() {
            "miss"
        } else if is_hit {
            "hit"
        } else {
            "partial"
        });
        if hits.is_empty() || gaps.len() > GAPS_MAX {
            let result = evaluate(wanted.start, wanted.end)?;
            keep(&result, first, last);
            return Ok(result);
        }
        let mut answer = Assembly::default();
        let mut hits = hits.into_iter().peekable();
        let mut gaps = gaps.into_iter().peekable();
        loop {
            let next_hit = hits.peek().map_or(i64::MAX, |hit| hit.first);
            let next_gap = gaps.peek().map_or(i64::MAX, |(from, _)| *from);
            if next_gap < next_hit
                && let Some((from, to)) = gaps.next()
            {
                let result = evaluate(from * step, to * step)?;
                keep(&result, from, to);
                answer.add_evaluated(result);
            } else if let Some(hit) = hits.next() {
                answer.add_known(&hit, step);
            } else {
                return Ok(answer.finish());
            }
        }
    }

    /// What is known of the steps `first ..= last`, in their order.
    fn look_up(&self, db: &Db, key: &Arc<Key>, first: i64, last: i64) -> Vec<Hit> {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(entry) = state.entries.get_mut(key) else { return Vec::new() };
        let (number, changed) = db.touched_since(entry.touched);
        entry.touched = number;
        let mut hits = Vec::new();
        let stale: Vec<i64> = entry
            .chunks
            .iter()
            .filter(|(_, s)| is_stale(&s.chunk, key, entry.look_back_ms, &changed))
            .map(|(n, _)| *n)
            .collect();
        for number in stale {
            self.metrics.invalidations.inc();
            if let Some(slot) = entry.chunks.remove(&number) {
                state.bytes -= slot.bytes;
                state.uses.remove(&slot.used);
            }
        }
        for (number, slot) in entry.chunks.range_mut(Chunk::number_of(first)..=Chunk::number_of(last)) {
            let (from, to) = (slot.chunk.first.max(first), slot.chunk.last.min(last));
            if from <= to {
                state.uses.remove(&slot.used);
                state.last_use += 1;
                slot.used = state.last_use;
                state.uses.insert(slot.used, (key.clone(), *number));
                hits.push(Hit { chunk: slot.chunk.clone(), first: from, last: to });
            }
        }
        if entry.chunks.is_empty() {
            state.drop_entry(key);
        }
        self.metrics.bytes.set(state.bytes as i64);
        hits
    }

    /// Keeps the steps `first ..= last` of an answer that was evaluated after change `fresh.touched`; `fresh` is the entry
    /// if there is none.
    fn keep(&self, db: &Db, key: &Arc<Key>, fresh: Entry, result: &QueryResult, first: i64, last: i64) {
        let Some(series) = keepable(result).filter(|_| first <= last) else { return };
        let infos: Arc<[String]> = result.infos.clone().into();
        let numbers = Chunk::number_of(first)..=Chunk::number_of(last);
        let pieces: Vec<(i64, Chunk)> = numbers
            .map(|number| {
                let (from, to) = ((number * chunk::STEPS).max(first), ((number + 1) * chunk::STEPS - 1).min(last));
                (number, Chunk::of(series, key.step, from, to, &infos))
            })
            .collect();
        let bytes_max = self.bytes_max.load(Ordering::Relaxed);
        let mut state = self.lock();
        let (_, changed) = db.touched_since(fresh.touched);
        let look_back_ms = fresh.look_back_ms;
        for (number, piece) in pieces {
            if !is_stale(&piece, key, look_back_ms, &changed) {
                let fresh = Entry { chunks: BTreeMap::new(), ..fresh };
                state.put(key, fresh, number, piece, bytes_max / LARGEST_PART);
            }
        }
        self.shrink(&mut state, bytes_max);
    }

    fn shrink(&self, state: &mut State, bytes_max: usize) {
        while state.bytes > bytes_max && state.evict() {
            self.metrics.evictions.inc();
        }
        self.metrics.bytes.set(state.bytes as i64);
    }

    fn count(&self, result: &'static str) {
        self.metrics.requests.get_or_create(&ByResult { result }).inc();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Puts a piece in; joined with what is known already, if they touch.
    fn put(&mut self, key: &Arc<Key>, fresh: Entry, number: i64, piece: Chunk, bytes_max: usize) {
        let known = self.entries.get(key).and_then(|entry| entry.chunks.get(&number)).map(|slot| slot.chunk.clone());
        let chunk = match known {
            Some(known) if known.first <= piece.first && piece.last <= known.last => return,
            Some(known) => piece.joined(&known).unwrap_or(piece),
            None => piece,
        };
        let bytes = chunk.bytes();
        if bytes > bytes_max {
            return;
        }
        if !self.entries.contains_key(key) {
            self.bytes += ENTRY_BYTES + key.query.len();
            self.entries.insert(key.clone(), fresh);
        }
        let Some(entry) = self.entries.get_mut(key) else { return };
        self.last_use += 1;
        let slot = Slot { chunk: Arc::new(chunk), used: self.last_use, bytes };
        self.uses.insert(slot.used, (key.clone(), number));
        self.bytes += bytes;
        if let Some(old) = entry.chunks.insert(number, slot) {
            self.bytes -= old.bytes;
            self.uses.remove(&old.used);
        }
    }

    /// Throws away what was used longest ago; false if there is nothing.
    fn evict(&mut self) -> bool {
        let Some((_, (key, number))) = self.uses.pop_first() else { return false };
        if let Some(entry) = self.entries.get_mut(&key) {
            self.bytes -= entry.chunks.remove(&number).map_or(0, |slot| slot.bytes);
            if entry.chunks.is_empty() {
                self.drop_entry(&key);
            }
        }
        true
    }

    /// One without chunks.
    fn drop_entry(&mut self, key: &Arc<Key>) {
        if self.entries.remove(key).is_some() {
            self.bytes -= ENTRY_BYTES + key.query.len();
        }
    }
}

/// Whether some value of the chunk may depend on what changed: a value looks at samples of its own time and before.
fn is_stale(chunk: &Chunk, key: &Key, look_back_ms: i64, changed: &[TimeRange]) -> bool {
    let (min_t, max_t) = (chunk.first * key.step, chunk.last * key.step);
    changed.iter().any(|range| range.min_t <= max_t && min_t <= range.max_t.saturating_add(look_back_ms))
}

/// The runs of `first ..= last` that no hit has.
fn gaps(hits: &[Hit], first: i64, last: i64) -> Vec<(i64, i64)> {
    let mut gaps = Vec::new();
    let mut next = first;
    for hit in hits {
        if next < hit.first {
            gaps.push((next, hit.first - 1));
        }
        next = hit.last + 1;
    }
    if next <= last {
        gaps.push((next, last));
    }
    gaps
}

/// An answer in the making, from its first step to its last.
#[derive(Default)]
struct Assembly {
    places: FxHashMap<Labels, usize>,
    series: Vec<MatrixSeries>,
    warnings: Vec<String>,
    infos: Vec<String>,
}

impl Assembly {
    fn series_of(&mut self, labels: &Labels) -> &mut MatrixSeries {
        let place = match self.places.get(labels) {
            Some(place) => *place,
            None => {
                self.places.insert(labels.clone(), self.series.len());
                let labels = labels.clone();
                self.series.push(MatrixSeries { labels, points: Vec::new(), histograms: Vec::new() });
                self.series.len() - 1
            }
        };
        &mut self.series[place]
    }

    fn add_known(&mut self, hit: &Hit, step: i64) {
        hit.chunk.read(step, hit.first, hit.last, |labels, points| {
            if let Some(point) = points.next() {
                let series = self.series_of(labels);
                series.points.push(point);
                series.points.extend(points);
            }
        });
        add_texts(&mut self.infos, hit.chunk.infos.to_vec());
    }

    fn add_evaluated(&mut self, result: QueryResult) {
        if let Value::Matrix(found) = result.value {
            for one in found {
                let series = self.series_of(&one.labels);
                series.points.extend(one.points);
                series.histograms.extend(one.histograms);
            }
        }
        add_texts(&mut self.warnings, result.warnings);
        add_texts(&mut self.infos, result.infos);
    }

    fn finish(mut self) -> QueryResult {
        self.series.sort_by(|a, b| a.labels.cmp(&b.labels));
        QueryResult { value: Value::Matrix(self.series), warnings: self.warnings, infos: self.infos }
    }
}

fn add_texts(all: &mut Vec<String>, more: Vec<String>) {
    for text in more {
        if !all.contains(&text) {
            all.push(text);
        }
    }
}
