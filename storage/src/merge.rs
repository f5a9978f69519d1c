//! Merging the samples of one series from several sources into one rising row.
//!
//! Here: [`merge`], and what becomes of floats and histograms of one time ([`settle_kinds`]).
//! Elsewhere: the same for queries (`querier`), writing what comes out (`block::writer`).
//!
//! Invariant: of samples with the same time the one from the earlier source stays.

use rustc_hash::FxHashSet;

use crate::starts::Changes;
use crate::{Columns, HistogramColumns};

/// A row of samples that rises in time.
pub(crate) trait Row: Default {
    /// Its times.
    fn times(&self) -> &[i64];
    /// Moves sample `at` to the end of `out`.
    fn give(&mut self, at: usize, out: &mut Self);
    /// Moves all of `later` to its end.
    fn append(&mut self, later: Self);
}

impl Row for Columns {
    fn times(&self) -> &[i64] {
        &self.t
    }

    fn give(&mut self, at: usize, out: &mut Self) {
        out.push(self.t[at], self.v[at]);
    }

    fn append(&mut self, later: Self) {
        self.t.extend_from_slice(&later.t);
        self.v.extend_from_slice(&later.v);
    }
}

/// Opaque records, apart from their times.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// Strictly rising.
    pub(crate) t: Vec<i64>,
    /// As many.
    pub(crate) bytes: Vec<Vec<u8>>,
}

impl Records {
    /// From pairs of time and record.
    pub(crate) fn new(blobs: Vec<(i64, Vec<u8>)>) -> Records {
        let (t, bytes) = blobs.into_iter().unzip();
        Records { t, bytes }
    }

    /// Back to pairs.
    pub(crate) fn into_pairs(self) -> Vec<(i64, Vec<u8>)> {
        self.t.into_iter().zip(self.bytes).collect()
    }
}

impl Row for Records {
    fn times(&self) -> &[i64] {
        &self.t
    }

    fn give(&mut self, at: usize, out: &mut Self) {
        out.t.push(self.t[at]);
        out.bytes.push(std::mem::take(&mut self.bytes[at]));
    }

    fn append(&mut self, later: Self) {
        self.t.extend(later.t);
        self.bytes.extend(later.bytes);
    }
}

impl Row for HistogramColumns {
    fn times(&self) -> &[i64] {
        &self.t
    }

    fn give(&mut self, at: usize, out: &mut Self) {
        out.push(self.t[at], std::mem::take(&mut self.h[at]));
    }

    fn append(&mut self, later: Self) {
        self.t.extend(later.t);
        self.h.extend(later.h);
    }
}

/// One row of all samples in `rows`, which come by rank; each of them may hold several rising parts, one behind the
/// other, as the chunks of the head do.
pub(crate) fn merge<R: Row>(mut rows: Vec<R>) -> R {
    rows.retain(|row| !row.times().is_empty());
    if rows.iter().all(|row| row.times().is_sorted_by(|a, b| a < b)) {
        // Nearly always the sources follow one another. A stable order: ranks matter if they do not.
        let mut by_time: Vec<usize> = (0..rows.len()).collect();
        by_time.sort_by_key(|&at| rows[at].times()[0]);
        let follows = |pair: &[usize]| rows[pair[0]].times().last() < rows[pair[1]].times().first();
        if by_time.windows(2).all(follows) {
            let mut parts = by_time.into_iter().map(|at| std::mem::take(&mut rows[at]));
            let mut out = parts.next().unwrap_or_default();
            parts.for_each(|part| out.append(part));
            return out;
        }
    }
    let mut order: Vec<(i64, u32, u32)> = Vec::with_capacity(rows.iter().map(|row| row.times().len()).sum());
    for (rank, row) in rows.iter().enumerate() {
        order.extend(row.times().iter().enumerate().map(|(at, &t)| (t, rank as u32, at as u32)));
    }
    // Fast on runs that are sorted already, and the earlier source comes first among equal times.
    order.sort();
    let mut out = R::default();
    let mut last = None;
    for (t, rank, at) in order {
        if last.replace(t) != Some(t) {
            rows[rank as usize].give(at as usize, &mut out);
        }
    }
    out
}

