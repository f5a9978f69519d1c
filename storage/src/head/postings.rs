//! Lists of series, compact.
//!
//! Here: [`List`], two or more rising refs in few bytes.
//! Elsewhere: which pair a list belongs to (`head::pairs`), combining lists (`head::select`).
//!
//! Series of one target are created together, so most refs follow their predecessor: a list is runs, each as the
//! gap before it and its length.
//!
//! Invariant: refs rise over time, so adding at the end keeps every list sorted.

use crate::index::SeriesRef;

/// A run is the gap before it (doubled, plus one if it is longer than one) and, if so, its length less two.
#[derive(Debug, Default)]
pub(crate) struct List {
    /// All runs but the last one; only the first `len` bytes count.
    runs: Box<[u8]>,
    len: u32,
    /// Last ref of the runs in the bytes; unused while there are none.
    before: SeriesRef,
    /// The last run.
    first: SeriesRef,
    last: SeriesRef,
}

impl List {
    /// The smallest list.
    pub(crate) fn of_two(first: SeriesRef, second: SeriesRef) -> Self {
        let mut list = List { first, last: first, ..List::default() };
        list.push(second);
        list
    }

    /// Adds a ref that is larger than all others.
    #[inline]
    pub(crate) fn push(&mut self, series: SeriesRef) {
        assert!(series > self.last, "refs of a list rise");
        if series == self.last + 1 {
            self.last = series;
            return;
        }
        self.end_run();
        (self.before, self.first, self.last) = (self.last, series, series);
    }

    fn end_run(&mut self) {
        let gap = u64::from(self.first - if self.len == 0 { 0 } else { self.before });
        let mut run = [0u8; 2 * VARINT_BYTES_MAX];
        let len = match self.last - self.first {
            0 => write_varint(&mut run, 0, gap << 1),
            more => {
                let len = write_varint(&mut run, 0, gap << 1 | 1);
                write_varint(&mut run, len, u64::from(more - 1))
            }
        };
        let end = self.len as usize + len;
        if end > self.runs.len() {
            self.resize(end + (end / 4).clamp(6, 1 << 16));
        }
        self.runs[self.len as usize..end].copy_from_slice(&run[..len]);
        self.len = end as u32;
    }

    /// Gives back what was kept for growth.
    pub(crate) fn shrink(&mut self) {
        self.resize(self.len as usize);
    }

    fn resize(&mut self, size: usize) {
        let mut runs = vec![0; size.next_multiple_of(8)].into_boxed_slice();
        runs[..self.len as usize].copy_from_slice(&self.runs[..self.len as usize]);
        self.runs = runs;
    }

    /// Adds all refs, rising, to `out`.
    pub(crate) fn refs(&self, out: &mut Vec<SeriesRef>) {
        self.runs(|first, last| out.extend(first..=last));
    }

    /// Adds the refs after `after` to `out`.
    pub(crate) fn refs_after(&self, after: Option<SeriesRef>, out: &mut Vec<SeriesRef>) {
        let from = after.map_or(0, |after| after.saturating_add(1));
        if from <= self.last {
            self.runs(|first, last| out.extend(first.max(from)..=last));
        }
    }

    fn runs(&self, mut each: impl FnMut(SeriesRef, SeriesRef)) {
        let mut r = crate::bytes::Reader::new(&self.runs[..self.len as usize]);
        let mut at = 0u32;
        while let Some(gap) = r.varint() {
            let first = at + (gap >> 1) as u32;
            let more = if gap & 1 == 0 { 0 } else { r.varint().expect("a run is written whole") as u32 + 1 };
            at = first + more;
            each(first, at);
        }
        each(self.first, self.last);
    }
}

/// A ref, doubled.
const VARINT_BYTES_MAX: usize = 5;

/// As `bytes::put_varint`, without heap; where it ends.
fn write_varint(out: &mut [u8], mut at: usize, mut value: u64) -> usize {
    while value >= 0x80 {
        out[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    out[at] = value as u8;
    at + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(refs: &[SeriesRef]) -> List {
        let mut list = List::of_two(refs[0], refs[1]);
        refs[2..].iter().for_each(|&series| list.push(series));
        let mut out = Vec::new();
        list.refs(&mut out);
        assert_eq!(out, refs);
        for (i, &after) in refs.iter().enumerate().step_by(1 + refs.len() / 10) {
            out.clear();
            list.refs_after(Some(after), &mut out);
            assert_eq!(out, refs[i + 1..]);
        }
        list.shrink();
        out.clear();
        list.refs(&mut out);
        assert_eq!(out, refs);
        list
    }

    #[test]
    fn runs_and_gaps() {
        assert_eq!(check(&(0..1_000_000).collect::<Vec<_>>()).runs.len(), 0);
        check(&[0, 2]);
        check(&[1, 2, 4, 5, 9, u32::MAX - 1]);
        assert!(check(&(0..1000).map(|i| i * 50).collect::<Vec<_>>()).runs.len() <= 2000);
    }

    proptest! {
        #[test]
        fn any_rising_refs_come_back(gaps in prop::collection::vec(1u32..5, 2..200), start in any::<u16>()) {
            let mut at = u32::from(start);
            let refs: Vec<u32> = gaps.into_iter().map(|gap| { at += if gap > 2 { gap * 40 } else { 1 }; at }).collect();
            check(&refs);
        }
    }
}
