//! Series of the head that satisfy matchers.
//!
//! Here: matchers become sets of label pairs, and those become series, with the lock given back in between.
//! Elsewhere: pairs and their lists (`head::pairs`), the algebra on lists (`index`).
//!
//! A long list is not read where a short one leaves few series: those are asked for their own labels.
//!
//! Invariant: what was found while label pairs were given up (after a cut) is thrown away and looked for again, for a
//! pair's number may have come to mean another one.

use std::sync::{PoisonError, RwLock};

use super::Head;
use super::pairs::PairId;
use super::table::{PAGE_SERIES, PairIds};
use crate::index::{SeriesRef, intersect, subtract};
use crate::matcher::{MatchOp, Matcher, Shape};

/// Values that are tried under one lock.
const VALUES: usize = 1024;
/// Series that are asked for their labels under one lock.
const SERIES: usize = 4096;
/// Refs that are read from lists under one lock.
const REFS: usize = 1 << 18;
/// Asking a series for its labels costs as much as reading so many refs.
const REFS_PER_SERIES: u64 = 32;
/// After so many attempts that were overtaken by a cut's end, the lock is kept.
const ATTEMPTS: usize = 3;

/// Series that satisfy all matchers, rising.
pub(crate) fn select(lock: &RwLock<Head>, matchers: &[Matcher]) -> Vec<SeriesRef> {
    for _ in 0..ATTEMPTS {
        let generation = lock.with(|head| head.generation);
        let found = find(lock, matchers);
        if lock.with(|head| head.generation) == generation {
            return found;
        }
    }
    lock.with(|head| find(head, matchers))
}

/// Shows `each` all values of one label, in no order, some of them perhaps twice.
pub(crate) fn values(lock: &RwLock<Head>, name: &str, mut each: impl FnMut(&str)) {
    walk_row(lock, name, |head, id| each(head.pairs.texts(id).1));
}

#[cfg(test)]
impl Head {
    /// Series that satisfy all matchers, rising; for who holds the lock anyway.
    pub(crate) fn select(&self, matchers: &[Matcher]) -> Vec<SeriesRef> {
        find(self, matchers)
    }
}

/// A head that can be looked at for short moments.
trait Source {
    fn with<T>(&self, look: impl FnOnce(&Head) -> T) -> T;
}

