//! Exemplars: single observations that point to where they came from, mostly a trace.
//!
//! Here: the newest ones of one `Db` in a ring, Prometheus' rules for taking them, and the search.
//! Elsewhere: their way through log and snapshot (`append`, `snapshot`).
//!
//! Invariant: of each series the exemplars in the ring are in rising order (time, then value, then labels), so the
//! oldest of a series is also the first of it to leave.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::{Labels, Matcher, TimeRange};

/// Most characters of an exemplar's names and values together (OpenMetrics).
pub const EXEMPLAR_LABEL_CHARS_MAX: usize = 128;

/// One observation of a series.
#[derive(Debug, Clone)]
pub struct Exemplar {
    /// Where it came from, e.g. `{trace_id="…"}`; may be empty.
    pub labels: Labels,
    /// Milliseconds since the epoch.
    pub t: i64,
    /// What was observed.
    pub v: f64,
}

/// Bit by bit.
impl PartialEq for Exemplar {
    fn eq(&self, other: &Self) -> bool {
        self.t == other.t && self.v.to_bits() == other.v.to_bits() && self.labels == other.labels
    }
}

/// What became of exemplars. Refusals are never errors: the samples that came with them are stored all the same.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ExemplarsAppended {
    /// Stored.
    pub accepted: u64,
    /// The same as the newest of their series; dropped silently, since scrapes repeat them.
    pub duplicates: u64,
    /// Older than the newest of their series.
    pub out_of_order: u64,
    /// Labels of more than [`EXEMPLAR_LABEL_CHARS_MAX`] characters.
    pub too_long: u64,
    /// No such series; exemplars alone do not make one.
    pub unknown_series: u64,
}

impl ExemplarsAppended {
    /// All that were not stored and are no repetitions.
    pub fn refused(&self) -> u64 {
        self.out_of_order + self.too_long + self.unknown_series
    }

    pub(crate) fn count(&mut self, verdict: ExemplarVerdict) {
        match verdict {
            ExemplarVerdict::Accept => self.accepted += 1,
            ExemplarVerdict::Duplicate => self.duplicates += 1,
            ExemplarVerdict::OutOfOrder => self.out_of_order += 1,
            ExemplarVerdict::TooLong => self.too_long += 1,
        }
    }
}

/// What is to become of an exemplar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExemplarVerdict {
    Accept,
    Duplicate,
    OutOfOrder,
    TooLong,
}

/// The newest exemplars of all series.
#[derive(Debug)]
pub(crate) struct ExemplarRing {
    max: usize,
    /// Oldest arrival first.
    entries: VecDeque<Entry>,
    /// Arrivals that have left: the number of `entries[0]`.
    gone: u64,
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_labels: FxHashMap<Labels, u32>,
}

#[derive(Debug)]
struct Entry {
    slot: u32,
    exemplar: Exemplar,
}

/// A series with exemplars.
#[derive(Debug)]
struct Slot {
    labels: Labels,
    /// Numbers of its arrivals, rising.
    arrivals: VecDeque<u64>,
}

impl ExemplarRing {
    /// An empty ring of at most `max` exemplars; memory is taken as they come.
    pub(crate) fn new(max: usize) -> Self {
        ExemplarRing {
            max,
            entries: VecDeque::new(),
            gone: 0,
            slots: Vec::new(),
            free: Vec::new(),
            by_labels: FxHashMap::default(),
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many series have any.
    pub(crate) fn series_count(&self) -> usize {
        self.by_labels.len()
    }

    /// What would become of an exemplar; changes nothing.
    pub(crate) fn check(&self, series: &Labels, exemplar: &Exemplar) -> ExemplarVerdict {
        match self.by_labels.get(series).and_then(|slot| self.newest(*slot)) {
            _ if is_too_long(&exemplar.labels) => ExemplarVerdict::TooLong,
            Some(newest) => compare(newest, exemplar),
            None => ExemplarVerdict::Accept,
        }
    }

    /// Takes an exemplar; the oldest arrival leaves if there is no room.
    pub(crate) fn push(&mut self, series: &Labels, exemplar: Exemplar, done: &mut ExemplarsAppended) {
        let verdict = self.check(series, &exemplar);
        done.count(verdict);
        if verdict != ExemplarVerdict::Accept || self.max == 0 {
            return;
        }
        while self.entries.len() >= self.max {
            self.drop_oldest();
        }
        let slot = self.slot_of(series);
        let number = self.gone + self.entries.len() as u64;
        self.slots[slot as usize].arrivals.push_back(number);
        self.entries.push_back(Entry { slot, exemplar });
    }

    fn newest(&self, slot: u32) -> Option<&Exemplar> {
        let number = *self.slots.get(slot as usize)?.arrivals.back()?;
        self.at(number)
    }

    fn at(&self, number: u64) -> Option<&Exemplar> {
        let at = usize::try_from(number.checked_sub(self.gone)?).ok()?;
        self.entries.get(at).map(|entry| &entry.exemplar)
    }

    fn slot_of(&mut self, series: &Labels) -> u32 {
        if let Some(slot) = self.by_labels.get(series) {
            return *slot;
        }
        let fresh = Slot { labels: series.clone(), arrivals: VecDeque::new() };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = fresh;
                slot
            }
            None => {
                self.slots.push(fresh);
                u32::try_from(self.slots.len() - 1).expect("there are no more series than exemplars")
            }
        };
        self.by_labels.insert(series.clone(), slot);
        slot
    }

