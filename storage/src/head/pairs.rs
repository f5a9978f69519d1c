//! Label pairs of the head: a name with a value, as one number, and which series carry it.
//!
//! Here: pair to number and back, the pairs of a name, adding and removing series.
//! Elsewhere: texts (`head::symbols`), the form of a list (`head::postings`), combining lists (`head::select`).
//!
//! Invariant: a pair lives as long as its list is not empty. The pairs of a name lie in one row: a pair that goes is
//! replaced by the row's last one, so a walk from the end misses no pair that was there when it began.

use rustc_hash::FxHashMap;

use super::postings::List;
use super::symbols::{Symbol, Symbols};
use super::table::HashIndex;
use crate::index::SeriesRef;

/// A pair's number.
pub(crate) type PairId = u32;

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    symbols: Symbols,
    index: HashIndex,
    pairs: Vec<Pair>,
    free: Vec<PairId>,
    /// The lists of pairs with more than one series.
    lists: Vec<List>,
    free_lists: Vec<u32>,
    /// The pairs of each name.
    rows: FxHashMap<Symbol, Vec<PairId>>,
}

#[derive(Debug, Clone, Copy)]
struct Pair {
    name: Symbol,
    value: Symbol,
    /// Number of series; 0 if the pair is free.
    count: u32,
    /// The series if it is one, else the place of the list.
    list: u32,
    /// Place in the name's row.
    row_at: u32,
}

impl Pairs {
    /// The number of a pair, if it has one.
    #[inline]
    pub(crate) fn find(&self, name: &str, value: &str) -> Option<PairId> {
        self.find_hashed(self.index.hash_texts(&[name, value]), name, value)
    }

    #[inline]
    fn find_hashed(&self, hash: u32, name: &str, value: &str) -> Option<PairId> {
        self.index.find(hash, |id| self.is_pair(id, name, value))
    }

    /// Whether a number stands for this pair; not if it was given up.
    #[inline]
    pub(crate) fn is_pair(&self, id: PairId, name: &str, value: &str) -> bool {
        let pair = &self.pairs[id as usize];
        pair.count > 0 && self.symbols.is_text(pair.value, value) && self.symbols.is_text(pair.name, name)
    }

    /// Adds a series, newer than all others of the head, to a pair; the pair's number.
    pub(crate) fn insert(&mut self, name: &str, value: &str, series: SeriesRef) -> PairId {
        let hash = self.index.hash_texts(&[name, value]);
        match self.find_hashed(hash, name, value) {
            Some(id) => {
                self.insert_known(id, series);
                id
            }
            None => self.insert_new(hash, name, value, series),
        }
    }

    /// As [`Pairs::insert`], by number.
    #[inline]
    pub(crate) fn insert_known(&mut self, id: PairId, series: SeriesRef) {
        let pair = &mut self.pairs[id as usize];
        if pair.count == 1 {
            let list = List::of_two(pair.list, series);
            pair.list = match self.free_lists.pop() {
                Some(at) => {
                    self.lists[at as usize] = list;
                    at
                }
                None => {
                    self.lists.push(list);
                    (self.lists.len() - 1) as u32
                }
            };
        } else {
            self.lists[pair.list as usize].push(series);
        }
        pair.count += 1;
    }

    fn insert_new(&mut self, hash: u32, name: &str, value: &str, series: SeriesRef) -> PairId {
        let (name, value) = (self.symbols.intern(name), self.symbols.intern(value));
        let row = self.rows.entry(name).or_default();
        let pair = Pair { name, value, count: 1, list: series, row_at: row.len() as u32 };
        let id = match self.free.pop() {
            Some(id) => {
                self.pairs[id as usize] = pair;
                id
            }
            None => {
                self.pairs.push(pair);
                PairId::try_from(self.pairs.len() - 1).expect("four billion pairs do not fit in memory")
            }
        };
        row.push(id);
        self.index.insert(hash, id);
        id
    }

    /// Name and value of a live pair.
    #[inline]
    pub(crate) fn texts(&self, id: PairId) -> (&str, &str) {
        let pair = self.pairs[id as usize];
        (self.symbols.text(pair.name), self.symbols.text(pair.value))
    }

    /// Name and value of a live pair as symbols.
    pub(crate) fn symbols(&self, id: PairId) -> (Symbol, Symbol) {
        let pair = self.pairs[id as usize];
        (pair.name, pair.value)
    }

    /// The string of a symbol in use.
    pub(crate) fn text(&self, symbol: Symbol) -> &str {
        self.symbols.text(symbol)
    }

