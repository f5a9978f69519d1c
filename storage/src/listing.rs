//! Series of the head, and label sets of blocks, that selectors found before.
//!
//! Here: [`Listings`], which remembers for a list of matchers which series satisfy them, with their labels and in their
//! order. Of a block, which never changes, it remembers all label sets that satisfy them ([`BlockListing`]). Dashboards and rules ask for the
//! same again and again, and most of a short query's time goes into finding series, putting their labels together and
//! sorting them. Elsewhere: finding them (`head::select`, `block`), their samples (`db`).
//!
//! A number stands for one label set for ever, and new series have higher numbers than all before. So a listing is never
//! wrong: it lacks what came after its `end`, which is looked through when it is asked for, and names series that are
//! gone, which have no samples.
//!
//! Invariant: listings hold at most about their limit. They are kept from the second time on, so that what is asked once
//! takes no memory, and all of them are dropped now and then, for those of series that are gone.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use crate::db::read;
use crate::head::copies::LabelCopies;
use crate::head::{Head, select};
use crate::index::SeriesRef;
use crate::select::SNAPSHOT_SERIES;
use crate::{Labels, Matcher};

/// More new series than this are not looked through one by one.
const NEW_MAX: u64 = 1024;
/// Bytes of a series beside its labels' text.
const SERIES_BYTES: usize = 48;
/// Bytes of labels that are usual: what has more series than fit is not listed at all.
const LABELS_BYTES: usize = 128;
/// Matchers that were asked for, each of each block.
const SEEN_MAX: usize = 1 << 15;

/// Series that satisfy matchers, sorted by labels.
pub(crate) type Listed = Arc<[(SeriesRef, Labels)]>;

/// The remembered ones of one head.
#[derive(Debug)]
pub(crate) struct Listings {
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: FxHashMap<String, Listing>,
    bytes: usize,
    /// Counts uses.
    now: u64,
    /// Hashes of what was asked for: one that is wrong makes a listing at once.
    seen: FxHashSet<u64>,
}

#[derive(Debug)]
struct Listing {
    series: Listed,
    /// Series from this number on have not been looked at.
    end: u64,
    bytes: usize,
    used: u64,
}

impl Listings {
    /// None yet; of at most these bytes.
    pub(crate) fn new(bytes_max: usize) -> Listings {
        Listings { bytes_max, state: Mutex::default() }
    }

    /// The series of `head` that satisfy `matchers`; `Err` with their numbers if they are too many to be listed, and
    /// `None` once `go_on` says no.
    pub(crate) fn list(
        &self,
        head: &RwLock<Head>,
        matchers: &[Matcher],
        go_on: &dyn Fn() -> bool,
    ) -> Option<Result<Listed, Vec<SeriesRef>>> {
        let key = key_of(matchers);
        // Read first: what is acknowledged by now is below it.
        let end = read(head).next_id().0;
        if let Some((series, seen_end)) = self.get(&key)
            && end.saturating_sub(seen_end) <= NEW_MAX
        {
            // Another thread may have looked further meanwhile: all that is asked for is there then.
            if end <= seen_end {
                return Some(Ok(series));
            }
            let new = among(&read(head), matchers, seen_end..end);
            let series = if new.is_empty() { series } else { sorted(series.iter().cloned().chain(new).collect()) };
            self.put(key, &series, end);
            return Some(Ok(series));
        }
        let mut refs = select::select(head, matchers);
        if refs.len() > self.bytes_max / (SERIES_BYTES + LABELS_BYTES) {
            return Some(Err(refs));
        }
        refs.retain(|&series| u64::from(series) < end);
        let mut found = Vec::with_capacity(refs.len());
        let mut copies = LabelCopies::default();
        for portion in refs.chunks(SNAPSHOT_SERIES) {
            if !go_on() {
                return None;
            }
            copies.take_all(head, portion, |_, _| true);
            copies.drain(|series, labels| found.push((series, labels)));
        }
        let series = sorted(found);
        self.put(key, &series, end);
        Some(Ok(series))
    }

    /// The label sets of a block (by [`crate::block::Block::owner`]) that satisfy `matchers`, if they are known.
    pub(crate) fn of_block(&self, owner: u64, matchers: &[Matcher]) -> Option<Listed> {
        self.get(&block_key(owner, matchers)).map(|(series, _)| series)
    }

    /// These are all of them.
    pub(crate) fn put_block(&self, owner: u64, matchers: &[Matcher], all: Vec<(SeriesRef, Labels)>) {
        self.put(block_key(owner, matchers), &all.into(), 0);
    }