    fn drop_oldest(&mut self) {
        let Some(entry) = self.entries.pop_front() else { return };
        self.gone += 1;
        let slot = &mut self.slots[entry.slot as usize];
        slot.arrivals.pop_front();
        if slot.arrivals.is_empty() {
            self.by_labels.remove(&slot.labels);
            slot.labels = Labels::empty();
            self.free.push(entry.slot);
        }
    }

    /// Exemplars in `range` of the series that satisfy all matchers of one of the `sets`, sorted by labels, then time.
    pub(crate) fn select(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Vec<(Labels, Vec<Exemplar>)> {
        let wanted = |labels: &Labels| sets.iter().any(|set| is_match(set, labels));
        let mut found: Vec<(Labels, Vec<Exemplar>)> = Vec::new();
        for (labels, slot) in self.by_labels.iter().filter(|(labels, _)| wanted(labels)) {
            let arrivals = &self.slots[*slot as usize].arrivals;
            let mine = arrivals.iter().filter_map(|number| self.at(*number));
            let inside: Vec<Exemplar> = mine.filter(|e| range.contains(e.t)).cloned().collect();
            if !inside.is_empty() {
                found.push((labels.clone(), inside));
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    /// All of them with their series, oldest arrival first: pushed in this order into an empty ring they make the same one.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Labels, &Exemplar)> {
        self.entries.iter().map(|entry| (&self.slots[entry.slot as usize].labels, &entry.exemplar))
    }
}

fn is_match(set: &[Matcher], labels: &Labels) -> bool {
    set.iter().all(|matcher| matcher.matches(labels.get(matcher.name()).unwrap_or("")))
}

fn is_too_long(labels: &Labels) -> bool {
    let chars = labels.iter().map(|(name, value)| name.chars().count() + value.chars().count());
    chars.sum::<usize>() > EXEMPLAR_LABEL_CHARS_MAX
}

/// As Prometheus without a window for late ones: several of one moment are let in by rising value (a histogram's
/// buckets). Where it compares hashes of labels we compare the labels.
fn compare(newest: &Exemplar, next: &Exemplar) -> ExemplarVerdict {
    if newest.t == next.t && newest.v == next.v && newest.labels == next.labels || newest == next {
        return ExemplarVerdict::Duplicate;
    }
    let is_behind = next.t < newest.t
        || next.t == newest.t && (next.v < newest.v || next.v == newest.v && next.labels < newest.labels);
    if is_behind { ExemplarVerdict::OutOfOrder } else { ExemplarVerdict::Accept }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str) -> Labels {
        Labels::from_pairs([("__name__", name), ("job", "api")]).unwrap()
    }

    fn exemplar(t: i64, v: f64, trace: &str) -> Exemplar {
        Exemplar { labels: Labels::from_pairs([("trace_id", trace)]).unwrap(), t, v }
    }

    fn push(ring: &mut ExemplarRing, name: &str, exemplar: Exemplar) -> ExemplarsAppended {
        let mut done = ExemplarsAppended::default();
        ring.push(&series(name), exemplar, &mut done);
        done
    }

    fn all(ring: &ExemplarRing, name: &str) -> Vec<i64> {
        let sets = [vec![Matcher::equal("__name__", name)]];
        ring.select(&sets, TimeRange::ALL).into_iter().flat_map(|(_, e)| e).map(|e| e.t).collect()
    }

    #[test]
    fn repetitions_are_dropped_and_older_ones_refused() {
        let mut ring = ExemplarRing::new(10);
        assert_eq!(push(&mut ring, "a", exemplar(5, 1.0, "x")).accepted, 1);
        assert_eq!(push(&mut ring, "a", exemplar(5, 1.0, "x")).duplicates, 1);
        assert_eq!(push(&mut ring, "a", exemplar(4, 9.0, "y")).out_of_order, 1);
        assert_eq!(push(&mut ring, "a", exemplar(5, 0.5, "y")).out_of_order, 1);
        assert_eq!(push(&mut ring, "a", exemplar(5, 1.0, "a")).out_of_order, 1);
        assert_eq!(push(&mut ring, "a", exemplar(5, 1.0, "y")).accepted, 1);
        assert_eq!(push(&mut ring, "a", exemplar(5, 2.0, "a")).accepted, 1);
        assert_eq!(push(&mut ring, "b", exemplar(1, 2.0, "a")).accepted, 1);
        assert_eq!(push(&mut ring, "b", exemplar(2, f64::NAN, "a")).accepted, 1);
        assert_eq!(push(&mut ring, "b", exemplar(2, f64::NAN, "a")).duplicates, 1);
        assert_eq!((ring.len(), ring.series_count()), (5, 2));
    }

    #[test]
    fn labels_have_a_limit_in_characters() {
        let mut ring = ExemplarRing::new(10);
        let fits = "ä".repeat(EXEMPLAR_LABEL_CHARS_MAX - "trace_id".len());
        assert_eq!(push(&mut ring, "a", exemplar(1, 1.0, &fits)).accepted, 1);
        assert_eq!(push(&mut ring, "a", exemplar(2, 1.0, &(fits + "x"))).too_long, 1);
    }

    #[test]
    fn the_oldest_leave_and_forgotten_series_leave_no_trace() {
        let mut ring = ExemplarRing::new(3);
        for t in 0..5 {
            push(&mut ring, if t % 2 == 0 { "even" } else { "odd" }, exemplar(t, 0.0, "x"));
        }
        assert_eq!((all(&ring, "even"), all(&ring, "odd")), (vec![2, 4], vec![3]));
        for t in 5..9 {
            push(&mut ring, "third", exemplar(t, 0.0, "x"));
        }
        assert_eq!((ring.series_count(), ring.slots.len()), (1, 3));
        assert_eq!(all(&ring, "third"), [6, 7, 8]);
        // A series whose exemplars have all left begins anew, with any time.
        assert_eq!(push(&mut ring, "even", exemplar(0, 0.0, "x")).accepted, 1);
    }

    #[test]
    fn a_search_takes_sets_of_matchers_and_a_range() {
        let mut ring = ExemplarRing::new(100);
        for t in 0..10 {
            push(&mut ring, "b", exemplar(t, 0.0, "x"));
            push(&mut ring, "a", exemplar(t, 1.0, "x"));
            push(&mut ring, "c", exemplar(t, 1.0, "x"));
        }
        let sets = [vec![Matcher::equal("__name__", "b")], vec![Matcher::equal("__name__", "a")]];
        let found = ring.select(&sets, TimeRange::new(3, 5));
        let found: Vec<(&str, Vec<i64>)> =
            found.iter().map(|(l, e)| (l.metric_name(), e.iter().map(|e| e.t).collect())).collect();
        assert_eq!(found, [("a", vec![3, 4]), ("b", vec![3, 4])]);
        assert!(ring.select(&[], TimeRange::ALL).is_empty());
    }

    #[test]
    fn a_ring_can_be_rebuilt_from_its_own_order() {
        let mut ring = ExemplarRing::new(4);
        for t in 0..9 {
            push(&mut ring, ["a", "b", "c"][t as usize % 3], exemplar(t, 0.5, "x"));
        }
        let mut again = ExemplarRing::new(4);
        let mut done = ExemplarsAppended::default();
        for (labels, exemplar) in ring.iter() {
            again.push(labels, exemplar.clone(), &mut done);
        }
        assert_eq!(done.accepted, 4);
        assert!(ring.iter().eq(again.iter()));
        let mut none = ExemplarRing::new(0);
        push(&mut none, "a", exemplar(1, 1.0, "x"));
        assert_eq!(none.len(), 0);
    }
}
