//! The scrape cache: one target's series as its page spells them, and what became of each.
//!
//! Here: from the raw text of a series to its [`SeriesId`], duplicates on one page, which series ended.
//! Elsewhere: reading the page (`page`), storing (`sink`).
//!
//! A known text costs one hash and one lookup; texts themselves are not kept, only 128 bits of keyed hash of each. A
//! second key, the hash of the sorted labels, finds the same series under another spelling.
//!
//! Invariant: an entry is `live` if and only if the last scrape left the series without a staleness marker and owes it
//! one when it vanishes.

use std::hash::{BuildHasher, Hasher};

use rustc_hash::{FxHashMap, FxHashSet};
use storage::SeriesId;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::synthesis::Synthesis;

/// What a series of the page is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Not stored yet: its labels are needed.
    Fresh,
    /// Stored under this id.
    Known(SeriesId),
    /// Relabelling dropped it.
    Dropped,
}

/// Place of an entry; good until [`SeriesCache::finish`] or [`SeriesCache::finish_failed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot(u32);

#[derive(Debug)]
struct Entry {
    fate: Fate,
    /// The scrape that saw it last.
    seen: u32,
    live: bool,
    /// Whether that scrape gave it no time of its own.
    is_tracked: bool,
    /// Not on the last good page.
    is_gone: bool,
    /// Whether its last sample was a native histogram, so that its marker is one.
    is_histogram: bool,
    /// The time that the page gave at that scrape, or [`NO_TIME`].
    timestamp: i64,
}

/// A series that needs a marker, and of which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ended {
    pub(crate) id: SeriesId,
    pub(crate) is_histogram: bool,
}

/// Stands for "no time": an `Option` would cost eight bytes a series.
const NO_TIME: i64 = i64::MIN;

/// What [`SeriesCache::see`] says about a sample's series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// First time on this page.
    Once { is_new: bool },
    /// Again, with another time.
    Again,
    /// The very same sample place twice.
    Duplicate,
}

/// One target's cache; owned by its loop.
#[derive(Debug)]
pub(crate) struct SeriesCache {
    seed: u64,
    by_text: FxHashMap<(u64, u64), u32>,
    by_identity: FxHashMap<u64, u32>,
    entries: Vec<Entry>,
    scrape: u32,
    /// Live series of a predecessor with other rules, to be ended unless they go on.
    inherited: Vec<Ended>,
    /// The start timestamp that the page last gave, for each of `entries`; shorter where none did.
    starts: Vec<i64>,
    /// Of series whose starts we make up, for each of `entries`; shorter where there are none.
    synthesized: Vec<Option<Box<Synthesis>>>,
}

impl SeriesCache {
    /// An empty cache with a random key, so that no page can be made to collide.
    pub(crate) fn new() -> Self {
        SeriesCache {
            seed: std::hash::RandomState::new().build_hasher().finish(),
            by_text: FxHashMap::default(),
            by_identity: FxHashMap::default(),
            entries: Vec::new(),
            scrape: 0,
            inherited: Vec::new(),
            starts: Vec::new(),
            synthesized: Vec::new(),
        }
    }

    /// A cache for a loop with other rules: nothing is known, but what is live will be ended if it does not go on.
    pub(crate) fn succeed(predecessor: SeriesCache) -> Self {
        let mut inherited = predecessor.inherited;
        inherited.extend(predecessor.entries.iter().filter(|e| e.live).filter_map(Entry::ended));
        SeriesCache { inherited, ..Self::new() }
    }

    /// Starts a scrape.
    pub(crate) fn begin(&mut self) {
        self.scrape = self.scrape.wrapping_add(1);
    }

    /// The entry of a series spelled `text`, if that spelling is known.
    pub(crate) fn find(&self, text: &[u8]) -> Option<Slot> {
        self.by_text.get(&self.text_key(text)).map(|&i| Slot(i))
    }

    /// The entry for a new spelling `text` of the series with these sorted, unique labels; fresh if the series is new.
    pub(crate) fn learn(&mut self, text: &[u8], labels: &[(&str, &str)]) -> Slot {
        // A page that spells its series differently each time must not grow the cache for ever.
        if self.by_text.len() > 4 * self.entries.len() + 1_000 {
            self.by_text.clear();
        }
        let entries = &mut self.entries;
        let index = *self.by_identity.entry(identity(self.seed, labels)).or_insert_with(|| {
            entries.push(Entry {
                fate: Fate::Fresh,
                seen: 0,
                live: false,
                is_tracked: false,
                is_gone: true,
                is_histogram: false,
                timestamp: NO_TIME,
            });
            entries.len() as u32 - 1
        });
        let key = self.text_key(text);
        self.by_text.insert(key, index);
        Slot(index)
    }