    /// The number of series of a pair.
    pub(crate) fn count(&self, id: PairId) -> u32 {
        self.pairs[id as usize].count
    }

    /// Adds the series of a pair, rising, to `out`; a pair that was given up has none.
    pub(crate) fn refs(&self, id: PairId, out: &mut Vec<SeriesRef>) {
        let pair = self.pairs[id as usize];
        match pair.count {
            0 => {}
            1 => out.push(pair.list),
            _ => self.lists[pair.list as usize].refs(out),
        }
    }

    /// The row of a name: its pairs, in no order.
    pub(crate) fn row(&self, name: &str) -> &[PairId] {
        self.symbols.find(name).and_then(|name| self.rows.get(&name)).map_or(&[], Vec::as_slice)
    }

    /// All names with their rows.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&str, &[PairId])> {
        self.rows.iter().map(|(&name, row)| (self.symbols.text(name), row.as_slice()))
    }

    /// Takes the series `gone`, which rise, off a pair; a pair without series is given up.
    pub(crate) fn remove(&mut self, id: PairId, gone: &[SeriesRef]) {
        let mut left = Vec::new();
        self.refs(id, &mut left);
        let last = left.last().copied();
        left.retain(|series| gone.binary_search(series).is_err());
        self.replace(id, left, last);
    }

    /// Replaces the series of a pair up to `last` by `left`.
    pub(crate) fn replace(&mut self, id: PairId, mut left: Vec<SeriesRef>, last: Option<SeriesRef>) {
        let pair = self.pairs[id as usize];
        if pair.count > 1 {
            self.lists[pair.list as usize].refs_after(last, &mut left);
            self.lists[pair.list as usize] = List::default();
            self.free_lists.push(pair.list);
        }
        let list = match left.as_slice() {
            [] => return self.drop_pair(id),
            [one] => *one,
            [first, second, rest @ ..] => {
                let mut list = List::of_two(*first, *second);
                rest.iter().for_each(|&series| list.push(series));
                list.shrink();
                let at = self.free_lists.pop().expect("its own place was just freed");
                self.lists[at as usize] = list;
                at
            }
        };
        self.pairs[id as usize] = Pair { count: left.len() as u32, list, ..pair };
    }

    fn drop_pair(&mut self, id: PairId) {
        let (name, value) = self.texts(id);
        let hash = self.index.hash_texts(&[name, value]);
        self.index.remove(hash, id);
        let pair = self.pairs[id as usize];
        if let Some(row) = self.rows.get_mut(&pair.name) {
            row.swap_remove(pair.row_at as usize);
            match row.get(pair.row_at as usize) {
                Some(&moved) => self.pairs[moved as usize].row_at = pair.row_at,
                None if row.is_empty() => drop(self.rows.remove(&pair.name)),
                None => {}
            }
        }
        self.pairs[id as usize].count = 0;
        self.symbols.release(pair.name);
        self.symbols.release(pair.value);
        self.free.push(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refs(pairs: &Pairs, name: &str, value: &str) -> Vec<SeriesRef> {
        let mut out = Vec::new();
        if let Some(id) = pairs.find(name, value) {
            pairs.refs(id, &mut out);
        }
        out
    }

    #[test]
    fn pairs_live_as_long_as_their_series() {
        let mut pairs = Pairs::default();
        for series in 0..6 {
            pairs.insert("job", if series % 2 == 0 { "a" } else { "b" }, series);
            pairs.insert("id", &series.to_string(), series);
        }
        assert_eq!((refs(&pairs, "job", "a"), refs(&pairs, "id", "3")), (vec![0, 2, 4], vec![3]));
        assert_eq!((pairs.row("id").len(), pairs.row("job").len(), pairs.row("x").len()), (6, 2, 0));
        let a = pairs.find("job", "a").unwrap();
        pairs.remove(a, &[0, 1, 4]);
        assert_eq!((refs(&pairs, "job", "a"), pairs.count(a)), (vec![2], 1));
        pairs.remove(a, &[2]);
        assert_eq!((pairs.find("job", "a"), pairs.row("job").len()), (None, 1));
        for series in 0..6 {
            let id = pairs.find("id", &series.to_string()).unwrap();
            pairs.remove(id, &[series]);
        }
        assert_eq!((pairs.row("id").len(), pairs.rows().count()), (0, 1));
        assert_eq!(pairs.insert("new", "x", 9), 7, "the last number that came free");
    }
}