/// The starts of what [`merge`] makes of floats and records whose kinds are settled: each sample's as its own source has it.
pub(crate) fn merge_starts<R: Row>(floats: &[Columns], records: &[R], starts: &[Changes]) -> Changes {
    match starts {
        [one] => return one.clone(),
        _ if starts.iter().all(Changes::is_empty) => return Changes::default(),
        _ => {}
    }
    let mut samples = Vec::new();
    for (rank, own) in starts.iter().enumerate() {
        for times in [floats.get(rank).map(Row::times), records.get(rank).map(Row::times)].into_iter().flatten() {
            // A source that is the head has several rising parts.
            let parts = times.chunk_by(|a, b| a < b);
            samples
                .extend(parts.flat_map(|times| times.iter().zip(own.each(times))).map(|(&t, start)| (t, rank, start)));
        }
    }
    samples.sort_unstable();
    samples.dedup_by_key(|(t, ..)| *t);
    Changes::of_samples(samples.into_iter().map(|(t, _, start)| (t, start)).collect())
}

/// Before floats and records of the same sources are merged, each kind for itself: where two sources have different kinds
/// at one time, the earlier one's stays. One source has both at no time.
pub(crate) fn settle_kinds<R: Row>(floats: &mut [Columns], records: &mut [R]) {
    if records.iter().all(|row| row.times().is_empty()) {
        return;
    }
    let (mut float_times, mut record_times) = (FxHashSet::default(), FxHashSet::default());
    for (floats, records) in floats.iter_mut().zip(records) {
        drop_times(floats, &record_times);
        float_times.extend(floats.times().iter().copied());
        drop_times(records, &float_times);
        record_times.extend(records.times().iter().copied());
    }
}

fn drop_times<R: Row>(row: &mut R, gone: &FxHashSet<i64>) {
    if row.times().iter().any(|t| gone.contains(t)) {
        let mut kept = R::default();
        for at in 0..row.times().len() {
            if !gone.contains(&row.times()[at]) {
                row.give(at, &mut kept);
            }
        }
        *row = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(samples: &[(i64, f64)]) -> Columns {
        let (t, v) = samples.iter().copied().unzip();
        Columns { t, v }
    }

    #[track_caller]
    fn check(rows: Vec<Columns>, expected: &[(i64, f64)]) {
        assert_eq!(merge(rows), row(expected));
    }

    #[test]
    fn earlier_sources_win_and_order_is_by_time() {
        check(vec![row(&[(5, 1.0)]), row(&[(1, 2.0), (2, 2.0)])], &[(1, 2.0), (2, 2.0), (5, 1.0)]);
        check(
            vec![row(&[(1, 1.0), (5, 1.0)]), row(&[(0, 2.0), (1, 2.0), (3, 2.0)])],
            &[(0, 2.0), (1, 1.0), (3, 2.0), (5, 1.0)],
        );
        check(vec![row(&[(1, 1.0)]), row(&[(1, 2.0)])], &[(1, 1.0)]);
        check(vec![row(&[(3, 1.0), (4, 1.0), (1, 2.0), (4, 2.0)])], &[(1, 2.0), (3, 1.0), (4, 1.0)]);
        check(vec![], &[]);
    }

    #[test]
    fn of_two_kinds_at_one_time_the_earlier_source_stays() {
        let records = |times: &[i64]| Records::new(times.iter().map(|&t| (t, vec![])).collect());
        let mut floats = vec![row(&[(1, 1.0)]), row(&[(2, 2.0), (3, 2.0)]), row(&[(1, 3.0), (5, 3.0)])];
        let mut blobs = vec![records(&[2]), records(&[1, 4]), records(&[3, 6])];
        settle_kinds(&mut floats, &mut blobs);
        assert_eq!(merge(floats), row(&[(1, 1.0), (3, 2.0), (5, 3.0)]));
        assert_eq!(merge(blobs).t, [2, 4, 6]);
    }

    #[test]
    fn records_keep_their_times() {
        let records = |t: i64, b: &[u8]| Records::new(vec![(t, b.to_vec())]);
        let merged = merge(vec![records(2, b"b"), records(1, b"a"), records(2, b"c")]);
        assert_eq!(merged.into_pairs(), [(1, b"a".to_vec()), (2, b"b".to_vec())]);
    }
}