    /// Notes that the page holds a sample of the series with this time (as exposed) and whether it takes part in
    /// staleness.
    pub(crate) fn see(&mut self, slot: Slot, timestamp: Option<i64>, is_tracked: bool) -> Seen {
        let scrape = self.scrape;
        let timestamp = timestamp.unwrap_or(NO_TIME);
        let entry = self.entry_mut(slot);
        if entry.seen == scrape {
            let is_same_time = entry.timestamp == timestamp || entry.timestamp == NO_TIME || timestamp == NO_TIME;
            entry.timestamp = timestamp;
            entry.is_tracked |= is_tracked;
            return if is_same_time { Seen::Duplicate } else { Seen::Again };
        }
        (entry.seen, entry.timestamp, entry.is_tracked) = (scrape, timestamp, is_tracked);
        Seen::Once { is_new: entry.is_gone }
    }

    /// Notes which kind of sample the page has of the series.
    pub(crate) fn set_histogram(&mut self, slot: Slot, is_histogram: bool) {
        self.entry_mut(slot).is_histogram = is_histogram;
    }

    /// Notes the start timestamp that the page gives; true if it is another one than before.
    pub(crate) fn set_start(&mut self, slot: Slot, start: i64) -> bool {
        if self.starts.len() < self.entries.len() {
            self.starts.resize(self.entries.len(), 0);
        }
        std::mem::replace(&mut self.starts[slot.0 as usize], start) != start
    }

    /// What is known of a series whose starts we make up; nothing if it `is_new`.
    pub(crate) fn synthesis(&mut self, slot: Slot, is_new: bool) -> &mut Synthesis {
        if self.synthesized.len() < self.entries.len() {
            self.synthesized.resize_with(self.entries.len(), || None);
        }
        let known = &mut self.synthesized[slot.0 as usize];
        if is_new {
            *known = None;
        }
        known.get_or_insert_default()
    }

    /// What the series is to us.
    pub(crate) fn fate(&self, slot: Slot) -> Fate {
        self.entries[slot.0 as usize].fate
    }

    /// Notes what the series is to us.
    pub(crate) fn set_fate(&mut self, slot: Slot, fate: Fate) {
        self.entry_mut(slot).fate = fate;
    }

    /// Ends a good scrape: appends to `ended` the series that were live and are not on the page. Slots stay good until
    /// [`SeriesCache::tidy`]. Series of the page may hide among them: see [`SeriesCache::drop_continued`].
    pub(crate) fn finish(&mut self, ended: &mut Vec<Ended>) {
        let scrape = self.scrape;
        for entry in &mut self.entries {
            if entry.seen == scrape {
                entry.is_gone = false;
                entry.live = entry.is_tracked && entry.fate != Fate::Dropped;
            } else {
                entry.is_gone = true;
                if std::mem::take(&mut entry.live) {
                    ended.extend(entry.ended());
                }
            }
        }
        ended.append(&mut self.inherited);
    }

    /// Takes out of `ended` what goes on: relabelling may make one stored series of several of the page's. To be called
    /// when the fresh series of the page have their ids.
    pub(crate) fn drop_continued(&self, ended: &mut Vec<Ended>) {
        if !ended.is_empty() {
            let mut done: FxHashSet<SeriesId> = self.entries.iter().filter(|e| e.live).filter_map(Entry::id).collect();
            ended.retain(|e| done.insert(e.id));
        }
    }

    /// Ends a failed scrape: appends to `ended` every live series.
    pub(crate) fn finish_failed(&mut self, ended: &mut Vec<Ended>) {
        for entry in &mut self.entries {
            if std::mem::take(&mut entry.live) {
                ended.extend(entry.ended());
            }
        }
        ended.append(&mut self.inherited);
        ended.sort_unstable();
        ended.dedup();
    }

    /// Forgets series that left, once they are a third of the cache. Ends the life of all slots.
    pub(crate) fn tidy(&mut self) {
        let gone = self.entries.iter().filter(|e| e.is_gone && !e.live).count();
        if gone <= 100 + self.entries.len() / 3 {
            return;
        }
        let stays = |e: &Entry| !e.is_gone || e.live;
        let mut entries = self.entries.iter();
        self.starts.retain(|_| entries.next().is_some_and(stays));
        let mut entries = self.entries.iter();
        self.synthesized.retain(|_| entries.next().is_some_and(stays));
        let mut moved_to = Vec::with_capacity(self.entries.len());
        let mut kept = 0u32;
        self.entries.retain(|e| {
            let stays = stays(e);
            moved_to.push(stays.then_some(kept));
            kept += u32::from(stays);
            stays
        });
        let follow = |index: &mut u32| match moved_to[*index as usize] {
            Some(new) => {
                *index = new;
                true
            }
            None => false,
        };
        self.by_text.retain(|_, index| follow(index));
        self.by_identity.retain(|_, index| follow(index));
    }

    fn entry_mut(&mut self, slot: Slot) -> &mut Entry {
        &mut self.entries[slot.0 as usize]
    }

    fn text_key(&self, text: &[u8]) -> (u64, u64) {
        let hash = xxh3_128_with_seed(text, self.seed);
        ((hash >> 64) as u64, hash as u64)
    }
}

