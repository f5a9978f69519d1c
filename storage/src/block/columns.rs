//! Which column of times a series uses, while a block is written.
//!
//! Here: finding a known column that has the same times, as a whole or as a slice; making new ones otherwise.
//! Elsewhere: a column's bytes (`column::times`), the pages they go to (`data`).
//!
//! Invariant: the parts that are handed out join to exactly the times that came in. Memory is bounded: columns beyond
//! [`KNOWN_TIMES_MAX`] are forgotten but for a keyed 128-bit hash of the whole, by which they are still found.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use rustc_hash::{FxHashMap, FxHasher};

use crate::column::times::COLUMN_TIMES_MAX;

/// Times kept for comparison: 8 MiB.
const KNOWN_TIMES_MAX: usize = 1 << 20;
/// Every so many times of a column one is an anchor by which slices are found.
const ANCHOR_STEP: usize = 64;
/// Columns looked at for one anchor.
const CANDIDATES_MAX: usize = 8;
/// A shorter slice is not worth a chunk of its own, unless it is all that is left.
const SLICE_MIN: usize = 64;

/// A slice of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slice {
    /// Its column.
    pub(crate) column: u32,
    /// Where in it.
    pub(crate) start: u32,
    /// How many times.
    pub(crate) len: usize,
}

/// The columns of a block in the making.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    known: Vec<(u32, Box<[i64]>)>,
    known_times: usize,
    /// By hash of the whole: places in `known`.
    whole: FxHashMap<u64, Vec<u32>>,
    /// Place in `known` and in the column.
    anchors: FxHashMap<i64, Vec<(u32, u32)>>,
    forgotten: FxHashMap<(u64, u64), u32>,
    keys: (RandomState, RandomState),
    count: u32,
    /// Place in `known` of the column that was found last: mostly the next series has it, too.
    last: usize,
}

impl Columns {
    /// Covers `times` with slices; `store` is called with each new column, whose number is the next one.
    pub(crate) fn place<E>(
        &mut self,
        times: &[i64],
        out: &mut Vec<Slice>,
        mut store: impl FnMut(&[i64]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = times;
        while !rest.is_empty() {
            let part = &rest[..rest.len().min(COLUMN_TIMES_MAX)];
            let slice = match self.find(part) {
                Some(slice) => slice,
                None => {
                    store(part)?;
                    self.learn(part);
                    Slice { column: self.count - 1, start: 0, len: part.len() }
                }
            };
            out.push(slice);
            rest = &rest[slice.len..];
        }
        Ok(())
    }

    fn find(&mut self, times: &[i64]) -> Option<Slice> {
        let whole = |column| Slice { column, start: 0, len: times.len() };
        if let Some((column, known)) = self.known.get(self.last)
            && **known == *times
        {
            return Some(whole(*column));
        }
        let mut same = self.whole.get(&hash(times)).into_iter().flatten().map(|&at| at as usize);
        if let Some(at) = same.find(|&at| *self.known[at].1 == *times) {
            self.last = at;
            return Some(whole(self.known[at].0));
        }
        if !self.forgotten.is_empty()
            && let Some(&column) = self.forgotten.get(&self.keyed(times))
        {
            return Some(whole(column));
        }
        let mut best: Option<Slice> = None;
        for (i, t) in times.iter().take(ANCHOR_STEP).enumerate() {
            for &(at, place) in self.anchors.get(t).into_iter().flatten() {
                let (column, known) = &self.known[at as usize];
                let Some(start) = (place as usize).checked_sub(i) else { continue };
                let len = known[start..].iter().zip(times).take_while(|(a, b)| a == b).count();
                if len > best.map_or(0, |b| b.len) {
                    best = Some(Slice { column: *column, start: start as u32, len });
                }
            }
            if best.is_some_and(|b| b.len == times.len()) {
                break;
            }
        }
        best.filter(|b| b.len == times.len() || b.len >= SLICE_MIN)
    }

    fn learn(&mut self, times: &[i64]) {
        if self.known_times + times.len() > KNOWN_TIMES_MAX {
            self.forget();
        }
        let at = self.known.len() as u32;
        self.known.push((self.count, times.into()));
        self.known_times += times.len();
        self.whole.entry(hash(times)).or_default().push(at);
        for place in (0..times.len()).step_by(ANCHOR_STEP) {
            let list = self.anchors.entry(times[place]).or_default();
            if list.len() < CANDIDATES_MAX {
                list.push((at, place as u32));
            }
        }
        self.count += 1;
    }

    fn forget(&mut self) {
        for (column, times) in std::mem::take(&mut self.known) {
            let key = self.keyed(&times);
            self.forgotten.insert(key, column);
        }
        self.known_times = 0;
        self.whole.clear();
        self.anchors.clear();
    }

    /// Random keys, so that nobody can make two rows of times collide.
    fn keyed(&self, times: &[i64]) -> (u64, u64) {
        (self.keys.0.hash_one(times), self.keys.1.hash_one(times))
    }
}

fn hash(times: &[i64]) -> u64 {
    let mut hasher = FxHasher::default();
    times.iter().for_each(|&t| hasher.write_i64(t));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(columns: &mut Columns, times: &[i64]) -> (Vec<(u32, u32, usize)>, usize) {
        let (mut out, mut stored) = (Vec::new(), 0);
        let store = |_: &[i64]| {
            stored += 1;
            Ok::<_, ()>(())
        };
        columns.place(times, &mut out, store).unwrap();
        (out.iter().map(|s| (s.column, s.start, s.len)).collect(), stored)
    }

    #[test]
    fn late_and_early_ends_share_the_column() {
        let times: Vec<i64> = (0..1000i64).map(|i| i * 15_000 + i * i % 7).collect();
        let mut columns = Columns::default();
        assert_eq!(place(&mut columns, &times), (vec![(0, 0, 1000)], 1));
        assert_eq!(place(&mut columns, &times), (vec![(0, 0, 1000)], 0));
        assert_eq!(place(&mut columns, &times[137..]), (vec![(0, 137, 863)], 0));
        assert_eq!(place(&mut columns, &times[..300]), (vec![(0, 0, 300)], 0));
        assert_eq!(place(&mut columns, &times[500..600]), (vec![(0, 500, 100)], 0));
        let mut gap = times.clone();
        gap.remove(400);
        assert_eq!(place(&mut columns, &gap), (vec![(0, 0, 400), (0, 401, 599)], 0));
        let other: Vec<i64> = times.iter().map(|t| t + 1).collect();
        assert_eq!(place(&mut columns, &other), (vec![(1, 0, 1000)], 1));
        columns.forget();
        assert_eq!(place(&mut columns, &times), (vec![(0, 0, 1000)], 0));
    }

    #[test]
    fn very_long_series_have_several_columns() {
        let times: Vec<i64> = (0..COLUMN_TIMES_MAX as i64 + 10).collect();
        let mut columns = Columns::default();
        assert_eq!(place(&mut columns, &times).0, [(0, 0, COLUMN_TIMES_MAX), (1, 0, 10)]);
        assert_eq!(place(&mut columns, &times).1, 0);
    }
}