    /// Whether the label sets of a block were asked for before, so that it is worth to put them together for all series.
    fn is_asked_again(&self, owner: u64, matchers: &[Matcher]) -> bool {
        let mut state = self.lock();
        !state.note(&block_key(owner, matchers))
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        let mut state = self.lock();
        (state.kept, state.bytes) = (FxHashMap::default(), 0);
    }

    fn get(&self, key: &str) -> Option<(Listed, u64)> {
        let mut state = self.lock();
        state.now += 1;
        let now = state.now;
        let listing = state.kept.get_mut(key)?;
        listing.used = now;
        Some((listing.series.clone(), listing.end))
    }

    fn put(&self, key: String, series: &Listed, end: u64) {
        let labels: usize = series.iter().map(|(_, labels)| labels.packed_bytes()).sum();
        let bytes = labels + series.len() * SERIES_BYTES + 2 * key.len();
        let mut state = self.lock();
        if bytes > self.bytes_max {
            return;
        }
        if !state.kept.contains_key(&key) && state.note(&key) {
            return;
        }
        let used = state.now;
        let old = state.kept.insert(key, Listing { series: series.clone(), end, bytes, used });
        state.bytes = state.bytes + bytes - old.map_or(0, |old| old.bytes);
        while state.bytes > self.bytes_max {
            let oldest = state.kept.iter().min_by_key(|(_, listing)| listing.used).map(|(key, _)| key.clone());
            let gone = oldest.and_then(|key| state.kept.remove(&key));
            state.bytes -= gone.map_or(state.bytes, |gone| gone.bytes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes that these matchers were asked for; true if they were not before.
    fn note(&mut self, key: &str) -> bool {
        if self.seen.len() >= SEEN_MAX {
            self.seen.clear();
        }
        self.seen.insert(FxBuildHasher.hash_one(key))
    }
}

/// The label sets of a block while its series that satisfy some matchers are gone through.
pub(crate) struct BlockListing<'l, 'm> {
    listings: &'l Listings,
    owner: u64,
    matchers: &'m [Matcher],
    known: Option<Listed>,
    /// All are to be known.
    wants_all: bool,
}

/// The same of some of the series, which come by number.
pub(crate) struct ListingPart<'b> {
    /// From the first of them on, as far as they were not met.
    known: &'b [(SeriesRef, Labels)],
    /// Those that were met, if all are to be known.
    met: Option<Vec<(SeriesRef, Labels)>>,
}

impl<'l, 'm> BlockListing<'l, 'm> {
    /// Of a block (by [`crate::block::Block::owner`]), for these matchers.
    pub(crate) fn new(listings: &'l Listings, owner: u64, matchers: &'m [Matcher]) -> Self {
        let known = listings.of_block(owner, matchers);
        let wants_all = known.is_none() && listings.is_asked_again(owner, matchers);
        BlockListing { listings, owner, matchers, known, wants_all }
    }

    /// From this series on.
    pub(crate) fn part(&self, first: Option<SeriesRef>) -> ListingPart<'_> {
        let known = self.known.as_deref().unwrap_or_default();
        let before = known.partition_point(|(series, _)| first.is_none_or(|first| *series < first));
        ListingPart { known: &known[before..], met: self.wants_all.then(Vec::new) }
    }

    /// All series were met, in these parts.
    pub(crate) fn finish(&self, parts: Vec<ListingPart<'_>>) {
        if self.wants_all {
            let all = parts.into_iter().filter_map(|part| part.met).flatten().collect();
            self.listings.put_block(self.owner, self.matchers, all);
        }
    }
}

impl ListingPart<'_> {
    /// Whether all series are to be met, those without samples in a range among them.
    pub(crate) fn wants_all(&self) -> bool {
        self.met.is_some()
    }

    /// Labels of the next series; `make` puts them together.
    pub(crate) fn labels<E>(
        &mut self,
        series: SeriesRef,
        make: impl FnOnce() -> Result<Labels, E>,
    ) -> Result<Labels, E> {
        let before = self.known.iter().take_while(|(other, _)| *other < series).count();
        self.known = &self.known[before..];
        if let Some((_, labels)) = self.known.first().filter(|(other, _)| *other == series) {
            return Ok(labels.clone());
        }
        let labels = make()?;
        self.met.iter_mut().for_each(|met| met.push((series, labels.clone())));
        Ok(labels)
    }
}