impl Source for RwLock<Head> {
    fn with<T>(&self, look: impl FnOnce(&Head) -> T) -> T {
        look(&self.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Source for Head {
    fn with<T>(&self, look: impl FnOnce(&Head) -> T) -> T {
        look(self)
    }
}

/// Label pairs of one name, rising, and how many series they have together.
#[derive(Debug, Default)]
struct PairSet {
    pairs: Vec<PairId>,
    series: u64,
}

impl PairSet {
    fn add(&mut self, head: &Head, pair: Option<PairId>) {
        if let Some(id) = pair {
            self.pairs.push(id);
            self.series += u64::from(head.pairs.count(id));
        }
    }

    fn is_in(&self, ids: PairIds<'_>) -> bool {
        match self.pairs.as_slice() {
            [one] => ids.contains(*one),
            many => ids.iter().any(|id| many.binary_search(&id).is_ok()),
        }
    }
}

fn find(source: &impl Source, matchers: &[Matcher]) -> Vec<SeriesRef> {
    let mut wanted = Vec::new();
    let mut unwanted = Vec::new();
    for m in matchers {
        let Some(set) = pairs_of(source, m) else { continue };
        match m.matches_empty() {
            false if set.pairs.is_empty() => return Vec::new(),
            false => wanted.push(set),
            true => unwanted.push(set),
        }
    }
    wanted.sort_by_key(|set| set.series);
    let mut sets = wanted.iter();
    let mut found = match sets.next() {
        Some(first) => series_of(source, first),
        None => all(source),
    };
    sets.for_each(|set| restrict(source, &mut found, set, true));
    unwanted.iter().for_each(|set| restrict(source, &mut found, set, false));
    found
}

/// The pairs that pass, or for a matcher that the empty value passes, those that fail; `None` if none can.
fn pairs_of(source: &impl Source, m: &Matcher) -> Option<PairSet> {
    let is_wanted = !m.matches_empty();
    let mut set = PairSet::default();
    match (m.op(), m.shape()) {
        (MatchOp::Regex, Shape::Any) => return None,
        (MatchOp::Equal, _) if is_wanted => {
            source.with(|head| set.add(head, head.pairs.find(m.name(), m.value())));
        }
        (MatchOp::NotEqual, _) if !is_wanted => {
            source.with(|head| set.add(head, head.pairs.find(m.name(), m.value())));
        }
        (MatchOp::Regex, Shape::Literals(values)) if is_wanted => literals(source, m.name(), values, &mut set),
        (MatchOp::NotRegex, Shape::Literals(values)) if !is_wanted => literals(source, m.name(), values, &mut set),
        (MatchOp::Regex, Shape::Prefix(prefix)) if is_wanted => {
            walk(source, m.name(), &mut set, |value| value.starts_with(prefix));
        }
        (MatchOp::Regex, Shape::Pattern { prefix }) if is_wanted => {
            walk(source, m.name(), &mut set, |value| value.starts_with(prefix) && m.matches(value));
        }
        _ => walk(source, m.name(), &mut set, |value| m.matches(value) == is_wanted),
    }
    set.pairs.sort_unstable();
    set.pairs.dedup();
    Some(set)
}

fn literals(source: &impl Source, name: &str, values: &[String], set: &mut PairSet) {
    for portion in values.chunks(VALUES) {
        source.with(|head| portion.iter().for_each(|value| set.add(head, head.pairs.find(name, value))));
    }
}

/// Tries all values of a name.
fn walk(source: &impl Source, name: &str, set: &mut PairSet, is_picked: impl Fn(&str) -> bool) {
    walk_row(source, name, |head, id| {
        if is_picked(head.pairs.texts(id).1) {
            set.add(head, Some(id));
        }
    });
}

/// Visits the pairs of a name, from the row's end: see `head::pairs` for why.
fn walk_row(source: &impl Source, name: &str, mut each: impl FnMut(&Head, PairId)) {
    let mut end = usize::MAX;
    while end > 0 {
        source.with(|head| {
            let row = head.pairs.row(name);
            end = end.min(row.len());
            let start = end.saturating_sub(VALUES);
            row[start..end].iter().for_each(|&id| each(head, id));
            end = start;
        });
    }
}

fn all(source: &impl Source) -> Vec<SeriesRef> {
    let mut found = Vec::new();
    let mut page = 0;
    while page < source.with(Head::page_count) {
        let end = page + SERIES / PAGE_SERIES;
        source.with(|head| found.extend((page..end).flat_map(|page| head.page(page)).map(|(series, _)| series)));
        page = end;
    }
    found
}

fn series_of(source: &impl Source, set: &PairSet) -> Vec<SeriesRef> {
    let mut found = Vec::with_capacity(set.series as usize);
    let mut rest = set.pairs.as_slice();
    while !rest.is_empty() {
        source.with(|head| {
            let end = found.len() + REFS;
            let mut ids = rest.iter();
            for &id in ids.by_ref().take(SERIES) {
                head.pairs.refs(id, &mut found);
                if found.len() >= end {
                    break;
                }
            }
            rest = ids.as_slice();
        });
    }
    if set.pairs.len() > 1 {
        // Sorts in runs: the lists themselves rise.
        found.sort();
        found.dedup();
    }
    found
}

/// Keeps the series that have one of the pairs, or those that have none.
fn restrict(source: &impl Source, found: &mut Vec<SeriesRef>, set: &PairSet, is_wanted: bool) {
    if found.is_empty() || set.pairs.is_empty() {
        return;
    }
    if found.len() as u64 * REFS_PER_SERIES > set.series {
        let list = series_of(source, set);
        return if is_wanted { intersect(found, &list) } else { subtract(found, &list) };
    }
    let mut kept = Vec::new();
    for portion in found.chunks(SERIES) {
        source.with(|head| {
            let passes = |series: &&SeriesRef| {
                let ids = head.pages.pair_ids(**series);
                ids.is_some_and(|ids| set.is_in(ids) == is_wanted)
            };
            kept.extend(portion.iter().filter(passes));
        });
    }
    *found = kept;
}