impl Entry {
    fn id(&self) -> Option<SeriesId> {
        match self.fate {
            Fate::Known(id) => Some(id),
            Fate::Fresh | Fate::Dropped => None,
        }
    }

    fn ended(&self) -> Option<Ended> {
        self.id().map(|id| Ended { id, is_histogram: self.is_histogram })
    }
}

/// 64 bits suffice: a collision would refuse one page, and no page holds more than some million series.
fn identity(seed: u64, labels: &[(&str, &str)]) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::with_seed(seed);
    for (name, value) in labels {
        for part in [name, value] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    hasher.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One good scrape of series named by single letters; gives the ended ids (the letter's code).
    fn scrape(cache: &mut SeriesCache, names: &str) -> Vec<u64> {
        cache.begin();
        for name in names.chars() {
            let text = name.to_string();
            let slot = cache.find(text.as_bytes()).unwrap_or_else(|| cache.learn(text.as_bytes(), &[("n", &text)]));
            assert_ne!(cache.see(slot, None, true), Seen::Duplicate);
            cache.set_fate(slot, Fate::Known(SeriesId(name as u64)));
        }
        let mut ended = Vec::new();
        cache.finish(&mut ended);
        cache.drop_continued(&mut ended);
        cache.tidy();
        ended.into_iter().map(|e| e.id.0).collect()
    }

    #[test]
    fn series_that_vanish_are_ended_once() {
        let mut cache = SeriesCache::new();
        assert!(scrape(&mut cache, "abc").is_empty());
        assert_eq!(scrape(&mut cache, "ab"), [u64::from(b'c')]);
        assert!(scrape(&mut cache, "ab").is_empty());
        let mut ended = Vec::new();
        cache.begin();
        cache.finish_failed(&mut ended);
        assert_eq!(ended.len(), 2);
        cache.begin();
        cache.finish_failed(&mut ended);
        assert_eq!(ended.len(), 2);
        assert!(scrape(&mut cache, "ab").is_empty());
    }

    #[test]
    fn a_second_spelling_is_the_same_series() {
        let mut cache = SeriesCache::new();
        cache.begin();
        let a = cache.learn(b"m{a,b}", &[("a", "1"), ("b", "2")]);
        assert_eq!(cache.see(a, None, true), Seen::Once { is_new: true });
        let b = cache.learn(b"m{b,a}", &[("a", "1"), ("b", "2")]);
        assert_eq!((a, cache.see(b, None, true)), (b, Seen::Duplicate));
        cache.begin();
        assert_eq!(cache.see(a, Some(1), true), Seen::Once { is_new: true });
        assert_eq!(cache.see(a, Some(2), true), Seen::Again);
        assert_eq!(cache.see(a, Some(2), true), Seen::Duplicate);
        assert_eq!(cache.see(a, None, true), Seen::Duplicate);
        assert_ne!(cache.learn(b"x", &[("a", "12"), ("b", "")]), cache.learn(b"y", &[("a", "1"), ("b", "2")]));
    }

    #[test]
    fn a_series_shared_by_two_spellings_lives_while_one_does() {
        let mut cache = SeriesCache::new();
        for names in ["ab", "b"] {
            cache.begin();
            for name in names.split("").filter(|n| !n.is_empty()) {
                let slot = cache.learn(name.as_bytes(), &[("n", name)]);
                cache.see(slot, None, true);
                cache.set_fate(slot, Fate::Known(SeriesId(7)));
            }
            let mut ended = Vec::new();
            cache.finish(&mut ended);
            cache.drop_continued(&mut ended);
            assert!(ended.is_empty());
        }
    }

    #[test]
    fn a_successor_ends_what_does_not_go_on() {
        let mut old = SeriesCache::new();
        scrape(&mut old, "abc");
        let mut new = SeriesCache::succeed(old);
        let mut ended = scrape(&mut new, "bd");
        ended.sort_unstable();
        assert_eq!(ended, [u64::from(b'a'), u64::from(b'c')]);
        assert_eq!(scrape(&mut new, "d"), [u64::from(b'b')]);
    }

    #[test]
    fn what_left_is_forgotten() {
        let mut cache = SeriesCache::new();
        for round in 0..1_000 {
            cache.begin();
            for n in 0..10 {
                let name = format!("{round}_{n}");
                let slot = cache.learn(name.as_bytes(), &[("n", &name)]);
                cache.see(slot, None, true);
                cache.set_fate(slot, Fate::Known(SeriesId(round * 10 + n)));
            }
            let mut ended = Vec::new();
            cache.finish(&mut ended);
            cache.tidy();
            assert_eq!(ended.len(), if round == 0 { 0 } else { 10 });
        }
        assert!(cache.entries.len() < 300 && cache.by_text.len() < 2_300, "{}", cache.entries.len());
        assert!(scrape(&mut cache, "a").len() == 10);
    }
}