/// Those of new series that satisfy the matchers.
fn among(head: &Head, matchers: &[Matcher], new: std::ops::Range<u64>) -> Vec<(SeriesRef, Labels)> {
    let refs = new.filter_map(|series| SeriesRef::try_from(series).ok());
    let series = refs.filter_map(|series| Some((series, head.labels(series)?)));
    let is_wanted = |labels: &Labels| matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or_default()));
    series.filter(|(_, labels)| is_wanted(labels)).collect()
}

fn sorted(mut series: Vec<(SeriesRef, Labels)>) -> Listed {
    // Stable and fast on what is mostly sorted.
    series.sort_by(|a, b| a.1.cmp(&b.1));
    series.into()
}

fn block_key(owner: u64, matchers: &[Matcher]) -> String {
    format!("block {owner} {}", key_of(matchers))
}

/// Different for different lists of matchers: lengths stand before texts.
fn key_of(matchers: &[Matcher]) -> String {
    use std::fmt::Write as _;
    let mut key = String::new();
    for m in matchers {
        // Writing into a String cannot fail.
        let _ = write!(key, "{} {}{}{} {}", m.name().len(), m.name(), m.op().as_str(), m.value().len(), m.value());
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, Db, Durability, MatchOp, Options, TimeRange};

    fn add(db: &Db, jobs: std::ops::Range<u32>) {
        let mut batch = Batch::default();
        for job in jobs {
            let (job, env) = (job.to_string(), if job % 3 == 0 { "" } else { "prod" });
            let labels = Labels::from_pairs([("__name__", "up"), ("job", &job), ("env", env)]).unwrap();
            batch.push(labels, 1000, 1.0);
        }
        assert_eq!(db.append(&mut batch, 1000, Durability::Written).unwrap().refused.len(), 0);
    }

    /// What is selected, and that it is what a look at every series finds.
    fn selected(db: &Db, matchers: &[Matcher]) -> Vec<String> {
        let found = db.select(matchers, TimeRange::ALL).unwrap().series;
        let all = db.select(&[], TimeRange::ALL).unwrap().series;
        let value = |labels: &Labels, m: &Matcher| labels.get(m.name()).unwrap_or_default().to_owned();
        let expected = all.iter().map(|s| s.labels()).filter(|l| matchers.iter().all(|m| m.matches(&value(l, m))));
        let found: Vec<String> = found.iter().map(|s| s.labels().to_string()).collect();
        let shared_out = db.select_while(matchers, TimeRange::ALL, 3, &|_| true).unwrap().unwrap();
        assert_eq!(shared_out.series.iter().map(|s| s.labels().to_string()).collect::<Vec<_>>(), found);
        assert_eq!(found, expected.map(Labels::to_string).collect::<Vec<_>>(), "{matchers:?}");
        found
    }

    /// How many listings there are, and their bytes.
    fn held(db: &Db) -> (usize, usize) {
        let state = db.listings.lock();
        (state.kept.len(), state.bytes)
    }

    fn matchers() -> Vec<Vec<Matcher>> {
        let of = |op, name: &str, value: &str| Matcher::new(op, name, value).unwrap();
        vec![
            vec![Matcher::equal("__name__", "up")],
            vec![Matcher::equal("env", "")],
            vec![of(MatchOp::NotEqual, "env", "prod"), of(MatchOp::Regex, "job", "1.*")],
            vec![of(MatchOp::NotRegex, "job", "1.*|2")],
        ]
    }

    #[test]
    fn what_was_listed_grows_with_new_series() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), Options::default()).unwrap();
        // Few and many new ones, and none.
        for jobs in [0..20, 20..21, 21..21, 21..50, 50..2000, 2000..2001] {
            add(&db, jobs.clone());
            for m in matchers() {
                assert_eq!(selected(&db, &m), selected(&db, &m), "{jobs:?}");
            }
        }
        assert_eq!(db.listings.lock().kept.len(), matchers().len() + 1);
        db.listings.clear();
        assert_eq!(held(&db), (0, 0));
        assert_eq!(selected(&db, &matchers()[0]).len(), 2001);
    }

    #[test]
    fn label_sets_of_blocks_are_known_from_the_second_time_on() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), Options { block_ms: 1000, ..Options::default() }).unwrap();
        add(&db, 0..20);
        let mut later = Batch::default();
        later.push(Labels::from_pairs([("__name__", "up"), ("job", "1"), ("env", "prod")]).unwrap(), 1500, 1.0);
        later.push(Labels::from_pairs([("__name__", "up"), ("job", "later")]).unwrap(), 100_000, 1.0);
        db.append(&mut later, 100_000, Durability::Written).unwrap();
        db.maintain(100_000).unwrap();
        let m = [Matcher::equal("__name__", "up")];
        let [block] = &db.blocks_in(TimeRange::ALL)[..] else { panic!("{:?}", db.stats()) };
        let found = |range| db.series(&m, range, &|_| true).unwrap().len();
        let known = || db.listings.of_block(block.owner(), &m).map(|listed| listed.len());
        // Not while only a part of the block is asked for.
        (0..2).for_each(|_| assert_eq!((found(TimeRange::new(1000, 1001)), known()), (20, None)));
        assert_eq!((found(TimeRange::ALL), known()), (21, None));
        (0..2).for_each(|_| assert_eq!((found(TimeRange::ALL), known()), (21, Some(20))));
    }

    #[test]
    fn selecting_from_a_block_lists_all_of_it_and_uses_what_is_listed() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), Options { block_ms: 1000, ..Options::default() }).unwrap();
        add(&db, 0..20);
        let mut later = Batch::default();
        (0..40).step_by(3).for_each(|job| {
            let labels = Labels::from_pairs([("__name__", "up"), ("job", &job.to_string()), ("late", "yes")]).unwrap();
            later.push(labels, 1500, 1.0);
        });
        later.push(Labels::from_pairs([("__name__", "up"), ("job", "later")]).unwrap(), 100_000, 1.0);
        db.append(&mut later, 100_000, Durability::Written).unwrap();
        db.maintain(100_000).unwrap();
        let m = [Matcher::equal("__name__", "up")];
        let [block] = &db.blocks_in(TimeRange::ALL)[..] else { panic!("{:?}", db.stats()) };
        let known = || db.listings.of_block(block.owner(), &m);
        let found = |range| -> Vec<Labels> {
            let found = db.select(&m, range).unwrap().series;
            found.iter().map(|series| series.labels().clone()).collect()
        };
        let early = TimeRange::new(1000, 1001);
        let first = found(early);
        assert_eq!((first.len(), known().is_none()), (20, true));
        // The second time those are listed, too, that have nothing in the range.
        assert_eq!((found(early), known().map(|listed| listed.len())), (first.clone(), Some(34)));
        let listed = known().unwrap();
        let again = found(early);
        assert_eq!(again, first);
        let is_shared = |labels: &Labels| listed.iter().any(|(_, l)| Arc::ptr_eq(l.packed(), labels.packed()));
        assert!(again.iter().all(is_shared));
        assert_eq!(found(TimeRange::new(1001, 2000)).len(), 14);
        assert_eq!(db.series(&m, TimeRange::ALL, &|_| true).unwrap().len(), 35);
    }

    #[test]
    fn another_thread_may_have_looked_further() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), Options::default()).unwrap();
        add(&db, 0..20);
        let m = matchers().remove(0);
        selected(&db, &m);
        let (listed, end) = db.listings.get(&key_of(&m)).unwrap();
        db.listings.put(key_of(&m), &listed, end + 5);
        assert_eq!(selected(&db, &m).len(), 20);
    }

    #[test]
    fn threads_end_together_when_it_is_enough() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), Options::default()).unwrap();
        add(&db, 0..5000);
        for threads in [1, 4] {
            let found = db.select_while(&[], TimeRange::ALL, threads, &|count| count < 600).unwrap();
            assert!(found.is_none(), "{threads} threads");
        }
    }

    #[test]
    fn it_holds_no_more_than_its_limit_and_nothing_that_was_asked_once() {
        let dir = tempfile::tempdir().unwrap();
        let listings_bytes_max = 100 * (SERIES_BYTES + LABELS_BYTES);
        let db = Db::open(dir.path(), Options { listings_bytes_max, ..Options::default() }).unwrap();
        add(&db, 0..90);
        assert_eq!(db.select(&[Matcher::equal("job", "1")], TimeRange::ALL).unwrap().series.len(), 1);
        assert!(!db.listings.lock().kept.keys().any(|key| key.contains("job")));
        for job in 0..90 {
            let m =
                [Matcher::equal("__name__", "up"), Matcher::new(MatchOp::NotEqual, "job", job.to_string()).unwrap()];
            assert_eq!((selected(&db, &m).len(), selected(&db, &m).len()), (89, 89));
        }
        let (kept, bytes) = held(&db);
        assert!(bytes <= listings_bytes_max && (1..90).contains(&kept), "{bytes} {kept}");
        // More than can be listed.
        add(&db, 90..200);
        assert_eq!(selected(&db, &[Matcher::equal("__name__", "up")]).len(), 200);
        assert_eq!(selected(&db, &[Matcher::equal("__name__", "up")]).len(), 200);
    }
}
